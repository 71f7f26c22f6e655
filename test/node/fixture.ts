/** One node in memory as the tests of this folder start with it: a manifest, revisions for it, and what they do there. */
import { applyRevision, resume } from '../../src/node/apply-revision.ts';
import type { ApplyInput } from '../../src/node/apply-revision.ts';
import type { ApplyOutcome } from '../../src/node/outcome.ts';
import type { Revision } from '../../src/render/types.ts';
import type { MemoryDisk } from '../host/memory-disk.ts';
import { revision } from '../targets/revisions.ts';
import { MANIFEST, nodeWith, SPEC } from '../targets/static-pod-host.ts';
import { World } from './world.ts';
import type { Behaviour } from './world.ts';

export { MANIFEST, SPEC };

export const TEXT = `apiVersion: v1
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
export const GUARD = { image: 'auditconfig:test', namespace: 'auditconfig-system' };

export const A = revision();
export const B = revision({ policy: '{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"Request"}]}' });
/** With these flags the played API server crashes, or never becomes ready. */
export const BROKEN = revision({ flags: { '--audit-log-mode': 'broken' } });
export const HANGING = revision({ flags: { '--audit-log-mode': 'hanging' } });

export const behaves = (args: readonly string[]): Behaviour =>
  args.includes('--audit-log-mode=broken') ? 'crashes' : args.includes('--audit-log-mode=hanging') ? 'hangs' : 'good';

export const never = new AbortController().signal;

export const worldWith = (text = TEXT): World => new World(nodeWith(text), MANIFEST, behaves);
/** The next life of a node: its disk, and a kubelet that has taken up what the manifest says. */
export const worldOn = (disk: MemoryDisk, now: number): World => new World(disk, MANIFEST, behaves, now);

/** Past the checks: what a fault of our own, or of a check, would let through. */
export const applyUnguarded = (w: World, to: Revision | null, more: Partial<ApplyInput> = {}): Promise<ApplyOutcome> =>
  applyRevision({ host: w.host, spec: SPEC, to, version: '1.36', checks: [], signal: never, ...more });

export const apply = (w: World, to: Revision | null, more: Partial<ApplyInput> = {}): Promise<ApplyOutcome> =>
  applyUnguarded(w, to, { guard: GUARD, ...more });

export const actAsGuard = (w: World): Promise<ApplyOutcome> =>
  resume({ host: w.host, spec: SPEC, signal: never, keep: 'All' });
