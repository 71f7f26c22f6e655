/**
 * Proof and measured retention on a real kube-apiserver: an event that must be in its log is found, and one that is not
 * there is missed within seconds, whatever was done to the log. Proof runs every ten seconds here, every hour in life;
 * all other waits are shares of that.
 */
import { readFile, readdir, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { PLANE_VERSIONS } from '../control-plane/versions.ts';
import type { Manifest } from './install.ts';
import { NODE_NAME, Operator, conditionOf } from './operator.ts';

const NAMESPACE = 'auditconfig-system';
const INTERVAL_MS = 10_000;
/** A miss is looked for twice, five seconds each; the rest is the machine's. */
const BOUND_MS = 40_000;
const FOUND = { type: 'Verified', status: 'True', reason: 'EventFound' };

type Proof = { readonly result: string; readonly auditID?: string; readonly time: string; readonly message?: string };
type Gap = { readonly start: string; readonly end?: string; readonly reason: string };
type NodeStatus = {
  readonly proof?: Proof;
  readonly gaps?: readonly Gap[];
  readonly retention?: { readonly measuredDays?: number; readonly bytesPerDay?: number; readonly oldestTime?: string };
};
type Event = {
  readonly auditID: string;
  readonly level: string;
  readonly userAgent?: string;
  readonly requestURI: string;
};

const config = (spec: Record<string, unknown> = {}): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'main', namespace: NAMESPACE },
  spec: { target: { type: 'StaticPod' }, rollout: { minReadySeconds: 0, timeoutSeconds: 60 }, ...spec },
});
const rules = (...all: object[]): Record<string, unknown> => ({ policy: { rules: all } });

describe.each(PLANE_VERSIONS.map((v) => [v] as const))('proof on kube-apiserver %s', (version) => {
  let plane: ControlPlane;
  let operator: Operator;
  let folder: string;
  const main = config();
  const auditNode = { apiVersion: 'auditconfig.dev/v1alpha1', kind: 'AuditNode', metadata: { name: NODE_NAME } };
  const status = async (): Promise<NodeStatus> =>
    ((await operator.get(auditNode)) as { status?: NodeStatus } | undefined)?.status ?? {};
  const lines = async (name = 'audit.log'): Promise<Event[]> =>
    (await readFile(join(folder, name), 'utf8'))
      .split('\n')
      .filter((l) => l !== '')
      .map((l) => JSON.parse(l) as Event);
  /** The first status that is as wanted, or the last one. */
  async function untilStatus(is: (s: NodeStatus) => boolean, ms = BOUND_MS): Promise<NodeStatus> {
    const end = Date.now() + ms;
    for (;;) {
      const now = await status();
      if (is(now) || Date.now() > end) return now;
      await sleep(100);
    }
  }

  beforeAll(async () => {
    plane = await startControlPlane({ version, run: 'manifest' });
    folder = join(plane.root, 'var/log/kube-audit');
    operator = await Operator.start({ plane, agentArgs: ['--proof-interval', String(INTERVAL_MS / 1000)] });
  });
  afterAll(async () => {
    await operator?.stop();
    await plane?.stop();
  });

  it('finds a request of its own in the log, at the level of the policy', async () => {
    await operator.apply(main);
    const done = await operator.until(main, FOUND);
    expect(conditionOf(done, 'Ready')?.status).toBe('True');
    const { proof } = await status();
    const events = (await lines()).filter((e) => e.auditID === proof?.auditID);
    expect(events.map((e) => [e.level, e.userAgent?.split('/')[0]])).toContainEqual(['Metadata', 'auditconfig']);
  });

  it('sends one request an interval while all is well', async () => {
    const of = (events: readonly Event[]): number =>
      events.filter((e) => e.userAgent?.endsWith('agent proof') === true).length;
    const from = of(await lines());
    await sleep(3 * INTERVAL_MS);
    const sent = of(await lines()) - from;
    // A proof by the interval, by silence or by a busy machine's delay; never a loop.
    expect(sent).toBeGreaterThanOrEqual(2);
    expect(sent).toBeLessThanOrEqual(3 * 4 + 1);
  });

  it('misses the log that was deleted under the API server, until it is restarted', async () => {
    const begun = Date.now();
    await unlink(join(folder, 'audit.log'));
    const lost = await operator.until(main, { type: 'Verified', status: 'False', reason: 'EventMissing' }, BOUND_MS);
    expect(Date.now() - begun).toBeLessThan(BOUND_MS);
    expect(conditionOf(lost, 'Ready')).toMatchObject({ status: 'False', reason: 'EventMissing' });
    expect((await status()).proof?.result).toBe('LogMissing');
    // A file that somebody puts there does not help: the API server does not write into it.
    await writeFile(join(folder, 'audit.log'), '');
    expect((await untilStatus((s) => s.proof?.result === 'EventMissing')).proof?.result).toBe('EventMissing');
    const [lastly] = ((await untilStatus((s) => s.gaps !== undefined)).gaps ?? []).slice(-1);
    expect(lastly).toEqual({ start: lastly?.start, reason: 'LogMissing' });
    // A change restarts it.
    await operator.apply(config(rules({ level: 'Request' })));
    await operator.until(main, FOUND);
    const after = await untilStatus((s) => s.gaps?.at(-1)?.end !== undefined);
    const ended = after.gaps?.at(-1);
    expect(ended).toMatchObject({ start: lastly?.start, reason: 'LogMissing' });
    expect(Date.parse(ended?.end ?? '')).toBeGreaterThan(Date.parse(ended?.start ?? ''));
  });

  it('follows the log when it is rotated', async () => {
    await operator.apply(config({ log: { retention: { maxSize: '1Mi', maxBackups: 3 } } }));
    await operator.until(main, FOUND);
    const long = 'x'.repeat(6_000);
    const rotated = async (): Promise<boolean> => (await readdir(folder)).some((n) => /^audit-.*\.log$/.test(n));
    for (let i = 0; i < 2_000 && !(await rotated()); i++)
      await plane.request('GET', `/api/v1/namespaces/default/configmaps/none?labelSelector=${long}`);
    expect(await rotated()).toBe(true);
    const before = (await status()).proof?.auditID;
    const after = await untilStatus((s) => s.proof?.auditID !== before);
    expect(after.proof?.auditID).not.toBe(before);
    expect(after.proof?.result).toBe('EventFound');
    const logs = (await readdir(folder)).filter((n) => n.endsWith('.log'));
    const all = (await Promise.all(logs.map(lines))).flat();
    expect(all.map((e) => e.auditID)).toContain(after.proof?.auditID);
  });

  it('measures for how long the log is kept', async () => {
    // Eight days ago there was an event; since then this log grew by next to nothing, or by 12 MiB.
    const day = new Date(Date.now() - 8 * 86_400_000).toISOString();
    const name = `audit-${day.slice(0, 19).replace(/:/g, '-')}.000.log`;
    const first = (await readFile(join(folder, 'audit.log'), 'utf8')).split('\n')[0] ?? '';
    const old = JSON.stringify({
      ...(JSON.parse(first) as object),
      requestReceivedTimestamp: day,
      stageTimestamp: day,
    });
    for (const n of await readdir(folder)) if (n.startsWith('audit-')) await rm(join(folder, n));
    await writeFile(join(folder, name), `${old}\n`);
    const kept = await operator.until(main, { type: 'RetentionMet', status: 'True', reason: 'Met' }, BOUND_MS);
    expect(kept.status).toMatchObject({ retention: { requestedDays: 30, measuredDays: 30 } });
    expect((await status()).retention?.oldestTime).toBe(`${day.slice(0, 19)}Z`);

    await writeFile(join(folder, name), `${old}\n${'x'.repeat(12 * 2 ** 20)}\n`);
    const short = await operator.until(main, { type: 'RetentionMet', status: 'False', reason: 'TooShort' }, BOUND_MS);
    // 3 files of 1 MiB, 12 MiB in 8 days: two days, less what the rest of the log makes.
    expect(short.status).toMatchObject({ retention: { requestedDays: 30, measuredDays: 1 } });
    expect(conditionOf(short, 'Ready')?.status).toBe('True');
    await rename(join(folder, name), join(folder, 'old'));
  });

  it('says so where the policy records nothing that could be looked for', async () => {
    await operator.apply(
      config(rules({ level: 'None', userGroups: ['system:serviceaccounts'] }, { level: 'Metadata' })),
    );
    const done = await operator.until(main, { type: 'Verified', status: 'Unknown', reason: 'NothingToObserve' });
    expect(conditionOf(done, 'Ready')?.status).toBe('True');
    expect((await status()).proof).not.toHaveProperty('auditID');
  });

  it('waits for a batch', async () => {
    const log = { mode: 'Batch', batch: { maxWaitSeconds: 3 } };
    await operator.apply(config({ ...rules({ level: 'Request' }), log }));
    await operator.until(main, FOUND);
    const { proof } = await status();
    expect((await lines()).filter((e) => e.auditID === proof?.auditID).map((e) => e.level)).toContain('Request');
  });

  it('leaves nothing that it says of a node that is not audited any more', async () => {
    await operator.apply(config({ state: 'Disabled' }));
    await operator.until(main, { type: 'Ready', status: 'True', reason: 'Disabled' });
    expect(await status()).not.toHaveProperty('proof');
    expect(await status()).not.toHaveProperty('retention');
  });
});
