/**
 * A revision as Kubernetes objects to publish: an immutable ConfigMap with policy and flags, or an immutable Secret where the
 * policy came from one, and immutable Secrets for the webhook's kubeconfig and its credentials. Called by the controller.
 */
import { canonicalJson } from '../../config/canonical.ts';
import { toBase64 } from '../base64.ts';
import { shortDigest } from '../digest.ts';
import type { Credentials, Digest, Revision, Shipping } from '../types.ts';
import { credentialFiles, credentialsDigest, SALT_KEY } from '../webhook/credentials.ts';
import {
  BUNDLE_LABELS,
  bundleName,
  CREDENTIALS_LABEL,
  credentialsName,
  credentialsPrefix,
  hostedCredentialsName,
  KEYS,
  webhookName,
} from './names.ts';
import type { Hosting } from './names.ts';

export type BundleObject = {
  readonly apiVersion: 'v1';
  readonly kind: 'ConfigMap' | 'Secret';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: Readonly<Record<string, string>>;
  };
  /** False for what is changed in place: a hosted webhook's credentials. */
  readonly immutable: boolean;
  readonly type?: 'Opaque';
  /** Base64 where it is a Secret. */
  readonly data: Readonly<Record<string, string>>;
};

type Files = Readonly<Record<string, Uint8Array>>;

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

const labelled = (name: string, digest: Digest, namespace: string): BundleObject['metadata'] => ({
  name,
  namespace,
  labels: { ...BUNDLE_LABELS, 'auditconfig.dev/revision': shortDigest(digest) },
});

const mapped = (files: Files, to: (bytes: Uint8Array) => string): Record<string, string> =>
  Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, to(bytes)]));

const objectOf = (kind: BundleObject['kind'], metadata: BundleObject['metadata'], files: Files): BundleObject => ({
  apiVersion: 'v1',
  kind,
  metadata,
  immutable: true,
  ...(kind === 'Secret'
    ? { type: 'Opaque', data: mapped(files, toBase64) }
    : { data: mapped(files, (bytes) => new TextDecoder().decode(bytes)) }),
});

/** Of the webhook of a revision, whichever of its credentials they are: named by both. */
export function credentialsObject(digest: Digest, credentials: Credentials, namespace: string): BundleObject {
  const files = credentialFiles(credentials).map((f) => [f.name, f.bytes] as const);
  const salt = credentials.salt === undefined ? {} : { [SALT_KEY]: credentials.salt };
  const metadata = labelled(credentialsName(digest, credentialsDigest(credentials)), digest, namespace);
  const labels = { ...metadata.labels, ...CREDENTIALS_LABEL };
  return objectOf('Secret', { ...metadata, labels }, { ...Object.fromEntries(files), ...salt });
}

const storedShipping = ({ config: _beside, ...rest }: Shipping): object => rest;

function filesOf({ digest, flags, logDir, readerGroup, webhook, shipping, policy }: Revision): Files {
  const content = {
    digest,
    flags: flags.map((f) => [f.name, f.value]),
    logDir,
    readerGroup,
    webhook: webhook !== undefined,
    ...(shipping === undefined ? {} : { shipping: storedShipping(shipping) }),
  };
  return {
    [KEYS.policy]: policy,
    [KEYS.revision]: bytesOf(`${canonicalJson(content)}\n`),
    ...(shipping === undefined ? {} : { [KEYS.shipping]: shipping.config }),
  };
}

/** The policy's object first, then the webhook's and its credentials' where there are any. */
export function toBundle(revision: Revision, namespace: string): readonly BundleObject[] {
  const { digest, webhook, confidential } = revision;
  const credentials = revision.credentials?.reveal();
  const named = (name: string): BundleObject['metadata'] => labelled(name, digest, namespace);
  return [
    objectOf(confidential ? 'Secret' : 'ConfigMap', named(bundleName(digest)), filesOf(revision)),
    ...(webhook === undefined
      ? []
      : [objectOf('Secret', named(webhookName(digest)), { [KEYS.webhook]: webhook.reveal() })]),
    ...(credentials === undefined ? [] : [credentialsObject(digest, credentials, namespace)]),
  ];
}

/** As published beside a hosted API server: its webhook's credentials have one name, and are changed in place. */
export function hostedBundle(
  revision: Revision,
  at: { readonly namespace: string; readonly hosting: Hosting },
): readonly BundleObject[] {
  const { webhook } = revision;
  return toBundle(revision, at.namespace).map((o) => {
    if (webhook === undefined || !o.metadata.name.startsWith(credentialsPrefix(revision.digest))) return o;
    const name = hostedCredentialsName(webhook.reveal(), at.hosting);
    const { 'auditconfig.dev/revision': _several, ...labels } = o.metadata.labels;
    return { ...o, immutable: false, metadata: { ...o.metadata, name, labels } };
  });
}

/** What an owner's own API reads of a revision, under names and keys of its own; it is pruned with the revision. */
export function besideBundle(
  { kind, name, data }: { kind: BundleObject['kind']; name: string; data: Files },
  { digest, namespace }: { readonly digest: Digest; readonly namespace: string },
): BundleObject {
  return objectOf(kind, labelled(name, digest, namespace), data);
}
