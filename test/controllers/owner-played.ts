/** An owner's object on a real API server, and its owner's controller, played: it writes status as the real one would. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlPlane } from '../control-plane/plane.ts';
import type { OwnerKind } from '../../src/targets/owners/types.ts';
import { OPERATOR_NAMESPACE, applyOrThrow } from '../operator/install.ts';

export type OwnedObject = {
  metadata: {
    name: string;
    namespace?: string;
    generation: number;
    resourceVersion: string;
    labels?: object;
    annotations?: object;
  };
  spec: Record<string, unknown>;
  status?: Record<string, unknown>;
};

/** In deploy/owners. */
export const componentOf = (kind: OwnerKind): string => `${kind.toLowerCase()}s`;

/** A namespace in which the controller may do what this owner's objects need. */
export async function ownerNamespace(plane: ControlPlane, namespace: string, kind: OwnerKind): Promise<void> {
  await applyOrThrow(plane, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  await applyOrThrow(plane, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: 'auditconfig-owner', namespace },
    roleRef: {
      apiGroup: 'rbac.authorization.k8s.io',
      kind: 'ClusterRole',
      name: `auditconfig-owner-${componentOf(kind)}`,
    },
    subjects: [{ kind: 'ServiceAccount', name: 'auditconfig-controller', namespace: OPERATOR_NAMESPACE }],
  });
}

export type Playing = {
  readonly plane: ControlPlane;
  /** Path of the collection. */
  readonly base: string;
  /** Status for an object of which all is `ready`, or of which the newest is not. */
  readonly status: (live: OwnedObject, ready: boolean) => Record<string, unknown>;
  /** What its owner makes of it, at every look. */
  readonly make?: (plane: ControlPlane, live: OwnedObject, ready: boolean) => Promise<void>;
};

export class OwnedPlayed {
  readonly #p: Playing;
  readonly path: string;
  readonly owned: object;
  /** Of a newer one nothing becomes ready. */
  readyUpTo = Infinity;

  private constructor(p: Playing, path: string, owned: object) {
    this.#p = p;
    this.path = path;
    this.owned = owned;
  }

  /** Made, and settled. A CRD that is new answers 404 for a moment. */
  static async create(p: Playing, object: unknown, at: { namespace?: string; name: string }): Promise<OwnedPlayed> {
    const made = object as { metadata: { name: string; generation?: number }; spec: object };
    const { generation: _set, ...metadata } = made.metadata;
    // One replica: time is counted for each.
    const spec = 'replicas' in made.spec ? { ...made.spec, replicas: 1 } : made.spec;
    const owned = { ...made, metadata: { ...metadata, ...at }, spec };
    for (const end = Date.now() + 60_000; ; await sleep(100)) {
      const { status, text } = await p.plane.request('POST', `${p.base}?fieldManager=gitops`, { body: owned });
      if (status === 201) break;
      if (Date.now() > end) throw new Error(text);
    }
    const played = new OwnedPlayed(p, `${p.base}/${at.name}`, owned);
    await p.make?.(p.plane, await played.get(), true);
    await played.settle(await played.get());
    return played;
  }

  async get(): Promise<OwnedObject> {
    return (await this.#p.plane.request('GET', this.path)).body as OwnedObject;
  }

  async settle(live: OwnedObject): Promise<void> {
    await this.#p.plane.request('PATCH', `${this.path}/status?fieldManager=owner`, {
      body: { status: this.#p.status(live, live.metadata.generation <= this.readyUpTo) },
      contentType: 'application/merge-patch+json',
    });
  }

  /** The owner's user applies the whole object again, without us. */
  async writeBack(): Promise<void> {
    const owned = this.owned as { metadata: object };
    for (;;) {
      const { resourceVersion } = (await this.get()).metadata;
      const body = { ...owned, metadata: { ...owned.metadata, resourceVersion } };
      const reply = await this.#p.plane.request('PUT', `${this.path}?fieldManager=gitops`, { body });
      if (reply.status === 200) return;
      // Its controller wrote status meanwhile.
      if (reply.status !== 409) throw new Error(reply.text);
    }
  }

  async play(signal: AbortSignal): Promise<void> {
    let done = '';
    while (!signal.aborted) {
      const live = await this.get().catch(() => undefined);
      const now = `${live?.metadata?.generation}`;
      if (live?.metadata !== undefined)
        await this.#p.make?.(this.#p.plane, live, live.metadata.generation <= this.readyUpTo).catch(() => undefined);
      if (live?.metadata !== undefined && now !== done) {
        await this.settle(live).catch(() => undefined);
        done = now;
      }
      await sleep(100, undefined, { signal }).catch(() => undefined);
    }
  }
}
