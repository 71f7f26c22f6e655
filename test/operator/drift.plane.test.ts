/**
 * Drift on a real kube-apiserver, whose manifest is run as a kubelet would run it: what is put right at once, what is
 * awaited, and what is never undone. A rewritten manifest must be quiet for four seconds here, for two minutes in life.
 */
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AuditNodeStatus } from '../../src/api/auditnode.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { OPERATOR_NAMESPACE } from './install.ts';
import type { Manifest } from './install.ts';
import { NODE_NAME, Operator, conditionOf } from './operator.ts';

const READY = { type: 'Ready', status: 'True' };
/** Longer than an API server needs to come back and its agent to say something, or nobody sees that it waits. */
const QUIET_S = 20;
const AUDIT_NODE = { apiVersion: 'auditconfig.dev/v1alpha1', kind: 'AuditNode', metadata: { name: NODE_NAME } };
const main = (preset: string): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'main', namespace: OPERATOR_NAMESPACE },
  spec: { target: { type: 'StaticPod' }, policy: { preset }, rollout: { minReadySeconds: 0, timeoutSeconds: 60 } },
});
type NodeView = { metadata: { annotations?: Record<string, string> }; status?: AuditNodeStatus };
type Event = { readonly reason: string; readonly note: string };

describe('drift', () => {
  let plane: ControlPlane;
  let operator: Operator;
  /** The manifest before anything of ours, and as it should be. */
  let bare: string;
  let right: string;
  const manifest = (): Promise<string> => readFile(plane.manifestPath, 'utf8');
  /** As an editor saves. */
  const write = async (text: string): Promise<void> => {
    const staged = join(plane.root, 'etc/kubernetes/staged.yaml');
    await writeFile(staged, text, { mode: 0o600 });
    await rename(staged, plane.manifestPath);
  };
  const node = async (): Promise<NodeView> => (await operator.get(AUDIT_NODE)) as NodeView;
  const events = async (reason: string): Promise<readonly Event[]> => {
    const all = await operator.list('/apis/events.k8s.io/v1/namespaces/default/events');
    return (all as unknown as Event[]).filter((e) => e.reason === reason);
  };
  async function until(what: string, holds: () => Promise<boolean>, ms = 90_000): Promise<void> {
    for (const end = Date.now() + ms; Date.now() < end; await sleep(50)) if (await holds().catch(() => false)) return;
    throw new Error(`${what}: did not come true\n${JSON.stringify(await node())}\n${operator.words()}`);
  }
  const untilRight = async (ms?: number): Promise<void> => {
    await until('the manifest is right again', async () => (await manifest()) === right, ms);
    await plane.ready(undefined, (await stat(plane.manifestPath)).mtimeMs - 1);
    await until('it has settled', async () => {
      const { journal } = JSON.parse(await readFile(join(plane.root, 'var/lib/auditconfig/state.json'), 'utf8')) as {
        journal: unknown;
      };
      return journal === null && (await node()).status?.phase === 'Settled';
    });
    await operator.until(main('metadata'), READY);
  };
  const policyPath = (): string => {
    const path = /--audit-policy-file=(\S+)/.exec(right)?.[1] ?? '';
    return join(plane.root, path);
  };
  const stopAgent = async (): Promise<void> => {
    operator.agent.signal('SIGKILL');
    await operator.agent.exited;
  };
  const annotate = async (value: string): Promise<void> => {
    const body = { metadata: { annotations: { 'auditconfig.dev/again': value } } };
    const path = `/apis/auditconfig.dev/v1alpha1/auditnodes/${NODE_NAME}`;
    expect((await plane.request('PATCH', path, { body, contentType: 'application/merge-patch+json' })).status).toBe(
      200,
    );
  };
  /** It does not know this flag, and does not start. */
  const crashing = (): string =>
    right.replace(/( *)- kube-apiserver\n/, (line, indent: string) => `${line}${indent}- --no-such-flag=1\n`);
  const withMaxAge = (days: number): string => right.replace(/--audit-log-maxage=\d+/, `--audit-log-maxage=${days}`);

  beforeAll(async () => {
    plane = await startControlPlane({ version: '1.36', run: 'manifest' });
    bare = await manifest();
    operator = await Operator.start({ plane, agentArgs: ['--quiet-seconds', String(QUIET_S)] });
    await operator.apply(main('metadata'));
    await operator.until(main('metadata'), READY);
    right = await manifest();
  });
  afterAll(async () => {
    await operator?.stop();
    await plane?.stop();
  });
  beforeEach(async () => {
    // Else the corrections of one test would stop the next.
    const memory = join(plane.root, 'var/lib/auditconfig/drift.json');
    const known = JSON.parse(await readFile(memory, 'utf8')) as object;
    await writeFile(`${memory}.new`, JSON.stringify({ ...known, corrections: [] }));
    await rename(`${memory}.new`, memory);
  });

  it('puts an edit of a flag right at once, with the difference in an event', async () => {
    await write(withMaxAge(7));
    await untilRight();
    await until('an event', async () => (await events('DriftRepaired')).length === 1);
    expect((await events('DriftRepaired'))[0]?.note).toBe('---audit-log-maxage=7\n+--audit-log-maxage=30');
    expect(plane.apiserver.running).toBe(true);
  });

  it('puts our flags back where they were taken out, and nothing else', async () => {
    await write(bare);
    await untilRight();
  });

  it('puts a policy file right without a restart, and shows the difference', async () => {
    const started = plane.apiserver.startedAt;
    const good = await readFile(policyPath(), 'utf8');
    await writeFile(policyPath(), 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n');
    await until('the policy is right again', async () => (await readFile(policyPath(), 'utf8')) === good);
    await until('an event', async () => (await events('DriftRepaired')).some((e) => e.note.includes('level: None')));
    await operator.until(main('metadata'), READY);
    expect(plane.apiserver.startedAt).toBe(started);
  });

  it('restarts an API server that started with a wrong policy, once it is right', async () => {
    const good = await readFile(policyPath(), 'utf8');
    await stopAgent();
    await writeFile(policyPath(), 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n');
    await plane.kill('SIGTERM');
    await plane.ready();
    const started = plane.apiserver.startedAt;
    operator.startAgent();
    await until('the policy is right again', async () => (await readFile(policyPath(), 'utf8')) === good);
    await until('it was restarted', async () => plane.apiserver.startedAt > started);
    await operator.until(main('metadata'), READY);
  });

  it('restarts nothing for a policy that is right, whatever becomes of agent and API server', async () => {
    await plane.kill('SIGTERM');
    await plane.ready();
    const started = plane.apiserver.startedAt;
    await stopAgent();
    operator.startAgent();
    await operator.until(main('metadata'), READY);
    await sleep(2_000);
    expect(plane.apiserver.startedAt).toBe(started);
  });

  it('awaits a manifest that is written anew until it is quiet, keeps what is new in it, and patches it again', async () => {
    const upgraded = bare.replace(/image: .*/, 'image: registry.k8s.io/kube-apiserver:v1.36.9');
    expect(upgraded).not.toBe(bare);
    await write(upgraded);
    const written = Date.now();
    await until('it is said', async () => (await node()).status?.phase === 'Drifted');
    expect(await manifest()).toBe(upgraded);
    await until('it is patched again', async () => (await manifest()) !== upgraded);
    expect(Date.now() - written).toBeGreaterThanOrEqual(QUIET_S * 1000);
    await operator.until(main('metadata'), READY);
    // From the start of the process without our flags until that of the next one with them.
    const isThis = (start: string): boolean => Date.parse(start) >= written - 1_000;
    await until('the gap is recorded', async () =>
      ((await node()).status?.gaps ?? []).some((g) => isThis(g.start) && g.end !== undefined),
    );
    const gap = (await node()).status?.gaps?.find((g) => isThis(g.start));
    expect(gap?.reason).toBe('FlagsMissing');
    expect(Date.parse(gap?.end ?? '') - Date.parse(gap?.start ?? '')).toBeGreaterThanOrEqual(QUIET_S * 500);
    await until('an event tells of it', async () =>
      (await events('AuditGap')).some((e) => e.note.startsWith('FlagsMissing') && e.note.includes(gap?.start ?? '-')),
    );
    expect(await manifest()).toContain('v1.36.9');
    expect((await manifest()).replace(/image: .*/, '')).toBe(right.replace(/image: .*/, ''));
    await write(right);
    // The next edit is one while it serves, or is down, and not while it comes back from this one.
    await untilRight();
  });

  it('never undoes what was written while the API server was down, until a person says so', async () => {
    await write(crashing());
    await until('it crashes', async () => (plane.runner?.pod('kube-system/kube-apiserver')?.restarts ?? 0) > 0);
    await write(bare);
    await plane.ready();
    const degraded = { type: 'Degraded', status: 'True', reason: 'Rescued' };
    const said = await operator.until(main('metadata'), degraded);
    expect(conditionOf(said, 'Ready')).toMatchObject({ status: 'False', reason: 'Rescued' });
    expect(await manifest()).toBe(bare);
    await until('an event tells of it', async () => (await events('Rescued')).length === 1);
    // A restart of the agent forgets nothing.
    await stopAgent();
    operator.startAgent();
    await sleep(3_000);
    expect(await manifest()).toBe(bare);
    await annotate('1');
    await untilRight();
  });

  it('takes an edit that was made before a reboot for a rescue where nothing shows that the API server served', async () => {
    await stopAgent();
    await write(crashing());
    await sleep(12_000);
    await write(bare);
    await plane.ready();
    operator.startAgent();
    await operator.until(main('metadata'), { type: 'Degraded', status: 'True', reason: 'Rescued' });
    expect(await manifest()).toBe(bare);
    await annotate('2');
    await untilRight();
  });

  it('puts right what was edited while no agent watched, where the log shows that the API server served', async () => {
    await stopAgent();
    await write(withMaxAge(9));
    await plane.ready();
    operator.startAgent();
    await untilRight();
  });

  it('does nothing while a file HOLD is there', async () => {
    const hold = join(plane.root, 'var/lib/auditconfig/HOLD');
    await writeFile(hold, '');
    await write(withMaxAge(8));
    await until('it is said', async () => (await node()).status?.message?.includes('HOLD') === true);
    await sleep(2_000);
    expect(await manifest()).toBe(withMaxAge(8));
    await rm(hold);
    await untilRight();
  });

  it('stops after three corrections in an hour, and goes on with a new revision', async () => {
    for (const days of [3, 4, 5]) {
      await write(withMaxAge(days));
      await untilRight();
    }
    await write(withMaxAge(6));
    await operator.until(main('metadata'), { type: 'Degraded', status: 'True', reason: 'DriftFight' });
    expect(await manifest()).toBe(withMaxAge(6));
    await until('an event tells of it', async () => (await events('DriftFight')).length === 1);
    await stopAgent();
    operator.startAgent();
    await sleep(2_000);
    expect(await manifest()).toBe(withMaxAge(6));
    await operator.apply(main('minimal'));
    await operator.until(main('minimal'), READY);
    expect(await manifest()).toContain('--audit-log-maxage=30');
  });
});
