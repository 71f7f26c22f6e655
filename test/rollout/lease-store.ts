/** One Lease in an API server in memory: resource versions, conflicts, and a gate before each answer for who wants one. */
import type { KubeClient } from '../../src/kube/client.ts';
import { fail, ok } from '../../src/kube/errors.ts';
import type { KubeObject } from '../../src/kube/types.ts';

type Patch = {
  metadata?: { resourceVersion?: string; annotations?: Record<string, string> };
  spec?: Record<string, unknown>;
};
/** Called before a request arrives, and before its answer does: a test lets others go first, or loses either. */
export type Gate = (what: 'request' | 'answer') => Promise<void>;

export class LeaseStore {
  object: KubeObject | undefined;
  writes = 0;
  away = false;
  /** Called after each change. */
  onChange: () => void = () => undefined;
  #version = 0;

  make(o: { name: string; annotations: Record<string, string>; holder?: string }): void {
    this.#put({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: o.name, namespace: 'bundles', annotations: o.annotations },
      spec: o.holder === undefined ? {} : { holderIdentity: o.holder },
    });
  }

  get holder(): string {
    return String((this.object?.['spec'] as { holderIdentity?: string } | undefined)?.holderIdentity ?? '');
  }
  set(holder: string): void {
    if (this.object !== undefined) this.#put({ ...this.object, spec: { holderIdentity: holder } });
  }
  annotate(annotations: Record<string, string>): void {
    if (this.object !== undefined) this.#put({ ...this.object, metadata: { ...this.object.metadata, annotations } });
  }
  remove(): void {
    this.object = undefined;
    this.onChange();
  }

  #put(object: KubeObject): KubeObject {
    this.object = { ...object, metadata: { ...object.metadata, resourceVersion: String(++this.#version) } };
    this.onChange();
    return this.object;
  }

  #patch(patch: Patch) {
    const { object } = this;
    if (object === undefined) return fail('NotFound', 'there is no such Lease');
    const { resourceVersion, annotations } = patch.metadata ?? {};
    if (resourceVersion !== undefined && resourceVersion !== object.metadata.resourceVersion)
      return fail('Conflict', 'the object has been modified');
    this.writes += 1;
    return ok(
      this.#put({
        ...object,
        metadata: { ...object.metadata, annotations: { ...object.metadata.annotations, ...annotations } },
        spec: { ...(object['spec'] as object), ...patch.spec },
      }),
    );
  }

  client(gate: Gate = async () => undefined): KubeClient {
    const through = async <T>(act: () => T): Promise<T | ReturnType<typeof fail>> => {
      await gate('request');
      const answer = this.away ? fail('ConnectionRefused', 'away') : act();
      await gate('answer');
      return answer;
    };
    return {
      get: () =>
        through(() => (this.object === undefined ? fail('NotFound', 'there is no such Lease') : ok(this.object))),
      mergePatch: (_resource: unknown, _ref: unknown, patch: Patch) => through(() => this.#patch(patch)),
      create: (_resource: unknown, object: KubeObject) =>
        through(() => (this.object === undefined ? ok(this.#put(object)) : fail('AlreadyExists', 'it is there'))),
    } as unknown as KubeClient;
  }
}
