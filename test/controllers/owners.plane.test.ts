/**
 * Owners' own APIs on real API servers, with the controller and the rights that ship. The CRDs are minimal ones
 * (owners-crds.ts), and the owners' controllers are played (owner-played.ts).
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { managedView, ownerOf } from '../../src/targets/managed.ts';
import type { MadeObject, OwnerKind } from '../../src/targets/owners/types.ts';
import { egressName } from '../../src/render/egress/policy.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { PLANE_VERSIONS } from '../control-plane/versions.ts';
import { ROOT, applyOrThrow, applyPatiently, installOperator, kustomized, removeAndWait } from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';
import { ownerSample } from '../targets/contract/owner.ts';
import { componentOf, OwnedPlayed, ownerNamespace } from './owner-played.ts';
import type { OwnedObject, Playing } from './owner-played.ts';
import { configOn, startController, untilSaid } from './running.ts';
import type { ConfigView } from './running.ts';
import { kamaji } from './kamaji-played.ts';
import { kkp } from './kkp-played.ts';
import { hypershift } from './hypershift-played.ts';
import {
  HOSTED_CLUSTER,
  HOSTED_CONTROL_PLANE,
  KUBEADM_CONTROL_PLANE,
  KUBERMATIC_CLUSTER,
  SHOOT,
  TENANT_CONTROL_PLANE,
} from './owners-crds.ts';

type Case = {
  readonly kind: OwnerKind;
  readonly version: string;
  readonly crd: Manifest;
  readonly sample: string;
  readonly status: (live: OwnedObject, ready: boolean) => Record<string, unknown>;
  readonly make?: Playing['make'];
  /** CRDs of what it makes. */
  readonly also?: readonly Manifest[];
  /** Two policies that it can say; unset: what an AuditConfig gets by itself, and minimal. */
  readonly policies?: readonly [object, object];
};

const kcpStatus =
  (updated: string) =>
  ({ metadata, spec }: OwnedObject, ready: boolean): Record<string, unknown> => {
    const all = Number(spec['replicas']);
    return {
      observedGeneration: metadata.generation,
      replicas: all,
      [updated]: ready ? all : 1,
      readyReplicas: ready ? all : all - 1,
    };
  };
const V1BETA1: Case = {
  kind: 'KubeadmControlPlane',
  version: 'v1beta1',
  crd: KUBEADM_CONTROL_PLANE.v1beta1,
  sample: 'kubeadmcontrolplane-v1beta1',
  status: kcpStatus('updatedReplicas'),
};
const V1BETA2: Case = {
  kind: 'KubeadmControlPlane',
  version: 'v1beta2',
  crd: KUBEADM_CONTROL_PLANE.v1beta2,
  sample: 'kubeadmcontrolplane-v1beta2',
  status: kcpStatus('upToDateReplicas'),
};

const TENANT: Case = {
  kind: 'TenantControlPlane',
  version: 'v1alpha1',
  crd: TENANT_CONTROL_PLANE,
  sample: 'tenantcontrolplane-plain',
  status: ({ metadata }) => ({ observedGeneration: metadata.generation }),
  make: kamaji,
};
const KKP: Case = {
  kind: 'KubermaticCluster',
  version: 'v1',
  crd: KUBERMATIC_CLUSTER,
  sample: 'kubermaticcluster',
  status: () => ({}),
  make: kkp,
};
const GARDENER: Case = {
  kind: 'Shoot',
  version: 'v1beta1',
  crd: SHOOT,
  sample: 'shoot',
  status: ({ metadata }, ready) => ({
    observedGeneration: metadata.generation,
    lastOperation: { state: ready ? 'Succeeded' : 'Processing' },
  }),
};
const OPENSHIFT: Case = {
  kind: 'HostedCluster',
  version: 'v1beta1',
  crd: HOSTED_CLUSTER,
  also: [HOSTED_CONTROL_PLANE],
  sample: 'hostedcluster',
  status: () => ({}),
  make: hypershift,
  policies: [
    { preset: 'default', sensitiveBodies: 'Allow' },
    { preset: 'write-request-bodies', sensitiveBodies: 'Allow' },
  ],
};
const CASES = [
  [V1BETA2, TENANT, OPENSHIFT],
  [V1BETA1, KKP, GARDENER],
];

/** As somebody writes it by hand. */
const HOOK = JSON.stringify({
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'a',
  contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
  clusters: [{ name: 'a', cluster: { server: 'http://192.0.2.1:8080/events' } }],
  users: [{ name: 'a', user: {} }],
});

describe.each(PLANE_VERSIONS.map((v, i) => [v, CASES[i] ?? []] as const))(
  "owners' APIs on Kubernetes %s",
  (version, cases) => {
    let plane: ControlPlane;
    let controller: Promise<void>;
    const stop = new AbortController();
    const playing: Promise<void>[] = [];

    beforeAll(async () => {
      plane = await startControlPlane({ version });
      await installOperator(plane);
      for (const { kind } of cases)
        for (const o of kustomized(join(ROOT, `deploy/owners/${componentOf(kind)}`))) await applyOrThrow(plane, o);
      controller = (await startController(plane, stop.signal)).ended;
    });
    afterAll(async () => {
      stop.abort();
      await Promise.all([controller, ...playing]);
      await plane?.stop();
    });

    const memberOf = (kind: string): string => `${kind.charAt(0).toLowerCase()}${kind.slice(1)}`;
    /** Where a control plane of a test is: objects without namespace are named by it. */
    type At = { readonly namespace: string; readonly name: string };
    const atOf = (c: Case, label: string): At => {
      const { home } = ownerOf(c.kind).api;
      const namespace = `${label}-${c.kind.toLowerCase()}`;
      return home === undefined
        ? { namespace, name: (ownerSample(c.sample) as OwnedObject).metadata.name }
        : { namespace: home(namespace), name: namespace };
    };
    const config = (c: Case, { namespace, name }: At, spec: Record<string, unknown> = {}): Manifest => ({
      apiVersion: 'auditconfig.dev/v1alpha1',
      kind: 'AuditConfig',
      metadata: { name: 'main', namespace },
      spec: {
        target: { type: c.kind, [memberOf(c.kind)]: { name } },
        ...(c.policies === undefined ? {} : { policy: c.policies[0] }),
        ...spec,
      },
    });
    const hookIn = ({ namespace }: At): Manifest => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'hook', namespace },
      stringData: { 'webhook.yaml': HOOK },
    });
    const denyIn = ({ namespace }: At): Manifest => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'default-deny', namespace },
      spec: { podSelector: {}, policyTypes: ['Egress'] },
    });
    const put = (object: Manifest): Promise<void> => applyPatiently(plane, object);
    const get = (object: Manifest): Promise<ConfigView> => configOn(plane, object);
    const until = (object: Manifest, type: string, reason: string, ms = 120_000): Promise<ConfigView> =>
      untilSaid({ plane, object, ms }, type, reason);
    const place = async (c: Case, at: At): Promise<OwnedPlayed> => {
      const { group, plural, home } = ownerOf(c.kind).api;
      for (const crd of [...(c.also ?? []), c.crd]) await applyOrThrow(plane, crd);
      await ownerNamespace(plane, at.namespace, c.kind);
      const within = home === undefined ? `/namespaces/${at.namespace}` : '';
      const base = `/apis/${group}/${c.version}${within}/${plural}`;
      const played = await OwnedPlayed.create(
        { plane, base, status: c.status, ...(c.make === undefined ? {} : { make: c.make }) },
        ownerSample(c.sample),
        home === undefined ? at : { name: at.name },
      );
      playing.push(played.play(stop.signal));
      return played;
    };
    const second = (c: Case): object => c.policies?.[1] ?? { preset: 'minimal' };
    const madeOf = (c: Case, at: At): Readonly<Record<string, MadeObject>> => ownerOf(c.kind).made?.objects(at) ?? {};
    /** What an owner makes follows its object a moment later. */
    const gone = async (path: string, what: RegExp): Promise<void> => {
      for (const end = Date.now() + 60_000; Date.now() < end; await sleep(100))
        // Not in managedFields, which say who was here.
        if (!what.test(JSON.stringify({ ...((await plane.request('GET', path)).body as object), metadata: {} })))
          return;
      throw new Error(`${path} still has ${what.source}`);
    };
    /** The revision that it says it has, and whose settings are in effect. */
    const digestOf = (c: Case, live: OwnedObject): string | undefined => {
      const view = managedView({ workload: live }, { kind: c.kind, version: c.version, config: 'main' });
      return 'ok' in view && view.ok.auditFlags.size > 0 ? view.ok.digest : undefined;
    };

    // Before the others, which make their APIs served. At once, since each is looked for every minute.
    it('are each said not to be served until they are, and are then found without a restart', async () => {
      const early = cases.map((c) => ({ c, at: atOf(c, 'early'), object: config(c, atOf(c, 'early')) }));
      for (const { at, object } of early) {
        await applyOrThrow(plane, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: at.namespace } });
        await put(object);
      }
      for (const { c, object } of early) {
        const { status } = await until(object, 'RolledOut', 'WorkloadNotFound');
        const said = status?.conditions?.find((x) => x.type === 'RolledOut')?.message;
        expect(said).toContain(ownerOf(c.kind).api.group);
      }
      for (const { c, at } of early) await place(c, at);
      for (const { object } of early) await until(object, 'RolledOut', 'Complete');
    });

    describe.each(cases.map((c) => [`${c.kind} ${c.version}`, c] as const))('%s', (_name, c) => {
      const at = (label: string): At => atOf(c, label);

      it('gets a revision, another one, and everything back', async () => {
        const there = at('whole');
        const w = await place(c, there);
        const before = await w.get();
        const object = config(c, there);
        await put(object);
        const { status } = await until(object, 'RolledOut', 'Complete');
        const digest = status?.revision?.digest ?? '';
        expect(digestOf(c, await w.get())).toBe(digest);
        expect((await w.get()).metadata.generation).toBe(before.metadata.generation + 1);

        await put(config(c, there, { policy: second(c) }));
        const other = await until(object, 'RolledOut', 'Complete');
        expect(other.status?.revision?.digest).not.toBe(digest);
        expect((await w.get()).metadata.generation).toBe(before.metadata.generation + 2);

        const quiet = [(await w.get()).metadata.resourceVersion, other.metadata.resourceVersion];
        await sleep(2_000);
        expect([(await w.get()).metadata.resourceVersion, (await get(object)).metadata.resourceVersion]).toEqual(quiet);

        await removeAndWait(plane, object);
        for (const { group, version, plural, namespace, name } of Object.values(madeOf(c, there))) {
          const api = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
          const path = `${api}/namespaces/${namespace}/${plural}/${name}`;
          await gone(path, /audit-policy-file|auditconfig-/);
        }
        const after = await w.get();
        expect([after.spec, after.metadata.labels, after.metadata.annotations]).toEqual([
          before.spec,
          before.metadata.labels,
          before.metadata.annotations,
        ]);
      });

      it('goes back to the last good revision where the next one is not ready in time', async () => {
        const there = at('back');
        const w = await place(c, there);
        const object = config(c, there, { rollout: { timeoutSeconds: 30 } });
        await put(object);
        const good = (await until(object, 'RolledOut', 'Complete')).status?.revision?.digest ?? '';
        w.readyUpTo = (await w.get()).metadata.generation;
        await put(config(c, there, { rollout: { timeoutSeconds: 30 }, policy: second(c) }));
        await until(object, 'RolledOut', 'NodeHeld', 170_000);
        expect(digestOf(c, await w.get())).toBe(good);
      });

      if (ownerOf(c.kind).made?.pods !== undefined)
        it('lets the pods that its owner makes reach the webhook, while somebody else restricts them', async () => {
          const there = at('reach');
          const w = await place(c, there);
          await applyOrThrow(plane, hookIn(there));
          await applyOrThrow(plane, denyIn(there));
          const object = config(c, there, { webhook: { secretRef: { name: 'hook' } } });
          await put(object);
          await until(object, 'EgressPermitted', 'Permitted');
          const ours = `/apis/networking.k8s.io/v1/namespaces/${there.namespace}/networkpolicies/${egressName(c.kind, there.name)}`;
          const policy = (await plane.request('GET', ours)).body as { spec: { egress: object[] } };
          expect(policy.spec.egress).toEqual([
            { to: [{ ipBlock: { cidr: '192.0.2.1/32' } }], ports: [{ protocol: 'TCP', port: 8080 }] },
          ]);
          await until(object, 'RolledOut', 'Complete');
          expect(digestOf(c, await w.get())).toBeDefined();
          await removeAndWait(plane, object);
          await gone(ours, /ipBlock/);
        });

      if (c.kind === 'TenantControlPlane')
        it('ships beside the API server, and no more when that is taken out', async () => {
          const there = at('ship');
          await place(c, there);
          const shipping = { type: 'FluentBit', fluentBit: { outputs: [{ Name: 'stdout', Match: '*' }] } };
          const object = config(c, there, { shipping });
          await put(object);
          await until(object, 'RolledOut', 'Complete');
          const made = `/apis/apps/v1/namespaces/${there.namespace}/deployments/${there.name}`;
          type Pod = { spec: { template: { spec: { containers: { name: string }[] } } } };
          const names = async (): Promise<string[]> =>
            ((await plane.request('GET', made)).body as Pod).spec.template.spec.containers.map((x) => x.name);
          expect(await names()).toEqual(['audit-logs', 'kube-apiserver']);
          await put(config(c, there));
          await gone(made, /audit-logs/);
          await until(object, 'RolledOut', 'Complete');
          expect(await names()).toEqual(['kube-apiserver']);
        });

      if (c.kind === 'HostedCluster')
        it('takes a webhook out of where its owner would leave it', async () => {
          const there = at('hook');
          await place(c, there);
          await applyOrThrow(plane, hookIn(there));
          await put(config(c, there, { webhook: { secretRef: { name: 'hook' } } }));
          await until(config(c, there), 'RolledOut', 'Complete');
          const { namespace, plural, name } = madeOf(c, there)['controlPlane'] ?? {
            namespace: '',
            plural: '',
            name: '',
          };
          const path = `/apis/hypershift.openshift.io/v1beta1/namespaces/${namespace}/${plural}/${name}`;
          expect((await plane.request('GET', path)).text).toContain('auditWebhook');
          await put(config(c, there));
          await gone(path, /auditWebhook/);
          await until(config(c, there), 'RolledOut', 'Complete');
        });

      it('names who writes it back twice, and leaves it alone', async () => {
        const there = at('fight');
        const w = await place(c, there);
        const object = config(c, there);
        await put(object);
        await until(object, 'RolledOut', 'Complete');
        await w.writeBack();
        for (const end = Date.now() + 60_000; Date.now() < end; await sleep(50))
          if (digestOf(c, await w.get()) !== undefined) break;
        await until(object, 'RolledOut', 'Complete');
        await w.writeBack();
        const fought = await until(object, 'Degraded', 'FieldFight');
        expect(fought.status?.conditions?.find((x) => x.type === 'Degraded')?.message).toContain('gitops');
      });
    });
  },
);
