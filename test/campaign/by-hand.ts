/**
 * Revisions that no controller would publish, brought to a node all the same: published by hand under a digest that
 * matches, or installed by an agent that checks nothing. For rows of several kinds.
 */
import { applyRevision } from '../../src/node/apply-revision.ts';
import { realHost } from '../../src/node/host.ts';
import { staticPodPlace } from '../../src/node/place.ts';
import { bundleName } from '../../src/render/bundle/names.ts';
import { toBundle } from '../../src/render/bundle/write.ts';
import type { Revision } from '../../src/render/types.ts';
import { DEFAULT_LAYOUT } from '../../src/targets/host-layout.ts';
import { BUNDLES_NAMESPACE, pathOf } from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';
import { revision } from '../targets/revisions.ts';
import type { RevisionSketch } from '../targets/revisions.ts';
import type { Lab } from './lab.ts';
import { GUARD_IMAGE } from './node.ts';
import type { LabNode } from './node.ts';

export const policyOf = (rules: readonly object[]): string =>
  JSON.stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules });

/** A kubeconfig as an audit webhook takes it. */
export const webhookTo = (cluster: Readonly<Record<string, string>>): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'a',
    contexts: [{ name: 'a', context: { cluster: 'a', user: '' } }],
    clusters: [{ name: 'a', cluster }],
  });

const SMALL = { '--audit-log-maxsize': '1', '--audit-log-maxbackup': '2' };

/** With a digest that matches its content, whatever that is. */
export const forged = (sketch: RevisionSketch): Revision =>
  revision({ ...sketch, flags: { ...SMALL, ...sketch.flags } });

/** No kube-apiserver starts with it. Deckhouse documents how to recover from such a policy by hand. */
export const brokenPolicy = (mark: string): Revision =>
  forged({ policy: policyOf([{ level: 'Everything', users: [mark] }]) });

const MANIFEST = '/etc/kubernetes/manifests/kube-apiserver.yaml';

/** As the controller publishes. */
export async function publish(lab: Lab, of: Revision): Promise<void> {
  for (const object of toBundle(of, BUNDLES_NAMESPACE)) await lab.apply(object as unknown as Manifest);
}

/** As whoever may write AuditNodes: tells one node to run this. */
export async function tell(lab: Lab, node: LabNode, of: Revision): Promise<void> {
  const named = { kind: 'ConfigMap', namespace: BUNDLES_NAMESPACE, name: bundleName(of.digest), digest: of.digest };
  const auditNode = { apiVersion: 'auditconfig.dev/v1alpha1', kind: 'AuditNode', metadata: { name: node.name } };
  const body = { spec: { desired: { type: 'Revision', revision: named } } };
  await lab.request('PATCH', pathOf(auditNode), { body, contentType: 'application/merge-patch+json' });
}

/**
 * What an agent without a single check does on a node, up to the rename of the manifest, where it is killed: the journal
 * is there, the guard stands by, and the API server is about to read what it cannot start with. No agent may run.
 */
export async function installUnchecked(node: LabNode, to: Revision, timeoutMs = 90_000): Promise<void> {
  const killed = new AbortController();
  const real = realHost({ root: node.plane.root, proc: node.at('/proc') });
  const rename: typeof real.disk.rename = async (from, into) => {
    await real.disk.rename(from, into);
    if (into === MANIFEST) killed.abort();
  };
  const outcome = await applyRevision({
    host: { ...real, disk: { ...real.disk, rename } },
    spec: staticPodPlace({ manifest: MANIFEST, layout: DEFAULT_LAYOUT }),
    to,
    version: null,
    checks: [],
    rules: { timeoutMs, minReadyMs: 0, readyTimes: 3, maxCrashes: 2 },
    guard: { image: GUARD_IMAGE, namespace: 'kube-system' },
    signal: killed.signal,
  });
  if (outcome.kind !== 'Interrupted') throw new Error(`it was not installed: ${JSON.stringify(outcome)}`);
}
