/**
 * Webhooks' kubeconfigs of revisions that nodes still have while a newer one waits (src/rollout/carried.ts): read once, since what
 * is published by digest never changes, and a few of them kept. Called by reconcile.ts.
 */
import type { KubeClient } from '../kube/client.ts';
import { webhookName } from '../render/bundle/names.ts';
import { webhookBytes } from '../render/bundle/read.ts';
import { Secret } from '../render/types.ts';
import type { Digest } from '../render/types.ts';
import type { Facts } from '../rollout/facts.ts';
import { SECRETS } from './resources.ts';

/** Revisions in use of one control plane; it hardly ever has three. */
const MAX_KEPT = 32;

export class OlderWebhooks {
  readonly #client: Pick<KubeClient, 'get'>;
  readonly #namespace: string;
  readonly #known = new Map<string, Secret<Uint8Array> | null>();

  constructor(client: Pick<KubeClient, 'get'>, namespace: string) {
    this.#client = client;
    this.#namespace = namespace;
  }

  /** What cannot be read now is null as well, and asked for the next time. */
  async read(digests: readonly Digest[], signal: AbortSignal): Promise<NonNullable<Facts['older']>> {
    const found = new Map<string, Secret<Uint8Array> | null>();
    for (const digest of digests) found.set(digest, this.#known.get(digest) ?? (await this.#ask(digest, signal)));
    return found;
  }

  async #ask(digest: Digest, signal: AbortSignal): Promise<Secret<Uint8Array> | null> {
    const name = webhookName(digest);
    const read = await this.#client.get(SECRETS, { namespace: this.#namespace, name }, { signal });
    const bytes = read.ok ? webhookBytes(read.value) : undefined;
    if (bytes === undefined) return null;
    const kubeconfig = new Secret(bytes);
    this.#known.set(digest, kubeconfig);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_KEPT && oldest !== undefined) this.#known.delete(oldest);
    return kubeconfig;
  }
}
