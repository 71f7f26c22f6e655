/**
 * Installs deploy/ into a test's control plane as `kubectl apply -k deploy/` would, and hands out credentials of the
 * real service accounts, the agent's bound to its Node: so that the RBAC and admission that ship are what is tested.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, parseAllDocuments } from 'yaml';
import type { ControlPlane } from '../control-plane/plane.ts';

export const ROOT = resolve(import.meta.dirname, '../..');
export const OPERATOR_NAMESPACE = 'auditconfig-system';
export const BUNDLES_NAMESPACE = 'auditconfig-bundles';

export type Manifest = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly [field: string]: unknown;
};

const read = (file: string): string => readFileSync(file, 'utf8');

/** Every object that a kustomization names, in its order. Only `resources` is understood: deploy/ uses nothing else. */
export function kustomized(dir: string): readonly Manifest[] {
  const { resources } = parse(read(join(dir, 'kustomization.yaml'))) as { resources: readonly string[] };
  return resources.flatMap((entry) => {
    const path = resolve(dir, entry);
    if (!path.endsWith('.yaml')) return kustomized(path);
    return parseAllDocuments(read(path), { merge: true }).map((d) => d.toJS() as Manifest);
  });
}

/** Plural and scope of the kinds in deploy/ and in tests. */
const KINDS: Readonly<Record<string, readonly [plural: string, namespaced: boolean]>> = {
  AuditConfig: ['auditconfigs', true],
  AuditNode: ['auditnodes', false],
  ClusterRole: ['clusterroles', false],
  ClusterRoleBinding: ['clusterrolebindings', false],
  ConfigMap: ['configmaps', true],
  CustomResourceDefinition: ['customresourcedefinitions', false],
  DaemonSet: ['daemonsets', true],
  DatacenterAuditConfig: ['datacenterauditconfigs', false],
  Deployment: ['deployments', true],
  MutatingAdmissionPolicy: ['mutatingadmissionpolicies', false],
  MutatingAdmissionPolicyBinding: ['mutatingadmissionpolicybindings', false],
  Namespace: ['namespaces', false],
  NetworkPolicy: ['networkpolicies', true],
  Node: ['nodes', false],
  PersistentVolume: ['persistentvolumes', false],
  PersistentVolumeClaim: ['persistentvolumeclaims', true],
  PodDisruptionBudget: ['poddisruptionbudgets', true],
  Role: ['roles', true],
  RoleBinding: ['rolebindings', true],
  Secret: ['secrets', true],
  Service: ['services', true],
  ServiceAccount: ['serviceaccounts', true],
  StatefulSet: ['statefulsets', true],
  ValidatingAdmissionPolicy: ['validatingadmissionpolicies', false],
  ValidatingAdmissionPolicyBinding: ['validatingadmissionpolicybindings', false],
};

export function pathOf(o: Pick<Manifest, 'apiVersion' | 'kind' | 'metadata'>): string {
  const kind = KINDS[o.kind];
  if (kind === undefined) throw new Error(`the test does not know kind ${o.kind}`);
  const [plural, namespaced] = kind;
  const base = o.apiVersion.includes('/') ? `/apis/${o.apiVersion}` : `/api/${o.apiVersion}`;
  const where = namespaced ? `/namespaces/${o.metadata.namespace ?? 'default'}` : '';
  return `${base}${where}/${plural}/${o.metadata.name}`;
}

/** All that installing needs of a control plane, so that a whole cluster will do too (test/cluster). */
export type Api = Pick<ControlPlane, 'request'>;

export type Applied = { readonly status: number; readonly body: unknown; readonly text: string };

/**
 * Server-side apply, as `kubectl apply --server-side`. Any status is an answer; but a test that writes to what is still being
 * deleted has a race: an API server takes it with 200, and it goes with the last finalizer. So that is thrown.
 */
export async function apply(plane: Api, object: Manifest, query = ''): Promise<Applied> {
  const path = `${pathOf(object)}?fieldManager=kubectl&force=true&fieldValidation=Strict${query}`;
  const reply = await plane.request('PATCH', path, { body: object, contentType: 'application/apply-patch+yaml' });
  const { metadata } = (reply.body ?? {}) as { metadata?: { deletionTimestamp?: string; finalizers?: string[] } };
  if (reply.status < 300 && metadata?.deletionTimestamp !== undefined)
    throw new Error(`applied to ${path} while its deletion waits for ${metadata.finalizers?.join(', ') ?? 'nobody'}`);
  return reply;
}

/** Deletes, and waits until the last finalizer has let it go; throws with what is left of it when `ms` have passed. */
export async function removeAndWait(
  plane: Api,
  object: Pick<Manifest, 'apiVersion' | 'kind' | 'metadata'>,
  ms = 120_000,
): Promise<void> {
  const end = Date.now() + ms;
  // Right after readyz custom resources answer 429 or 503.
  let last = await plane.request('DELETE', pathOf(object));
  while (last.status >= 429 && Date.now() < end) {
    await sleep(100);
    last = await plane.request('DELETE', pathOf(object));
  }
  if (last.status >= 400 && last.status !== 404) throw new Error(`${pathOf(object)}: ${last.status} ${last.text}`);
  for (; last.status !== 404; last = await plane.request('GET', pathOf(object))) {
    if (Date.now() > end) throw new Error(`${pathOf(object)} is still there: ${last.status} ${last.text}`);
    await sleep(50);
  }
}

export async function applyOrThrow(plane: Api, object: Manifest): Promise<void> {
  const { status, text } = await apply(plane, object);
  if (status !== 200 && status !== 201) throw new Error(`${object.kind} ${object.metadata.name}: ${status} ${text}`);
}

/** Again while the API server has no time, as right after readyz; throws at any other refusal. */
export async function applyPatiently(plane: Api, object: Manifest): Promise<void> {
  for (;;) {
    const reply = await apply(plane, object);
    if (reply.status < 300) return;
    if (reply.status < 429) throw new Error(reply.text);
    await sleep(100);
  }
}

/** All of deploy/ but the workloads, which run as processes here; waits until the custom resources are served. */
export async function installOperator(plane: Api): Promise<void> {
  const objects = kustomized(join(ROOT, 'deploy')).filter((o) => o.kind !== 'Deployment' && o.kind !== 'DaemonSet');
  const first = ['CustomResourceDefinition', 'Namespace'];
  for (const o of objects.filter(({ kind }) => first.includes(kind))) await applyOrThrow(plane, o);
  for (const o of objects.filter(({ kind }) => !first.includes(kind))) await applyOrThrow(plane, o);
  for (const plural of ['auditconfigs', 'auditnodes', 'datacenterauditconfigs'])
    while ((await plane.request('GET', `/apis/auditconfig.dev/v1alpha1/${plural}`)).status !== 200) await sleep(50);
}

/** A Node without a kubelet: what the controller sees of a control-plane node. */
export async function createNode(
  plane: Api,
  name: string,
  address = '127.0.0.1',
): Promise<{ readonly name: string; readonly uid: string }> {
  const labels = { 'node-role.kubernetes.io/control-plane': '', 'kubernetes.io/os': 'linux' };
  const status = { addresses: [{ type: 'InternalIP', address }] };
  const body = { apiVersion: 'v1', kind: 'Node', metadata: { name, labels }, status };
  const made = await plane.request('POST', '/api/v1/nodes', { body });
  if (made.status !== 201) throw new Error(`Node ${name}: ${made.status} ${made.text}`);
  return { name, uid: (made.body as { metadata: { uid: string } }).metadata.uid };
}

/** A token of a service account as a kubelet would mount it, bound to a Node where one is given. */
export async function tokenOf(
  plane: Api,
  account: string,
  node?: { readonly name: string; readonly uid: string },
): Promise<string> {
  const boundObjectRef = node === undefined ? {} : { boundObjectRef: { apiVersion: 'v1', kind: 'Node', ...node } };
  const body = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { expirationSeconds: 7200, ...boundObjectRef },
  };
  const path = `/api/v1/namespaces/${OPERATOR_NAMESPACE}/serviceaccounts/${account}/token`;
  const made = await plane.request('POST', path, { body });
  if (made.status !== 201) throw new Error(`token of ${account}: ${made.status} ${made.text}`);
  return (made.body as { status: { token: string } }).status.token;
}

export function kubeconfigOf(plane: Pick<ControlPlane, 'url' | 'ca'>, token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test', namespace: OPERATOR_NAMESPACE } }],
    clusters: [
      {
        name: 'test',
        cluster: { server: plane.url, 'certificate-authority-data': Buffer.from(plane.ca).toString('base64') },
      },
    ],
    users: [{ name: 'test', user: { token } }],
  });
}
