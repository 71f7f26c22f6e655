/** What killable-agent.ts installs, and guard.plane.test.ts expects. */
import type { Revision } from '../../src/render/types.ts';
import { revision } from '../targets/revisions.ts';

export const MANIFEST = '/etc/kubernetes/manifests/kube-apiserver.yaml';
export const GUARD = { image: 'auditconfig:guard-test', namespace: 'kube-system' };

const POLICY = '{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"Metadata"}]}';

/** The bad one has a value that no check would let through, and no kube-apiserver takes. */
export const revisionFor = (kind: string): Revision =>
  kind === 'good'
    ? revision({ policy: POLICY })
    : revision({ policy: POLICY, flags: { '--audit-log-mode': 'sideways' } });
