/**
 * Fetches the revision that an AuditNode names. The digest in the spec is all that is trusted: what the API gives must
 * hash to it, and is judged again (src/render/bundle/read.ts). Called by agent.ts.
 */
import type { AuditNodeSpec } from '../api/auditnode.ts';
import type { Finding } from '../api/findings.ts';
import type { Minor } from '../api/versions.ts';
import type { KubeClient } from '../kube/client.ts';
import { ok } from '../kube/errors.ts';
import type { KubeError, Result } from '../kube/errors.ts';
import { credentialsName, webhookName } from '../render/bundle/names.ts';
import { fromBundle } from '../render/bundle/read.ts';
import type { Digest, Revision } from '../render/types.ts';
import { CONFIG_MAPS, SECRETS } from './resources.ts';

export type Named = NonNullable<AuditNodeSpec['desired']['revision']>;
export type Fetched = { readonly revision?: Revision; readonly findings: readonly Finding[] };

/** An error is the API's and worth another try; findings are the bundle's, which the controller must put right. */
export async function fetchRevision(
  client: KubeClient,
  named: Named,
  versions: readonly Minor[],
  signal: AbortSignal,
): Promise<Result<Fetched>> {
  const resource = named.kind === 'Secret' ? SECRETS : CONFIG_MAPS;
  const { namespace } = named;
  const bundle = await client.get(resource, { namespace, name: named.name }, { signal });
  if (!bundle.ok) return withheld(bundle.error, named);
  const input = { bundle: bundle.value, digest: named.digest, versions };
  const first = fromBundle(input);
  // Whether there is a webhook stands in the bundle; only then is its Secret read.
  if (first.revision !== undefined || !first.findings.some((f) => f.code === 'BundleWebhookMissing')) return ok(first);
  const digest = named.digest as Digest;
  const webhook = await client.get(SECRETS, { namespace, name: webhookName(digest) }, { signal });
  if (!webhook.ok) return withheld(webhook.error, named);
  const whole = { ...input, webhook: webhook.value };
  if (named.credentials === undefined) return ok(fromBundle(whole));
  const name = credentialsName(digest, named.credentials as Digest);
  const credentials = await client.get(SECRETS, { namespace, name }, { signal });
  if (!credentials.ok) return withheld(credentials.error, { ...named, kind: 'Secret', name });
  return ok(fromBundle({ ...whole, credentials: credentials.value, credentialsDigest: named.credentials }));
}

/** Published before it was named, so somebody took it away, named another, or took our right to read it. */
function withheld(error: KubeError, { kind, namespace, name }: Named): Result<Fetched> {
  const refuse = (code: string, what: string): Result<Fetched> =>
    ok({ findings: [{ severity: 'error', code, message: `${kind} ${namespace}/${name} ${what}`, path: '' }] });
  if (error.code === 'NotFound') return refuse('BundleMissing', 'is not there');
  if (error.code === 'Forbidden') return refuse('BundleForbidden', 'may not be read by the agent');
  return { ok: false, error };
}
