/**
 * What datacenters refer to, as it was when their content was published, in a Secret of the same name: for control planes whose
 * turn has not come yet, and where the object itself was deleted or broken since. A rotated certificate or token is written
 * there too, since it is no other content: whoever waits later is to have it. Called by datacenters.ts and governed.ts.
 */
import type { DatacenterContent } from '../config/types.ts';
import type { KubeClient } from '../kube/client.ts';
import { ok } from '../kube/errors.ts';
import type { Result } from '../kube/errors.ts';
import { isRecord } from '../kube/types.ts';
import type { KubeObject } from '../kube/types.ts';
import { parsePinned, textOfPinned } from '../render/pins.ts';
import type { Reference } from '../render/references.ts';
import { contentName } from '../rollout/datacenter.ts';
import { FIELD_MANAGER } from './act.ts';
import { SECRETS } from './resources.ts';

const KEY = 'references.json';
export const CONTENT_LABELS = {
  'app.kubernetes.io/managed-by': 'auditconfig',
  'auditconfig.dev/content': 'datacenter',
} as const;

export type Pinned = {
  readonly digest: string;
  readonly content: DatacenterContent;
  readonly references: ReadonlyMap<string, Reference>;
};

export class PinnedReferences {
  readonly #client: KubeClient;
  readonly #namespace: string;
  /** By digest of the content; texts hold what Secrets hold, and go nowhere but there. */
  readonly #known = new Map<string, string>();

  constructor(client: KubeClient, bundlesNamespace: string) {
    this.#client = client;
    this.#namespace = bundlesNamespace;
  }

  /** Immutable objects are replaced, not changed. Asks nothing where nothing changed. */
  async keep({ digest, content, references }: Pinned, signal: AbortSignal): Promise<Result<unknown>> {
    if (content.references === undefined) return ok(undefined);
    const text = textOfPinned(content, references);
    if (this.#known.get(digest) === text) return ok(undefined);
    const created = await this.#create(digest, text, signal);
    if (created.ok || created.error.code !== 'AlreadyExists') return this.#noted(digest, text, created);
    if ((await this.#read(digest, signal)) === text) return this.#noted(digest, text, ok(undefined));
    const gone = await this.forget(contentName(digest), signal);
    return gone.ok ? this.#noted(digest, text, await this.#create(digest, text, signal)) : gone;
  }

  /** Those of them that are as they were published; none where nothing was. */
  async of(digest: string, content: DatacenterContent, signal: AbortSignal): Promise<ReadonlyMap<string, Reference>> {
    const text = this.#known.get(digest) ?? (await this.#read(digest, signal));
    if (text === undefined) return new Map();
    this.#known.set(digest, text);
    return parsePinned(content, text);
  }

  async forget(name: string, signal: AbortSignal): Promise<Result<unknown>> {
    for (const digest of this.#known.keys()) if (contentName(digest) === name) this.#known.delete(digest);
    const gone = await this.#client.delete(SECRETS, { namespace: this.#namespace, name }, { signal });
    return !gone.ok && gone.error.code === 'NotFound' ? ok(undefined) : gone;
  }

  #noted(digest: string, text: string, done: Result<unknown>): Result<unknown> {
    if (done.ok) this.#known.set(digest, text);
    return done;
  }

  #create(digest: string, text: string, signal: AbortSignal): Promise<Result<unknown>> {
    const object: KubeObject = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: contentName(digest), namespace: this.#namespace, labels: CONTENT_LABELS },
      immutable: true,
      data: { [KEY]: Buffer.from(text).toString('base64') },
    };
    return this.#client.create(SECRETS, object, { signal, fieldManager: FIELD_MANAGER });
  }

  async #read(digest: string, signal: AbortSignal): Promise<string | undefined> {
    const ref = { namespace: this.#namespace, name: contentName(digest) };
    const read = await this.#client.get(SECRETS, ref, { signal });
    const data = read.ok && isRecord(read.value['data']) ? read.value['data'] : {};
    return typeof data[KEY] === 'string' ? Buffer.from(data[KEY], 'base64').toString() : undefined;
  }
}
