/**
 * A datacenter's reconciler over caches in memory: whose turn it is among control planes that stand still for reasons of their
 * own, and among workloads that it discovers and that somebody does not want to be discovered.
 */
import { describe, expect, it } from 'vitest';
import { contentDigest } from '../../src/config/datacenter.ts';
import type { Caches } from '../../src/controllers/caches.ts';
import { createDatacenters } from '../../src/controllers/datacenters.ts';
import type { DatacentersOptions } from '../../src/controllers/datacenters.ts';
import { GovernedView } from '../../src/controllers/governed.ts';
import { Discovery } from '../../src/controllers/hosted/discovery.ts';
import type { DiscoveryOptions } from '../../src/controllers/hosted/discovery.ts';
import { workloadKeys } from '../../src/controllers/hosted/workloads.ts';
import { stateOf } from '../../src/controllers/member-state.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { fail, ok } from '../../src/kube/errors.ts';
import { Store } from '../../src/kube/store.ts';
import { keyOf } from '../../src/kube/types.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { rememberPolicies } from '../../src/render/policy-memo.ts';
import { contentName } from '../../src/rollout/datacenter.ts';
import { sample } from '../targets/contract/hosted.ts';

const API = 'auditconfig.dev/v1alpha1';
const TIME = '2026-01-01T00:00:00Z';
const signal = new AbortController().signal;
const renderPolicy = rememberPolicies();

type Fields = Record<string, unknown>;
const targeting = (name: string): Fields => ({ target: { type: 'Hosted', hosted: { kind: 'Deployment', name } } });
const rolledOut = (status: string, reason: string): Fields => ({
  type: 'RolledOut', status, reason, message: '', lastTransitionTime: TIME,
}); // prettier-ignore

class World {
  readonly datacenters = new Store<KubeObject>({});
  readonly configs = new Store<KubeObject, 'workload'>({ workload: workloadKeys });
  readonly namespaces = new Store<KubeObject>({});
  readonly deployments = new Store<KubeObject>({});
  /** Namespaces in which the controller may do nothing. */
  readonly unbound = new Set<string>();
  readonly woken: string[] = [];
  readonly tries: string[] = [];
  nowMs = 0;
  #version = 0;
  readonly #reconcile: ReturnType<typeof createDatacenters>;

  constructor(spec: Fields) {
    const caches = {
      datacenters: { store: this.datacenters, synced: true },
      configs: { store: this.configs },
      namespaces: { store: this.namespaces },
    } as unknown as Caches;
    const client = this.#client();
    const reflect = ({ resource }: { resource: { kind: string } }) => ({
      store: resource.kind === 'Deployment' ? this.deployments : new Store({}),
      synced: true,
      onChange: () => () => undefined,
      whenSynced: () => Promise.resolve(true),
      run: () => Promise.resolve(),
    });
    const kube = { client, reflect } as unknown as DiscoveryOptions['kube'];
    const now = (): number => this.nowMs;
    const o = {
      caches, client, renderPolicy, now,
      bundlesNamespace: 'b',
      serverVersion: () => '1.36',
      status: { apply: (t: KubeObject, status: object) => Promise.resolve(ok(this.#status(t, status))) },
      events: { record: () => undefined },
      governed: new GovernedView({ caches, client, bundlesNamespace: 'b', now, rolloutChanged: () => undefined }),
      read: () => Promise.resolve({ found: false, why: 'NotFound' }),
      log: { info: () => undefined, warn: () => undefined },
      metrics: { wave: () => undefined, seen: () => undefined, gone: () => undefined },
      discovery: new Discovery({ kube, changed: () => undefined, now, signal }),
      wake: (key: string) => this.woken.push(key),
    } as unknown as DatacentersOptions; // prettier-ignore
    this.#reconcile = createDatacenters(o);
    const metadata = { name: 'eu', generation: 1, finalizers: ['auditconfig.dev/datacenter'] };
    this.#put(this.datacenters, { apiVersion: API, kind: 'DatacenterAuditConfig', metadata, spec });
  }

  #put(store: Store<KubeObject>, object: KubeObject): void {
    store.set(keyOf(object.metadata), String(++this.#version), object);
  }

  #status({ metadata }: Pick<KubeObject, 'metadata'>, status: object): boolean {
    const object = this.datacenters.get({ name: metadata.name });
    if (object !== undefined) this.#put(this.datacenters, { ...object, status });
    return true;
  }

  #client(): KubeClient {
    return {
      get: (_: unknown, ref: { namespace: string; name: string }) => {
        this.tries.push(ref.namespace);
        if (this.unbound.has(ref.namespace)) return Promise.resolve(fail('Forbidden', 'no'));
        const found = this.deployments.get(ref);
        return Promise.resolve(found === undefined ? fail('NotFound', 'no') : ok(found));
      },
      create: (_: unknown, object: KubeObject) => {
        if (object.kind !== 'AuditConfig') return Promise.resolve(ok(object));
        if (this.configs.get(object.metadata) !== undefined) return Promise.resolve(fail('AlreadyExists', 'there'));
        this.#put(this.configs, object);
        return Promise.resolve(ok(object));
      },
      list: () => Promise.resolve(ok([])),
    } as unknown as KubeClient;
  }

  config(key: string, spec: Fields, status: Fields = {}): void {
    const [namespace = '', name = ''] = key.split('/');
    this.namespace(namespace);
    const metadata = { name, namespace, uid: key, generation: 1 };
    this.#put(this.configs, { apiVersion: API, kind: 'AuditConfig', metadata, spec, status });
  }

  namespace(name: string): void {
    this.#put(this.namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }

  deployment(namespace: string, name = 'apiserver'): void {
    this.namespace(namespace);
    const made = structuredClone(sample('deployment')) as KubeObject;
    const metadata = { ...made.metadata, namespace, name, uid: `${namespace}-${name}`, generation: 1 };
    this.#put(this.deployments, { ...made, metadata });
  }

  /** What was made for it is through. */
  settle(): void {
    for (const c of [...this.configs.values()]) {
      const digest = contentDigest({ defaults: { policy: { preset: 'minimal' } } });
      const datacenters = [{ name: 'eu', digest, binding: false }];
      const revision = { name: 'r', digest };
      const conditions = [rolledOut('True', 'Complete')];
      const status = { observedGeneration: 1, revision, conditions, datacenters };
      this.#put(this.configs, { ...c, metadata: { ...c.metadata, generation: 1 }, status });
    }
  }

  /** Until nothing is to be looked at within so many ms; gives names of what there is. */
  async run(ms: number): Promise<readonly string[]> {
    for (const end = this.nowMs + ms; ;) {
      const outcome = await this.#reconcile('eu', signal);
      if (outcome.kind !== 'Again' || this.nowMs + outcome.afterMs > end) break;
      this.nowMs += outcome.afterMs;
    }
    return [...this.configs.keys()].sort();
  }
}

const DISCOVERING: Fields = {
  selector: {},
  discovery: { hosted: { workloadSelector: {} } },
  defaults: { policy: { preset: 'minimal' } },
  rollout: { maxUnavailable: '1' },
};
const MADE = 'discovered-deployment-apiserver';

describe('a workload that is discovered', () => {
  it('gets its AuditConfig though somebody took the name for something else, and gets one', async () => {
    const w = new World(DISCOVERING);
    w.deployment('a');
    w.config(`a/${MADE}`, targeting('nothing'));
    const [squatter, made, ...more] = await w.run(10_000);
    expect([squatter, more]).toEqual([`a/${MADE}`, []]);
    expect(made).toMatch(new RegExp(`^a/${MADE}-[0-9a-f]{8}$`));
    expect(await w.run(10_000)).toHaveLength(2);
    // And though he took that one, too.
    const again = new World(DISCOVERING);
    again.deployment('a');
    for (const key of [squatter ?? '', made ?? '']) again.config(key, targeting('nothing'));
    expect(await again.run(10_000)).toHaveLength(3);
  });

  it('has its turn though one before it is refused again and again, or runs no API server', async () => {
    const w = new World(DISCOVERING);
    for (const namespace of ['a', 'c', 'd']) w.deployment(namespace);
    w.unbound.add('a');
    w.namespace('b');
    w.deployment('b', 'web');
    const web = w.deployments.get({ namespace: 'b', name: 'web' });
    const pod = (web as unknown as { spec: { template: { spec: { containers: { name: string }[] } } } }).spec.template.spec;
    pod.containers = [{ name: 'nginx' }];
    expect(await w.run(30_000)).toEqual([`c/${MADE}`]);
    w.settle();
    // By then the first one is tried again.
    w.nowMs += 120_000;
    expect(await w.run(30_000)).toEqual([`c/${MADE}`, `d/${MADE}`]);
    w.settle();
    const { length } = w.tries;
    await w.run(3_600_000);
    const tries = w.tries.slice(length);
    expect([...new Set(tries)]).toEqual(['a']);
    expect(tries.length).toBeGreaterThan(4);
    expect(tries.length).toBeLessThan(12);
    w.unbound.clear();
    expect(await w.run(3_600_000)).toEqual(['a', 'c', 'd'].map((n) => `${n}/${MADE}`));
  }); // prettier-ignore
});

describe('a control plane that acts on nothing', () => {
  const OLD = 'a'.repeat(64);
  const status = (rolled: Fields, digest = OLD): Fields => ({
    observedGeneration: 1,
    revision: { name: 'r', digest: OLD },
    conditions: [rolled],
    datacenters: [{ name: 'eu', digest, binding: true }],
  });
  const ENFORCING: Fields = { selector: {}, enforced: { state: 'Enabled' }, rollout: { maxUnavailable: '1' } };
  const NEW = contentDigest({ enforced: { state: 'Enabled' } });

  it.each([['WorkloadNotFound'], ['WorkloadRefused'], ['NotAccepted'], ['Blocked'], ['NoNodes']])(
    'for %s holds nobody else back, and has what is new at once',
    async (reason) => {
      expect(contentName(NEW)).toContain(NEW.slice(0, 16));
      for (const has of [OLD, NEW]) {
        const w = new World(ENFORCING);
        w.config('tenant/ghost', targeting('nothing'), status(rolledOut('False', reason), has));
        w.config('victim/main', targeting('apiserver'), status(rolledOut('True', 'Complete')));
        await w.run(0);
        expect(w.woken).toEqual(has === OLD ? ['tenant/ghost', 'victim/main'] : ['victim/main']);
      }
    },
  );

  it.each([
    ['Progressing', 'Busy'],
    ['Waiting', 'Busy'],
    ['NodeHeld', 'Failed'],
    ['FieldFight', 'Failed'],
    ['NotAccepted', 'Halted'],
    ['Blocked', 'Halted'],
    ['WorkloadRefused', 'Stuck'],
  ])('is told by its reason: %s', (reason, state) => {
    const object = { apiVersion: API, kind: 'AuditConfig', metadata: { name: 'x', generation: 1 }, status: status(rolledOut('False', reason)) };
    expect(stateOf(object as KubeObject).state).toBe(state);
  }); // prettier-ignore
});
