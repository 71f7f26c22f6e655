/** The agent's worker on a node in memory, with an API server that answers what a test says, or not at all. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Reporter } from '../../src/agent/reporter.ts';
import { Worker } from '../../src/agent/worker.ts';
import type { AuditNodeStatus } from '../../src/api/auditnode.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { fail, ok } from '../../src/kube/errors.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { applyRevision } from '../../src/node/apply-revision.ts';
import { readState } from '../../src/node/state-file.ts';
import { toBundle } from '../../src/render/bundle/write.ts';
import type { Revision } from '../../src/render/types.ts';
import { credentialsDigest } from '../../src/render/webhook/credentials.ts';
import type { Turn } from '../../src/rollout/turn.ts';
import { DEFAULT_RULES } from '../../src/rollout/node-state.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { World } from '../node/world.ts';
import type { Behaviour } from '../node/world.ts';
import { holding, render, revisionOf, WEBHOOK } from '../render/inputs.ts';
import { revision } from '../targets/revisions.ts';
import { MANIFEST, SPEC, nodeWith } from '../targets/static-pod-host.ts';

const KUBEADM = readFileSync(`${import.meta.dirname}/../targets/static-pod/golden/kubeadm-1.36/before.yaml`, 'utf8');
const STATE = `${SPEC.layout.stateDir}/state.json`;
const A = revision();
const BROKEN = revision({ flags: { '--audit-log-mode': 'broken' } });
const behaves = (args: readonly string[]): Behaviour => (args.includes('--audit-log-mode=broken') ? 'crashes' : 'good');
const never = new AbortController().signal;
const silent = createLogger({ name: 'test', level: 'error' });

const credentialsIn = (r: Revision): { credentials?: string } =>
  r.credentials === undefined ? {} : { credentials: credentialsDigest(r.credentials.reveal()) };
const hooked = (token: string): Revision =>
  revisionOf(
    render(
      { webhook: { secretRef: { name: 'w' } } },
      { webhook: holding({ 'webhook.yaml': WEBHOOK.replace('CANARY-token', token) }) },
    ),
  );

class Setup {
  /** An API server that does not start with what lies beside its kubeconfig. */
  badCredentials = false;
  readonly world = new World(nodeWith(KUBEADM), MANIFEST, (args) =>
    this.badCredentials && args.some((a) => a.startsWith('--audit-webhook')) ? 'crashes' : behaves(args),
  );
  readonly objects = new Map<string, KubeObject>();
  readonly reports: AuditNodeStatus[] = [];
  away = false;
  turn: Turn = { granted: true };
  givenBack = 0;
  readonly again: number[] = [];
  auditNode: KubeObject | undefined;
  readonly worker: Worker;

  constructor() {
    const refused = fail('ConnectionRefused', 'away');
    const client = {
      raw: async () => (this.away ? refused : ok({ gitVersion: 'v1.36.3' })),
      get: async (_resource: unknown, ref: { namespace?: string; name: string }) => {
        if (this.away) return refused;
        const object = this.objects.get(`${ref.namespace}/${ref.name}`);
        return object === undefined ? fail('NotFound', 'not found') : ok(object);
      },
    } as unknown as KubeClient;
    this.worker = new Worker({
      host: this.world.host,
      spec: SPEC,
      client,
      read: () => this.auditNode,
      reporter: {
        report: (status) => {
          this.reports.push(status);
          if (this.auditNode !== undefined) this.auditNode = { ...this.auditNode, status };
        },
        remind: () => undefined,
        run: async () => undefined,
      } satisfies Reporter,
      askVersion: async () => undefined,
      turn: {
        take: async () => this.turn,
        announce: async () => undefined,
        giveBack: async () => {
          this.givenBack += 1;
          return true;
        },
      },
      log: silent,
      agentVersion: '0',
      again: (afterMs) => void this.again.push(afterMs),
      note: () => undefined,
    });
  }

  publish(r = A): void {
    for (const object of toBundle(r, 'bundles')) this.objects.set(`bundles/${object.metadata.name}`, { ...object });
  }

  ask(r: typeof A | null, generation = 1): void {
    const revisionRef = r && {
      kind: 'ConfigMap',
      namespace: 'bundles',
      name: toBundle(r, 'bundles')[0]?.metadata.name,
    };
    this.auditNode = {
      apiVersion: 'auditconfig.dev/v1alpha1',
      kind: 'AuditNode',
      metadata: { name: 'cp-1', uid: 'u', generation },
      ...(this.auditNode === undefined ? {} : { status: this.auditNode['status'] }),
      spec: {
        nodeName: 'cp-1',
        auditConfigRef: { namespace: 'sys', name: 'main', uid: 'c' },
        desired:
          r === null
            ? { type: 'Removed' }
            : { type: 'Revision', revision: { ...revisionRef, digest: r.digest, ...credentialsIn(r) } },
        timeoutSeconds: 60,
      },
    };
  }

  get said(): AuditNodeStatus {
    return this.reports.at(-1) ?? {};
  }
}

/** A process that was killed right after its bad manifest was in place. */
async function killedWhileProbing(s: Setup, timeoutMs = 60_000): Promise<void> {
  const killed = new AbortController();
  await applyRevision({
    host: s.world.host,
    spec: SPEC,
    to: BROKEN,
    version: '1.36',
    checks: [],
    rules: { ...DEFAULT_RULES, timeoutMs },
    onState: ({ state }) => void (state.phase === 'Probing' && killed.abort()),
    signal: killed.signal,
  });
  expect((await readState(s.world.disk, SPEC.layout.stateDir))?.state.phase).toBe('Probing');
}

describe('the agent', () => {
  it('has a revision tried once more that fell over on probation while etcd was away', async () => {
    const s = new Setup();
    s.publish();
    s.ask(A);
    await s.worker.work(never);
    expect(await s.worker.watchProbation(never)).toEqual({ kind: 'Again', afterMs: 5_000 });
    s.world.storageAway = true;
    s.world.crash();
    s.world.settle();
    s.world.settle();
    const since = s.world.now;
    s.world.onTick = () => (s.world.storageAway = s.world.now - since < 3_000);
    expect(await s.worker.watchProbation(never)).toEqual({ kind: 'Done' });
    expect(s.said).toMatchObject({ phase: 'Held', lastFailure: { reason: 'Inconclusive', digest: A.digest } });
    expect(s.again).toEqual([60_000]);
    expect(await s.worker.work(never)).toEqual({ kind: 'Done' });
    expect(s.said).toMatchObject({ phase: 'Settled', current: A.digest });
  });

  it('installs what it is asked, and says so for that generation', async () => {
    const s = new Setup();
    s.publish();
    s.ask(A);
    expect(await s.worker.work(never)).toEqual({ kind: 'Done' });
    expect(s.said).toMatchObject({ observedGeneration: 1, phase: 'Settled', current: A.digest });
  });

  it('writes another token beside the kubeconfig, and restarts nothing', async () => {
    const s = new Setup();
    const [one, two] = [hooked('one'), hooked('two')];
    s.publish(one);
    s.ask(one);
    await s.worker.work(never);
    const starts = s.world.starts;
    s.publish(two);
    s.ask(two, 2);
    s.turn = { granted: false, reason: 'LeaseHeld', message: '' };
    expect(await s.worker.work(never)).toEqual({ kind: 'Done' });
    expect(s.said).toMatchObject({ observedGeneration: 2, phase: 'Settled', current: one.digest });
    expect(s.world.starts).toBe(starts);
    const path = `${SPEC.layout.revisionsDir}/${one.digest.slice(0, 16)}/token`;
    expect(s.world.disk.text(path)).toBe('two');
    expect(JSON.stringify(s.reports)).not.toMatch(/"(one|two)"/);
  });

  it('tries a revision again that it went back from, when its credentials are others', async () => {
    const s = new Setup();
    const [one, two] = [hooked('one'), hooked('two')];
    s.publish(one);
    s.ask(one);
    s.badCredentials = true;
    await s.worker.work(never);
    expect(s.said).toMatchObject({ phase: 'Held', lastFailure: { digest: one.digest } });
    s.badCredentials = false;
    await s.worker.work(never);
    expect(s.said.phase).toBe('Held');
    s.publish(two);
    s.ask(two, 2);
    await s.worker.work(never);
    expect(s.said).toMatchObject({ observedGeneration: 2, phase: 'Settled', current: one.digest });
  });

  it('does nothing where nothing is asked', async () => {
    const s = new Setup();
    expect(await s.worker.work(never)).toEqual({ kind: 'Done' });
    expect([s.reports, s.world.disk.text(MANIFEST)]).toEqual([[], KUBEADM]);
  });

  it.each(['asked nothing', 'asked for the next revision'])(
    'brings what is in flight to its end while the API is away: %s',
    async (what) => {
      const s = new Setup();
      await killedWhileProbing(s);
      s.away = true;
      if (what !== 'asked nothing') s.ask(A);
      await s.worker.work(never);
      expect(s.world.disk.text(MANIFEST)).toBe(KUBEADM);
      expect((await readState(s.world.disk, SPEC.layout.stateDir))?.journal).toBeNull();
    },
  );

  it('waits while a HOLD file is there, API or not, and goes back when it is gone', async () => {
    const s = new Setup();
    await killedWhileProbing(s);
    s.away = true;
    s.world.disk.put(`${SPEC.layout.stateDir}/HOLD`, '');
    const bad = s.world.disk.text(MANIFEST);
    expect(await s.worker.work(never)).toMatchObject({ kind: 'Again' });
    expect(s.world.disk.text(MANIFEST)).toBe(bad);
    await s.world.disk.remove(`${SPEC.layout.stateDir}/HOLD`);
    await s.worker.work(never);
    expect(s.world.disk.text(MANIFEST)).toBe(KUBEADM);
  });

  it('a bundle that is not there is said, and fetched when it was published again', async () => {
    const s = new Setup();
    s.ask(A);
    expect(await s.worker.work(never)).toMatchObject({ kind: 'Again' });
    expect(s.said).toMatchObject({ observedGeneration: 1, phase: 'Held', lastFailure: { reason: 'BundleMissing' } });
    s.publish();
    await s.worker.work(never);
    expect(s.said).toMatchObject({ phase: 'Settled', current: A.digest });
    expect(s.said.lastFailure).toBeUndefined();
  });

  it('a bundle that somebody made anew with other content changes nothing', async () => {
    const s = new Setup();
    s.publish();
    for (const [key, object] of s.objects)
      s.objects.set(key, { ...object, data: { ...(object['data'] as object), 'policy.yaml': 'rules: []' } });
    s.ask(A);
    await s.worker.work(never);
    expect(s.said).toMatchObject({ phase: 'Held', lastFailure: { reason: 'BundleDigest' } });
    expect(s.world.disk.text(MANIFEST)).toBe(KUBEADM);
  });

  it.each([
    ['of a newer version', '{"version":2}'],
    ['corrupted', '{"version":1,"sta'],
  ])('a state file %s is no proof of a removal, however often it is said', async (_name, text) => {
    const s = new Setup();
    s.publish();
    s.ask(A);
    await s.worker.work(never);
    const running = s.world.disk.text(MANIFEST);
    s.world.disk.put(STATE, text);
    s.ask(null, 2);
    for (let i = 0; i < 3; i++) {
      expect(await s.worker.work(never)).toMatchObject({ kind: 'Again' });
      expect(s.said).toMatchObject({ observedGeneration: 2, phase: 'Held', current: A.digest });
    }
    expect([s.world.disk.text(MANIFEST), s.world.disk.text(STATE)]).toEqual([running, text]);
  });

  it('a removal that is refused is never reported as done', async () => {
    const s = new Setup();
    s.ask(null);
    s.world.disk.put(MANIFEST, 'not: [a pod');
    for (let i = 0; i < 2; i++) {
      await s.worker.work(never);
      expect(s.said.phase).toBe('Held');
      expect(s.said.message).toBeDefined();
    }
  });
});

describe("a node's turn", () => {
  const held: Turn = { granted: false, reason: 'LeaseHeld', message: 'cp-2 restarts', node: 'cp-2' };

  it('is awaited before anything is changed, and said', async () => {
    const s = new Setup();
    s.publish();
    s.ask(A);
    s.turn = held;
    expect(await s.worker.work(never)).toEqual({ kind: 'Done' });
    expect(s.worker.wantsTurn).toBe(true);
    expect(s.said).toMatchObject({
      observedGeneration: 1,
      phase: 'Waiting',
      waiting: { reason: 'LeaseHeld', node: 'cp-2' },
      message: 'cp-2 restarts',
    });
    expect([s.world.disk.text(MANIFEST), s.world.disk.text(STATE)]).toEqual([KUBEADM, null]);
    s.turn = { granted: true };
    await s.worker.work(never);
    expect(s.said).toMatchObject({ phase: 'Settled', current: A.digest });
    expect(s.said.waiting).toBeUndefined();
    expect(s.worker.wantsTurn).toBe(false);
  });

  it.each([
    ['the next window', { reason: 'OutsideWindow', afterMs: 5_000 }, { kind: 'Again', afterMs: 5_000 }],
    ['another API server', { reason: 'PeerNotReady' }, { kind: 'Retry' }],
    ['the API', { reason: 'LeaseUnreadable' }, { kind: 'Retry' }],
    ['a pause to end', { reason: 'Paused' }, { kind: 'Done' }],
  ] as const)('that waits for %s is asked for again then', async (_name, wait, outcome) => {
    const s = new Setup();
    s.publish();
    s.ask(A);
    s.turn = { granted: false, message: '', ...wait };
    expect(await s.worker.work(never)).toMatchObject(outcome);
  });

  it('is needed for a removal, and for a repair of what was asked before, but not where nothing restarts', async () => {
    const s = new Setup();
    s.publish();
    s.ask(A);
    await s.worker.work(never);
    s.turn = held;
    await s.worker.work(never);
    expect(s.said.phase).toBe('Settled');
    const settled = s.world.disk.text(MANIFEST) ?? '';
    s.world.disk.put(MANIFEST, settled.replace(/ *- --audit-log-path=.*\n/, ''));
    await s.worker.work(never);
    expect(s.said.phase).toBe('Waiting');
    s.world.disk.put(MANIFEST, settled);
    s.ask(null, 2);
    await s.worker.work(never);
    expect([s.said.phase, s.world.disk.text(MANIFEST)]).toEqual(['Waiting', settled]);
  });

  it('is not waited for without end where neither the API nor the own API server answers', async () => {
    const s = new Setup();
    s.publish();
    s.ask(A);
    await s.worker.work(never);
    const settled = s.world.disk.text(MANIFEST) ?? '';
    s.turn = { granted: false, reason: 'LeaseUnreadable', message: 'the API is away' };
    const edit = (mode: string): void => {
      s.world.disk.put(MANIFEST, settled.replace('--audit-log-mode=blocking', `--audit-log-mode=${mode}`));
      s.world.settle();
    };
    // Somebody's API server that serves is never ended without a turn.
    edit('batch');
    await s.worker.work(never);
    s.world.now += 3_600_000;
    await s.worker.work(never);
    expect(s.said.phase).toBe('Waiting');
    edit('broken');
    await s.worker.work(never);
    expect([s.said.phase, s.world.disk.text(MANIFEST)]).not.toContain(settled);
    s.world.now += 10_000;
    await s.worker.work(never);
    expect(s.said).toMatchObject({ phase: 'Settled', current: A.digest });
    expect(s.world.disk.text(MANIFEST)).toBe(settled);
  });

  it('is not asked for to undo a change', async () => {
    const s = new Setup();
    await killedWhileProbing(s);
    s.turn = held;
    s.ask(A);
    s.publish();
    await s.worker.work(never);
    expect(s.said.phase).toBe('Waiting');
    expect(s.world.disk.text(MANIFEST)).toBe(KUBEADM);
    expect((await readState(s.world.disk, SPEC.layout.stateDir))?.lastFailure).toMatchObject({ reason: 'CrashLoop' });
  });

  it('is given back when the API server is healthy, and not before', async () => {
    const s = new Setup();
    s.world.reboot();
    expect(await s.worker.giveBackTurn(never)).toMatchObject({ kind: 'Again' });
    expect(s.givenBack).toBe(0);
    s.world.settle();
    expect(await s.worker.giveBackTurn(never)).toEqual({ kind: 'Done' });
    expect(s.givenBack).toBe(1);
  });

  it('is not given back while a change is in flight, however healthy the API server is', async () => {
    const s = new Setup();
    await killedWhileProbing(s);
    s.world.disk.put(MANIFEST, KUBEADM);
    s.world.settle();
    expect(s.world.isReady).toBe(true);
    expect(await s.worker.giveBackTurn(never)).toMatchObject({ kind: 'Again' });
    expect(s.givenBack).toBe(0);
  });
});
