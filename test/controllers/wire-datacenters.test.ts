/** When a datacenter is looked at: at once for what somebody asks of it, later for its own status and for its control planes. */
import { describe, expect, it } from 'vitest';
import { wireDatacenters, wireRestarts } from '../../src/controllers/caches.ts';
import type { Caches } from '../../src/controllers/caches.ts';
import { datacenterPause } from '../../src/controllers/datacenters.ts';
import { Store } from '../../src/kube/store.ts';
import type { Change } from '../../src/kube/store.ts';
import type { KubeObject } from '../../src/kube/types.ts';

/** A cache that is told what it holds. */
class Played {
  readonly store = new Store<KubeObject>({});
  #run: ((change: Change) => void) | undefined;
  #version = 0;
  onChange = (run: (change: Change) => void): (() => void) => {
    this.#run = run;
    return () => (this.#run = undefined);
  };
  put(object: Pick<KubeObject, 'metadata'> & { readonly spec?: object; readonly status?: object }): void {
    const resourceVersion = String(++this.#version);
    const whole = { apiVersion: '', kind: '', ...object, metadata: { ...object.metadata, resourceVersion } };
    this.#tell(this.store.set(object.metadata.name, resourceVersion, whole));
  }
  remove(name: string): void {
    this.#tell(this.store.delete(name));
  }
  #tell(change: Change | undefined): void {
    if (change !== undefined) this.#run?.(change);
  }
}

describe('a datacenter', () => {
  it('is looked at at once when it is asked for something, and later when only its status is another one', () => {
    const datacenters = new Played();
    const configs = new Played();
    const none = new Played();
    const caches = { datacenters, configs, namespaces: none, configMaps: none, secrets: none };
    const asked: string[] = [];
    datacenters.put({ metadata: { name: 'there', generation: 1 } });
    wireDatacenters(
      caches as unknown as Caches,
      (name, soon) => asked.push(`${name} ${soon ?? 'later'}`),
      () => undefined,
    );
    const after = (change: () => void): readonly string[] => {
      asked.length = 0;
      change();
      return [...asked].sort();
    };
    const a = { name: 'a', generation: 1 };
    expect(after(() => datacenters.put({ metadata: a }))).toEqual(['a Now', 'a later', 'there later']);
    expect(after(() => datacenters.put({ metadata: a, status: { n: 1 } }))).toEqual(['a later']);
    expect(after(() => datacenters.put({ metadata: { name: 'there', generation: 1 }, status: {} }))).toEqual([
      'there later',
    ]);
    const finalized = { ...a, finalizers: ['f'] };
    expect(after(() => datacenters.put({ metadata: finalized, status: { n: 1 } }))).toContain('a Now');
    const changed = { ...finalized, generation: 2 };
    expect(after(() => datacenters.put({ metadata: changed, spec: { x: 1 }, status: { n: 1 } }))).toContain('a Now');
    expect(after(() => datacenters.put({ metadata: changed, spec: { x: 1 }, status: { n: 2 } }))).toEqual(['a later']);
    expect(after(() => configs.put({ metadata: { name: 'main', namespace: 'n' } }))).toEqual([
      'a later',
      'there later',
    ]);
    expect(after(() => datacenters.remove('a'))).toEqual(['a Now', 'there later']);
  });

  it('has two looks a second at its control planes, and fewer the more there are', () => {
    expect([1, 500, 2_000].map(datacenterPause)).toEqual([500, 500, 2_000]);
  });
});

describe('the Lease for restarts', () => {
  it('is looked at when an AuditConfig of nodes changes, or one goes, and not for thousands of hosted ones', () => {
    const configs = new Played();
    const none = new Played();
    const caches = { configs, auditNodes: none, leases: none, nodes: none };
    let looks = 0;
    wireRestarts(caches as unknown as Caches, () => (looks += 1));
    const of = (name: string, type: string): void => configs.put({ metadata: { name }, spec: { target: { type } } });
    of('hosted', 'Hosted');
    of('owned', 'TenantControlPlane');
    of('hosted', 'Hosted');
    expect(looks).toBe(0);
    of('nodes', 'StaticPod');
    of('nodes', 'StaticPod');
    expect(looks).toBe(2);
    configs.remove('nodes');
    expect(looks).toBe(3);
  });
});
