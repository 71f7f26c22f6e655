/**
 * The attack patterns that an audit log should show, as data: which requests make each of them up, the least level that
 * says enough, and the stages of which one must be kept. `detections.ts` holds a policy against them. Sources: the
 * detection rules that public rule sets for Kubernetes audit logs share, and the CIS benchmark's 3.2.2.
 *
 * Every variant of a detection must be seen: an exec over a websocket is a get, a secret is also read by a watch, and an
 * intruder may hold a person's, a workload's, a node's or a system component's credentials.
 */
import type { Level, RequestAttributes, Stage } from '../api/audit.ts';

export type Variant = {
  readonly request: RequestAttributes;
  /** The detection works if any of these stages is logged. */
  readonly anyStage: readonly Stage[];
};
export type Detection = {
  /** Stable, kebab-case. */
  readonly id: string;
  readonly name: string;
  /** The least level whose events say enough. */
  readonly level: Exclude<Level, 'None'>;
  readonly variants: readonly Variant[];
};

type Who = Pick<RequestAttributes, 'user' | 'groups'>;

export const serviceAccount = (namespace: string, name: string): Who => ({
  user: `system:serviceaccount:${namespace}:${name}`,
  groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
});
export const PERSON: Who = { user: 'alice', groups: ['system:authenticated'] };
const WORKLOAD = serviceAccount('shop', 'deployer');
export const NODE: Who = { user: 'system:node:node-1', groups: ['system:nodes', 'system:authenticated'] };
const SYSTEM_ACCOUNT = serviceAccount('kube-system', 'metrics-server');
const CONTROLLERS = [
  serviceAccount('kube-system', 'replicaset-controller'),
  serviceAccount('kube-system', 'daemon-set-controller'),
];
export const ANONYMOUS: Who = { user: 'system:anonymous', groups: ['system:unauthenticated'] };
/** Credentials that were refused (401): there is no user at all, and the only event is ResponseStarted. */
export const REFUSED: Who = { groups: [] };
const ORDINARY = [PERSON, WORKLOAD];
const ANYONE = [PERSON, WORKLOAD, SYSTEM_ACCOUNT];

const WRITES = ['create', 'update', 'patch', 'delete'];
const SHORT: readonly Stage[] = ['ResponseComplete'];
const LONG: readonly Stage[] = ['ResponseStarted', 'ResponseComplete'];
/** A shell may stay open for days: an alert at its end comes too late. */
const AT_START: readonly Stage[] = ['ResponseStarted'];

/** `group/resource[/subresource]`; the core group is empty: `/pods/exec`. */
type What = { readonly on: string; readonly namespace?: string; readonly name?: string };
type Ask = What & {
  readonly verbs: readonly string[];
  readonly by?: readonly Who[];
  readonly stages?: readonly Stage[];
};

/** POST and collections have no name in the request, whatever the body says. */
const NAMELESS = ['create', 'list', 'deletecollection'];

function ask(a: Ask): Variant[] {
  const [group = '', resource = '', subresource = ''] = a.on.split('/');
  const nameOf = (verb: string): string => (NAMELESS.includes(verb) && subresource === '' ? '' : (a.name ?? 'x'));
  return a.verbs.flatMap((verb) =>
    (a.by ?? ORDINARY).map((who): Variant => ({
      request: {
        kind: 'Resource',
        ...who,
        ...{ verb, group, version: 'v1', resource, subresource, namespace: a.namespace ?? '', name: nameOf(verb) },
      },
      anyStage: a.stages ?? (verb === 'watch' ? LONG : SHORT),
    })),
  );
}

const RBAC = 'rbac.authorization.k8s.io';
const namespace = 'shop';

const metadata = (id: string, name: string, ...variants: readonly Variant[][]): Detection => ({
  id,
  name,
  level: 'Metadata',
  variants: variants.flat(),
});
const body = (id: string, name: string, ...variants: readonly Variant[][]): Detection => ({
  ...metadata(id, name, ...variants),
  level: 'Request',
});

export const DETECTIONS: readonly Detection[] = [
  metadata(
    'list-secrets',
    'Secrets listed',
    ask({ on: '/secrets', verbs: ['list', 'watch'] }),
    ask({ on: '/secrets', verbs: ['list', 'watch'], namespace }),
  ),
  metadata('get-secret', 'A Secret read', ask({ on: '/secrets', verbs: ['get'], namespace, by: ANYONE })),
  metadata(
    'exec',
    'A command run in a container',
    ask({ on: '/pods/exec', verbs: ['create', 'get'], namespace, by: ANYONE, stages: AT_START }),
  ),
  metadata(
    'attach',
    'Attached to a container',
    ask({ on: '/pods/attach', verbs: ['create', 'get'], namespace, by: ANYONE, stages: AT_START }),
  ),
  metadata(
    'port-forward',
    'A port of a Pod forwarded',
    ask({ on: '/pods/portforward', verbs: ['create', 'get'], namespace, by: ANYONE, stages: LONG }),
  ),
  metadata(
    'ephemeral-container',
    'A container injected into a Pod',
    ask({ on: '/pods/ephemeralcontainers', verbs: ['patch', 'update'], namespace }),
  ),
  metadata(
    'node-proxy',
    "A kubelet's API used through the API server",
    ask({ on: '/nodes/proxy', verbs: ['get', 'create'], by: ANYONE, stages: LONG }),
  ),
  metadata(
    'token-request',
    'A service account token requested',
    ask({ on: '/serviceaccounts/token', verbs: ['create'], namespace, by: [...ANYONE, NODE] }),
  ),
  body(
    'privileged-pod',
    'A privileged or host-namespace Pod made',
    ask({ on: '/pods', verbs: ['create'], namespace, by: [...ORDINARY, ...CONTROLLERS] }),
  ),
  body(
    'deployment-change',
    'A Deployment made or changed',
    ask({ on: 'apps/deployments', verbs: ['create', 'update', 'patch'], namespace }),
  ),
  metadata('daemonset-create', 'A DaemonSet made', ask({ on: 'apps/daemonsets', verbs: ['create'], namespace })),
  metadata('cronjob-write', 'A CronJob written', ask({ on: 'batch/cronjobs', verbs: WRITES, namespace })),
  body(
    'clusterrolebinding-write',
    'A ClusterRoleBinding written',
    ask({ on: `${RBAC}/clusterrolebindings`, verbs: WRITES }),
  ),
  body('clusterrole-create', 'A ClusterRole made', ask({ on: `${RBAC}/clusterroles`, verbs: ['create'] })),
  {
    ...metadata('clusterrole-patch', 'A ClusterRole patched', ask({ on: `${RBAC}/clusterroles`, verbs: ['patch'] })),
    level: 'RequestResponse',
  },
  metadata('rolebinding-write', 'A RoleBinding written', ask({ on: `${RBAC}/rolebindings`, verbs: WRITES, namespace })),
  metadata(
    'admission-webhook-write',
    'An admission webhook written',
    ask({ on: 'admissionregistration.k8s.io/mutatingwebhookconfigurations', verbs: WRITES }),
    ask({ on: 'admissionregistration.k8s.io/validatingwebhookconfigurations', verbs: WRITES }),
  ),
  metadata(
    'csr-create',
    'A client certificate asked for',
    ask({ on: 'certificates.k8s.io/certificatesigningrequests', verbs: ['create'] }),
  ),
  metadata(
    'csr-approve',
    'A client certificate approved',
    ask({ on: 'certificates.k8s.io/certificatesigningrequests/approval', verbs: ['update', 'patch'] }),
  ),
  metadata(
    'events-delete',
    'Events deleted',
    ask({ on: '/events', verbs: ['delete', 'deletecollection'], namespace }),
    ask({ on: 'events.k8s.io/events', verbs: ['delete', 'deletecollection'], namespace }),
  ),
  metadata(
    'coredns-write',
    "CoreDNS' ConfigMap written",
    ask({ on: '/configmaps', verbs: ['update', 'patch', 'delete'], namespace: 'kube-system', name: 'coredns' }),
  ),
  metadata(
    'permissions-enumerated',
    'Own permissions enumerated',
    ask({ on: 'authorization.k8s.io/selfsubjectrulesreviews', verbs: ['create'], by: ANYONE }),
  ),
  metadata(
    'kube-system-account',
    'A ServiceAccount made in kube-system',
    ask({ on: '/serviceaccounts', verbs: ['create'], namespace: 'kube-system' }),
  ),
  metadata(
    'anonymous',
    'An anonymous or refused request',
    ask({ on: '/pods', verbs: ['list', 'create'], namespace, by: [ANONYMOUS] }),
    ask({ on: '/secrets', verbs: ['get', 'list'], namespace, by: [ANONYMOUS] }),
    ask({ on: '/pods', verbs: ['list', 'watch', 'create'], namespace, by: [REFUSED], stages: AT_START }),
  ),
  body(
    'node-port',
    'A Service opened on node ports',
    ask({ on: '/services', verbs: ['create', 'update', 'patch'], namespace }),
  ),
  metadata(
    'node-reads-secrets',
    'A node reads Secrets',
    ask({ on: '/secrets', verbs: ['get', 'list', 'watch'], namespace, by: [NODE] }),
  ),
  metadata(
    'system-account-lists-secrets',
    'A service account of kube-system lists Secrets',
    ask({ on: '/secrets', verbs: ['list', 'watch'], by: [SYSTEM_ACCOUNT] }),
  ),
  metadata('deployment-delete', 'A Deployment deleted', ask({ on: 'apps/deployments', verbs: ['delete'], namespace })),
  metadata('pod-log', "A container's log read", ask({ on: '/pods/log', verbs: ['get'], namespace, stages: LONG })),
  metadata(
    'impersonation',
    'A request in the name of another',
    // The policy sees who asks, not in whose name: only what ordinary identities do at all can stand for it.
    ask({ on: '/pods', verbs: ['get', 'list', 'create', 'delete'], namespace }),
    ask({ on: '/configmaps', verbs: ['get', 'list', 'update'], namespace }),
    ask({ on: '/namespaces', verbs: ['get', 'list', 'watch'] }),
  ),
  body(
    'image-without-digest',
    'An image without a digest run',
    ask({ on: '/pods', verbs: ['create', 'update', 'patch'], namespace }),
    ask({ on: '/pods', verbs: ['create'], namespace, by: CONTROLLERS }),
  ),
];
