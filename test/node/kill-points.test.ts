/**
 * Every operation on the disk is a point where the process may be killed, where the disk may fail, and where the power
 * may go. Whatever happens: the manifest is a whole old or a whole new one, and the next life brings the node to where an
 * undisturbed one stands. With a guard the first of the next lives is the guard's, which may not write revisions.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { applyRevision, resume } from '../../src/node/apply-revision.ts';
import { guardPath } from '../../src/node/guard-pod.ts';
import type { ApplyOutcome } from '../../src/node/outcome.ts';
import type { Revision } from '../../src/render/types.ts';
import { Killed } from '../host/memory-disk.ts';
import type { Fault, MemoryDisk } from '../host/memory-disk.ts';
import { revision } from '../targets/revisions.ts';
import { MANIFEST, nodeWith, SPEC } from '../targets/static-pod-host.ts';
import { World } from './world.ts';
import type { Behaviour } from './world.ts';

const MANIFEST_TEXT = `apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver, namespace: kube-system}
spec:
  containers:
  - name: kube-apiserver
    command:
    - kube-apiserver
    - --audit-log-maxage=3 # by hand
    - --secure-port=6443
`;
const A = revision();
const B = revision({ policy: '{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"Request"}]}' });
const BROKEN = revision({ flags: { '--audit-log-mode': 'broken' } });

const behaves = (args: readonly string[]): Behaviour => (args.includes('--audit-log-mode=broken') ? 'crashes' : 'good');

const GUARD = { image: 'auditconfig:test', namespace: 'kube-system' };

const apply = (w: World, to: Revision | null, guarded = false): Promise<ApplyOutcome> =>
  applyRevision({
    host: w.host,
    spec: SPEC,
    to,
    version: null,
    checks: [],
    signal: new AbortController().signal,
    ...(guarded ? { guard: GUARD } : {}),
  });

const actAsGuard = (w: World): Promise<ApplyOutcome> =>
  resume({ host: w.host, spec: SPEC, signal: new AbortController().signal, keep: 'All' });

/** A node on which `steps` were done, without any fault. */
async function nodeAfter(steps: readonly (Revision | null)[]): Promise<World> {
  const w = new World(nodeWith(MANIFEST_TEXT), MANIFEST, behaves);
  for (const dir of ['/var/lib', '/var/log']) w.disk.folder(dir);
  for (const to of steps) await apply(w, to);
  return w;
}

const copyOf = (w: World): World => new World(w.disk.reopened(), MANIFEST, behaves, w.now);

type Scenario = {
  readonly name: string;
  readonly before: readonly (Revision | null)[];
  readonly to: Revision | null;
  readonly guarded?: true;
};
const PLAIN: readonly Scenario[] = [
  { name: 'a first installation', before: [], to: A },
  { name: 'a change of the policy', before: [A], to: B },
  { name: 'a rollback', before: [A], to: BROKEN },
  { name: 'a removal', before: [A, B], to: null },
];
const SCENARIOS: readonly Scenario[] = [
  ...PLAIN,
  ...PLAIN.map((s): Scenario => ({ ...s, name: `${s.name}, guarded`, guarded: true })),
];

/** Dotfiles that a kill left behind are overwritten by the next write; the kubelet does not see them. */
const visible = (disk: MemoryDisk): Record<string, string> =>
  Object.fromEntries(
    Object.entries(disk.snapshot())
      .filter(([p]) => !p.includes('/.'))
      .map(([p, text]) => [
        p,
        p.endsWith('state.json') ? text.replace(/"(time|since|at)": \d+|"message": ".*"/g, '') : text,
      ]),
  );

describe.each(SCENARIOS)('$name', ({ before, to, guarded }) => {
  let start: World;
  let end: Record<string, string>;
  let whole: readonly string[];
  let operations: readonly string[];

  beforeAll(async () => {
    start = await nodeAfter(before);
    const w = copyOf(start);
    const seen = new Set<string>([w.disk.text(MANIFEST) ?? '']);
    w.onTick = () => seen.add(w.disk.text(MANIFEST) ?? '');
    await apply(w, to, guarded);
    seen.add(w.disk.text(MANIFEST) ?? '');
    [end, whole, operations] = [visible(w.disk), [...seen], w.disk.operations];
  });

  async function withFault(fault: Fault): Promise<World> {
    const w = copyOf(start);
    w.disk.fault = fault;
    try {
      await apply(w, to, guarded);
    } catch (e) {
      if (!(e instanceof Killed)) throw e;
    }
    expect(whole).toContain(w.disk.text(MANIFEST));
    return w;
  }

  /** Another life on the same disk, with the same wish, until it rests. */
  async function comesToRest(disk: MemoryDisk, since: number): Promise<void> {
    const w = new World(disk, MANIFEST, behaves, since + 1);
    if (guarded === true) await guardThenAgent(w);
    await apply(w, to, guarded);
    expect(visible(w.disk)).toEqual(end);
    w.settle();
    expect(w.isReady).toBe(true);
    expect(w.runningText).toBe(w.disk.text(MANIFEST));
  }

  /** Wherever a guard was left, it brings what is in flight to its end, and is gone. */
  async function guardThenAgent(w: World): Promise<void> {
    if (w.disk.text(guardPath(MANIFEST)) === null) return;
    await actAsGuard(w);
    expect(w.disk.text(guardPath(MANIFEST))).toBeNull();
    expect(whole).toContain(w.disk.text(MANIFEST));
    w.settle();
    expect(w.isReady).toBe(true);
  }

  it('has operations to be disturbed at', () => {
    expect(operations.length).toBeGreaterThan(8);
    expect(whole.length).toBeGreaterThan(1);
    expect(operations.includes(`rename ${guardPath(MANIFEST)}`)).toBe(guarded === true);
  });

  it('survives a kill before and in the middle of each, and after each', async () => {
    for (const after of [false, true])
      for (let at = 0; at < operations.length; at++) {
        const w = await withFault({ kind: 'kill', at, after });
        await comesToRest(w.disk.reopened(), w.now);
      }
  }, 120_000);

  it('survives a disk that fails once at each, and one that fails from there on', async () => {
    for (const lasting of [false, true])
      for (let at = 0; at < operations.length; at++) {
        const w = await withFault({ kind: 'error', at, code: lasting ? 'EROFS' : 'ENOSPC', lasting });
        await comesToRest(w.disk.reopened(), w.now);
      }
  }, 120_000);

  it('survives a power cut at each, whichever of the names not yet synced are lost', async () => {
    for (let at = 0; at < operations.length; at++) {
      const w = await withFault({ kind: 'kill', at, after: true });
      const n = w.disk.pendingCount;
      const subsets = n <= 3 ? Array.from({ length: 2 ** n }, (_, i) => i) : [0, 2 ** n - 1, 0b101, 0b010];
      for (const keep of subsets) {
        const disk = w.disk.afterPowerCut((i) => (keep & (1 << i)) !== 0);
        expect(whole).toContain(disk.text(MANIFEST));
        await comesToRest(disk, w.now);
      }
    }
  }, 180_000);
});
