/**
 * The words that requests to an API server are made of, for suggestions and for "this resource is in another group".
 * From the built-in APIs of Kubernetes 1.36 (and 1.35); custom resources are unknown by nature, so that a word missing
 * here proves nothing: what uses these lists only warns.
 */

/** Verbs of requests to resources; `use`, `bind` and the like never come with a request. */
export const RESOURCE_VERBS = [
  'get',
  'list',
  'watch',
  'create',
  'update',
  'patch',
  'delete',
  'deletecollection',
  'proxy',
] as const;

/** Verbs of requests to other URLs: HTTP methods in lower case. */
export const NON_RESOURCE_VERBS = [
  'get',
  'post',
  'put',
  'patch',
  'delete',
  'head',
  'options',
  'connect',
  'trace',
] as const;

/** Built-in resources by API group, in the order of their use in audit policies. */
export const RESOURCES_BY_GROUP: Readonly<Record<string, readonly string[]>> = {
  '': [
    'pods',
    'secrets',
    'configmaps',
    'services',
    'endpoints',
    'nodes',
    'namespaces',
    'events',
    'serviceaccounts',
    'persistentvolumes',
    'persistentvolumeclaims',
    'replicationcontrollers',
    'resourcequotas',
    'limitranges',
    'podtemplates',
    'bindings',
    'componentstatuses',
  ],
  apps: ['deployments', 'daemonsets', 'statefulsets', 'replicasets', 'controllerrevisions'],
  batch: ['jobs', 'cronjobs'],
  'rbac.authorization.k8s.io': ['roles', 'rolebindings', 'clusterroles', 'clusterrolebindings'],
  'authentication.k8s.io': ['tokenreviews', 'selfsubjectreviews'],
  'authorization.k8s.io': [
    'subjectaccessreviews',
    'localsubjectaccessreviews',
    'selfsubjectaccessreviews',
    'selfsubjectrulesreviews',
  ],
  'certificates.k8s.io': ['certificatesigningrequests', 'clustertrustbundles', 'podcertificaterequests'],
  'coordination.k8s.io': ['leases', 'leasecandidates'],
  'networking.k8s.io': ['networkpolicies', 'ingresses', 'ingressclasses', 'ipaddresses', 'servicecidrs'],
  policy: ['poddisruptionbudgets'],
  autoscaling: ['horizontalpodautoscalers'],
  'storage.k8s.io': [
    'storageclasses',
    'volumeattachments',
    'csidrivers',
    'csinodes',
    'csistoragecapacities',
    'volumeattributesclasses',
  ],
  'storagemigration.k8s.io': ['storageversionmigrations'],
  'admissionregistration.k8s.io': [
    'mutatingwebhookconfigurations',
    'validatingwebhookconfigurations',
    'validatingadmissionpolicies',
    'validatingadmissionpolicybindings',
    'mutatingadmissionpolicies',
    'mutatingadmissionpolicybindings',
  ],
  'apiextensions.k8s.io': ['customresourcedefinitions'],
  'apiregistration.k8s.io': ['apiservices'],
  'discovery.k8s.io': ['endpointslices'],
  'events.k8s.io': ['events'],
  'flowcontrol.apiserver.k8s.io': ['flowschemas', 'prioritylevelconfigurations'],
  'node.k8s.io': ['runtimeclasses'],
  'scheduling.k8s.io': ['priorityclasses', 'workloads'],
  'resource.k8s.io': [
    'resourceclaims',
    'resourceclaimtemplates',
    'resourceslices',
    'deviceclasses',
    'devicetaintrules',
  ],
  'internal.apiserver.k8s.io': ['storageversions'],
  'metrics.k8s.io': ['pods', 'nodes'],
};

/** Built-in subresources, by resource. */
export const SUBRESOURCES: Readonly<Record<string, readonly string[]>> = {
  pods: [
    'attach',
    'binding',
    'ephemeralcontainers',
    'eviction',
    'exec',
    'log',
    'portforward',
    'proxy',
    'resize',
    'status',
  ],
  services: ['proxy', 'status'],
  nodes: ['proxy', 'status'],
  namespaces: ['finalize', 'status'],
  serviceaccounts: ['token'],
  deployments: ['scale', 'status'],
  statefulsets: ['scale', 'status'],
  replicasets: ['scale', 'status'],
  replicationcontrollers: ['scale', 'status'],
  certificatesigningrequests: ['approval', 'status'],
};

/** Groups, `''` for the core group first. */
export const GROUPS: readonly string[] = Object.keys(RESOURCES_BY_GROUP);

/** Every built-in resource name, once. */
export const RESOURCES: readonly string[] = [...new Set(Object.values(RESOURCES_BY_GROUP).flat())];

/** Built-in groups that have a resource of this name (without subresource); empty for an unknown one. */
export function groupsOf(resource: string): readonly string[] {
  return GROUPS.filter((group) => RESOURCES_BY_GROUP[group]?.includes(resource) === true);
}
