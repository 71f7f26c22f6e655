/**
 * Fetches the revision that an AuditNode names. The digest in the spec is all that is trusted: what the API gives must
 * hash to it, and is judged again (src/render/bundle.ts). Called by agent.ts.
 */
import type { AuditNodeSpec } from '../api/auditnode.ts';
import type { Finding } from '../api/findings.ts';
import type { Minor } from '../api/versions.ts';
import type { KubeClient } from '../kube/client.ts';
import { ok } from '../kube/errors.ts';
import type { Result } from '../kube/errors.ts';
import { fromBundle, webhookName } from '../render/bundle.ts';
import type { Digest, Revision } from '../render/types.ts';
import { CONFIG_MAPS, SECRETS } from './resources.ts';

export type Named = NonNullable<AuditNodeSpec['desired']['revision']>;
export type Fetched = { readonly revision?: Revision; readonly findings: readonly Finding[] };

/** An error is the API's and worth another try; findings are the bundle's and are not. */
export async function fetchRevision(
  client: KubeClient,
  named: Named,
  versions: readonly Minor[],
  signal: AbortSignal,
): Promise<Result<Fetched>> {
  const resource = named.kind === 'Secret' ? SECRETS : CONFIG_MAPS;
  const { namespace } = named;
  const bundle = await client.get(resource, { namespace, name: named.name }, { signal });
  if (!bundle.ok) return bundle;
  const input = { bundle: bundle.value, digest: named.digest, versions };
  const first = fromBundle(input);
  // Whether there is a webhook stands in the bundle; only then is its Secret read.
  if (first.revision !== undefined || !first.findings.some((f) => f.code === 'BundleWebhookMissing')) return ok(first);
  const webhook = await client.get(SECRETS, { namespace, name: webhookName(named.digest as Digest) }, { signal });
  if (!webhook.ok) return webhook;
  return ok(fromBundle({ ...input, webhook: webhook.value }));
}
