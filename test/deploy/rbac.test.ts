/**
 * What deploy/ permits is exactly what the code asks for. Every place in src/controllers and src/agent that speaks to
 * the API is found in the sources; the table below says with which objects each of them deals. A new place, one that is
 * gone, a right too many and one too few fail.
 */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ownerOf } from '../../src/targets/managed.ts';
import { OWNER_KINDS } from '../../src/targets/owners/types.ts';
import type { OwnerKind } from '../../src/targets/owners/types.ts';
import { BUNDLES_NAMESPACE, OPERATOR_NAMESPACE, ROOT, kustomized } from '../operator/install.ts';
import { VERBS, grantedTo, requestSites, rightText, rulesOf } from './rights.ts';

const OBJECTS = kustomized(join(ROOT, 'deploy'));
const CONFIGS = 'auditconfigs.auditconfig.dev';
const NODES = 'auditnodes.auditconfig.dev';
const DATACENTERS = 'datacenterauditconfigs.auditconfig.dev';
const DATA = ['configmaps', 'secrets'];
const NETWORK_POLICIES = 'networkpolicies.networking.k8s.io';
const WORKLOADS = ['deployments.apps', 'statefulsets.apps'];

/** Roles that a binding of ours names. */
const BOUND = new Set(
  OBJECTS.filter(({ kind }) => kind.endsWith('RoleBinding')).map((o) => {
    const ref = o['roleRef'] as { kind: string; name: string };
    return `${ref.kind} ${ref.name}`;
  }),
);

type Use = {
  readonly resources: readonly string[];
  readonly where: string;
  readonly verbs?: readonly string[];
  readonly name?: string | readonly string[];
};
const everywhere = (...resources: string[]): Use => ({ resources, where: '*' });
const bundles: Use = { resources: DATA, where: BUNDLES_NAMESPACE };
const restarts: Use = { resources: ['leases.coordination.k8s.io'], where: BUNDLES_NAMESPACE };
const referenced = (...resources: string[]): Use => ({ resources, where: OPERATOR_NAMESPACE });
/** A maker's requests are in a file of src/kube. */
const made = (file: string, resource: string): Use => ({
  ...everywhere(resource),
  verbs: [...new Set(requestSites(file).flatMap((site) => VERBS[site.split(' ')[0] ?? ''] ?? []))],
});
const EVENTS = made('kube/events.ts', 'events.events.k8s.io');

/** Of the controller too, wherever an administrator binds the role. */
const HOSTED: Readonly<Record<string, Use>> = {
  'get workload': everywhere(...WORKLOADS),
  'get candidates': everywhere(...WORKLOADS),
  'jsonPatch of': everywhere(...WORKLOADS),
  'reflect referenced': everywhere(...DATA),
  'list histories': everywhere('replicasets.apps', 'controllerrevisions.apps'),
  'list published': everywhere(...DATA),
  'get published': everywhere(...DATA),
  'create published': everywhere(...DATA),
  'mergePatch published': everywhere(...DATA),
  'delete published': everywhere(...DATA),
  // Of the hosted API server itself, as whom its kubeconfig says.
  'readMetrics transport': everywhere(),
  'knock path': everywhere(),
  // What owners make of their objects.
  'get made': everywhere(),
  'list PODS': everywhere('pods'),
  'delete PODS': everywhere('pods'),
  'apply NETWORK_POLICIES': everywhere(NETWORK_POLICIES),
  'delete NETWORK_POLICIES': everywhere(NETWORK_POLICIES),
};
/** Those of src/controllers/hosted that need what the controller has everywhere. */
const ASKED = 'raw `/apis/${group}/${version}`';
const HOSTED_BESIDES = [
  'mergePatch AUDIT_CONFIGS',
  'reflect workloads',
  'reflect NETWORK_POLICIES',
  'reflect SERVICES',
  'reflect ENDPOINT_SLICES',
  'list SERVICES',
  'list SERVICE_CIDRS',
  'page NODES',
  'reflect owned',
  'reflect discovered',
  'create AUDIT_CONFIGS',
  ASKED,
];

/** Rights on an owner's API, of a component that is opt-in: the same sites. */
const OWNED: Readonly<Record<string, readonly string[]>> = {
  watch: ['reflect owned'],
  owner: ['get workload', 'jsonPatch of'],
};

/** On what an owner makes: in the namespace of its object, and in one of its own. */
function rightsOnMade(kind: OwnerKind, right: (verb: string, resource: string) => string) {
  const at = { namespace: 'here', name: 'one' };
  const { made } = ownerOf(kind);
  const all = Object.entries(made?.objects(at) ?? {}).map(([what, { group, plural, namespace }]) => ({
    isBeside: namespace === at.namespace,
    rights: (what === made?.leaves?.in ? ['get', 'patch'] : ['get']).map((verb) =>
      right(verb, group === '' ? plural : `${plural}.${group}`),
    ),
  }));
  const of = (isBeside: boolean): readonly string[] => all.flatMap((m) => (m.isBeside === isBeside ? m.rights : []));
  const onPods = made?.pods === undefined ? [] : [...(VERBS['apply'] ?? []), 'delete'].map((verb) => right(verb, NETWORK_POLICIES));
  return { beside: [...of(true), ...onPods], elsewhere: of(false) };
}

const USES: Readonly<Record<'controller' | 'agent', Readonly<Record<string, Use>>>> = {
  controller: {
    'reflect AUDIT_CONFIGS': everywhere(CONFIGS),
    'reflect AUDIT_NODES': everywhere(NODES),
    'reflect NODES': everywhere('nodes'),
    'reflect workloads': everywhere(...WORKLOADS),
    'get NODES': everywhere('nodes'),
    // What restricts hosted API servers, where their webhooks are, and what is the cluster's own.
    'reflect NETWORK_POLICIES': everywhere(NETWORK_POLICIES),
    'reflect SERVICES': everywhere('services'),
    'reflect ENDPOINT_SLICES': everywhere('endpointslices.discovery.k8s.io'),
    'list SERVICES': everywhere('services'),
    'list SERVICE_CIDRS': everywhere('servicecidrs.networking.k8s.io'),
    'page NODES': everywhere('nodes'),
    'reflect LEASES': { ...restarts, name: 'auditconfig-restart' },
    'mergePatch LEASES': { ...restarts, name: 'auditconfig-restart' },
    // Creation knows no name: RBAC cannot restrict it.
    'create LEASES': restarts,
    'reflect CONFIG_MAPS': referenced('configmaps'),
    'reflect SECRETS': referenced('secrets'),
    'reflect KUBEADM_CONFIGS': { resources: ['configmaps'], where: 'kube-system', name: 'kubeadm-config' },
    'jsonPatch KUBEADM_CONFIGS': { resources: ['configmaps'], where: 'kube-system', name: 'kubeadm-config' },
    'get CRDS': {
      ...everywhere('customresourcedefinitions.apiextensions.k8s.io'),
      name: [CONFIGS, DATACENTERS],
    },
    // What a datacenter says, and an AuditConfig's last valid settings: beside the revisions.
    'create CONFIG_MAPS': { resources: ['configmaps'], where: BUNDLES_NAMESPACE },
    'get CONFIG_MAPS': { resources: ['configmaps'], where: BUNDLES_NAMESPACE },
    'list CONFIG_MAPS': { resources: ['configmaps'], where: BUNDLES_NAMESPACE },
    'delete CONFIG_MAPS': { resources: ['configmaps'], where: BUNDLES_NAMESPACE },
    'create SECRETS': { resources: ['secrets'], where: BUNDLES_NAMESPACE },
    'get SECRETS': { resources: ['secrets'], where: BUNDLES_NAMESPACE },
    'delete SECRETS': { resources: ['secrets'], where: BUNDLES_NAMESPACE },
    // Shippers; an admission policy holds them to what they are (test/operator/shipping.plane.test.ts).
    'reflect DAEMON_SETS': referenced('daemonsets.apps'),
    'apply DAEMON_SETS': referenced('daemonsets.apps'),
    'delete DAEMON_SETS': referenced('daemonsets.apps'),
    'reflect DATACENTERS': everywhere(DATACENTERS),
    'mergePatch DATACENTERS': everywhere(DATACENTERS),
    'createStatusWriter DATACENTERS': made('kube/status.ts', `${DATACENTERS.replace('.', '/status.')}`),
    'reflect NAMESPACES': everywhere('namespaces'),
    'get want.resource': referenced(...DATA),
    'mergePatch AUDIT_CONFIGS': everywhere(CONFIGS),
    'apply AUDIT_NODES': everywhere(NODES),
    'delete AUDIT_NODES': everywhere(NODES),
    'create resource': bundles,
    'get resource': bundles,
    'list resource': bundles,
    'delete resource': bundles,
    'createStatusWriter AUDIT_CONFIGS': made('kube/status.ts', `${CONFIGS.replace('.', '/status.')}`),
    createEventRecorder: EVENTS,
    createElection: { resources: [], where: OPERATOR_NAMESPACE },
    "raw '/version'": everywhere(),
    // Discovery, which everybody may ask who is authenticated.
    [ASKED]: everywhere(),
    'reflect owned': everywhere(),
    'reflect discovered': everywhere(...WORKLOADS),
    'create AUDIT_CONFIGS': everywhere(CONFIGS),
  },
  agent: {
    'reflect AUDIT_NODES': everywhere(NODES),
    'get resource': bundles,
    'get SECRETS': { resources: ['secrets'], where: BUNDLES_NAMESPACE },
    'createStatusWriter AUDIT_NODES': made('kube/status.ts', `${NODES.replace('.', '/status.')}`),
    createEventRecorder: EVENTS,
    "raw '/version'": everywhere(),
    "knock '/readyz'": everywhere('/readyz'),
    'readMetrics transport': { ...everywhere('/metrics'), verbs: ['get'] },
    'reflect LEASES': { ...restarts, name: 'auditconfig-restart' },
    'get LEASES': { ...restarts, name: 'auditconfig-restart' },
    'mergePatch LEASES': { ...restarts, name: 'auditconfig-restart' },
  },
};

/** The leader's lease: one name, but creation knows no name (RBAC cannot restrict it). */
function leaseRights(): readonly string[] {
  const verbs = new Set(requestSites('kube/lease.ts').flatMap((site) => VERBS[site.split(' ')[0] ?? ''] ?? []));
  return [...verbs].map((verb) =>
    rightText({
      where: OPERATOR_NAMESPACE,
      resource: 'leases.coordination.k8s.io',
      verb,
      ...(verb === 'create' ? {} : { name: 'auditconfig-controller' }),
    }),
  );
}

const usedBy = (component: 'controller' | 'agent'): readonly string[] => {
  const all = Object.entries(USES[component]).flatMap(([site, { resources, where, verbs, name }]) =>
    resources.flatMap((resource) =>
      (verbs ?? VERBS[site.split(' ')[0] ?? ''] ?? []).flatMap((verb) =>
        [name ?? [undefined]].flat().map((one) => rightText({ where, resource, verb, ...(one === undefined ? {} : { name: one }) })),
      ),
    ),
  );
  return [...new Set([...all, ...(component === 'controller' ? leaseRights() : [])])].sort();
};

describe('the rights in deploy/', () => {
  it.each([
    ['controller', 'controllers'],
    ['agent', 'agent'],
  ] as const)('of the %s: the table names every place that speaks to the API', (component, room) => {
    const hosted = component === 'controller' ? Object.keys(HOSTED) : [];
    expect(requestSites(room)).toEqual([...Object.keys(USES[component]), ...hosted].sort());
  });

  it.each(['controller', 'agent'] as const)('of the %s are exactly those that it uses', (component) => {
    expect(grantedTo(component, OBJECTS)).toEqual(usedBy(component));
  });

  it('in namespaces of hosted control planes are exactly those that it uses there, and bound nowhere by us', () => {
    expect(requestSites('controllers/hosted')).toEqual([...Object.keys(HOSTED), ...HOSTED_BESIDES].sort());
    const used = Object.entries(HOSTED).flatMap(([site, { resources }]) =>
      resources.flatMap((resource) =>
        (VERBS[site.split(' ')[0] ?? ''] ?? []).map((verb) => rightText({ where: '*', resource, verb })),
      ),
    );
    expect(grantedTo('hosted', OBJECTS)).toEqual([...new Set(used)].sort());
    expect(BOUND.has('ClusterRole auditconfig-hosted')).toBe(false);
  });

  it.each(OWNER_KINDS)('on %s are a component of their own, which gives what is used and binds only the watch', (kind) => {
    const { group, plural, home } = ownerOf(kind).api;
    const component = `${kind.toLowerCase()}s`;
    const objects = kustomized(join(ROOT, `deploy/owners/${component}`));
    const right = (verb: string, resource: string): string => rightText({ where: '*', resource, verb });
    const used = (sites: readonly string[]): string[] =>
      sites.flatMap((s) => (VERBS[s.split(' ')[0] ?? ''] ?? []).map((verb) => right(verb, `${plural}.${group}`)));
    const data = Object.entries(HOSTED).filter(([, { resources }]) => resources.join() === DATA.join());
    const ofMade = rightsOnMade(kind, right);
    const [watch = [], owner = []] = [OWNED['watch'], OWNED['owner']];
    // What has no namespace is reached by no RoleBinding.
    const [wide, narrow] = home === undefined ? [watch, owner] : [[...watch, ...owner], []];
    const ofData = data.flatMap(([site]) => (VERBS[site.split(' ')[0] ?? ''] ?? []).flatMap((verb) => DATA.map((r) => right(verb, r))));
    expect(grantedTo(`watch-${component}`, objects)).toEqual(used(wide).sort());
    expect(grantedTo(`owner-${component}`, objects)).toEqual([...new Set([...used(narrow), ...ofData, ...ofMade.beside])].sort());
    expect(grantedTo(`made-${component}`, objects)).toEqual([...new Set(ofMade.elsewhere)].sort());
    const bound = objects.filter((o) => o.kind.endsWith('Binding')).map((o) => (o['roleRef'] as { name: string }).name);
    expect(bound).toEqual([`auditconfig-watch-${component}`]);
  });

  it('of whoever writes an AuditConfig are asked for on every kind of owner', () => {
    const policy = JSON.stringify(OBJECTS.find((o) => o.kind === 'ValidatingAdmissionPolicy' && o.metadata.name === 'auditconfig-hosted-writer'));
    for (const kind of OWNER_KINDS) {
      const { group, plural, home } = ownerOf(kind).api;
      const member = `object.spec.target.${kind.charAt(0).toLowerCase()}${kind.slice(1)}`;
      expect(policy).toContain(`'${kind}': ['${group}', '${plural}']`);
      expect(policy).toContain(`object.spec.target.type == '${kind}' && has(${member})`);
      expect(policy).toContain(`variables.kind == '${kind}' ? ${member}.name`);
      expect(/variables\.kind in \[([^\]]*)\]/.exec(policy)?.[1]?.includes(`'${kind}'`)).toBe(home !== undefined);
    }
  });

  const roles = OBJECTS.filter(({ kind }) => kind === 'Role' || kind === 'ClusterRole');

  it('hold no wildcard', () => {
    expect(roles.length).toBeGreaterThan(3);
    const wild = roles.filter((o) => /"[^"]*\*[^"]*"/.test(JSON.stringify(rulesOf(o))));
    expect(wild.map((o) => o.metadata.name)).toEqual([]);
  });

  it('let nobody read Secrets or ConfigMaps of all namespaces', () => {
    // One that is bound nowhere gives nothing: administrators bind it in single namespaces.
    const wide = roles.filter((o) => o.kind === 'ClusterRole' && BOUND.has(`ClusterRole ${o.metadata.name}`));
    expect(wide.length).toBe(2);
    const resources = wide.flatMap((o) => rulesOf(o).flatMap((r) => r.resources ?? []));
    expect(resources.filter((r) => DATA.includes(r))).toEqual([]);
    // A ClusterRole of somebody else, bound here, would be a way around.
    const bound = OBJECTS.filter(({ kind }) => kind.endsWith('RoleBinding')).map((o) => o['roleRef']);
    const ours = new Set(roles.map((o) => `${o.kind} ${o.metadata.name}`));
    const foreign = (bound as { kind: string; name: string }[]).filter((r) => !ours.has(`${r.kind} ${r.name}`));
    expect(foreign).toEqual([]);
  });
});
