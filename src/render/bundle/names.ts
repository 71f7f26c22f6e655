/**
 * What a published revision's objects are called, how they are labelled, and under which keys they hold what: all that
 * writing (write.ts) and reading (read.ts) must agree on. Named by digest, so that a name never changes its content.
 */
import { canonicalJson, sha256 } from '../../config/canonical.ts';
import { shortDigest } from '../digest.ts';
import { CONFIG_FILE } from '../shipping/config.ts';
import type { Digest } from '../types.ts';

/** Objects above 1 MiB are refused by the API server; what is rendered stays below, with room for metadata. */
export const MAX_BUNDLE_BYTES = 1_000_000;

export const bundleName = (digest: Digest): string => `auditconfig-${shortDigest(digest)}`;
export const webhookName = (digest: Digest): string => `auditconfig-${shortDigest(digest)}-webhook`;
/** All credentials of a revision's webhook begin so. */
export const credentialsPrefix = (digest: Digest): string => `auditconfig-${shortDigest(digest)}-credentials-`;
export const credentialsName = (digest: Digest, credentials: Digest): string =>
  `${credentialsPrefix(digest)}${shortDigest(credentials)}`;
/** A Deployment or StatefulSet; several in one namespace may have the same revision. */
export type Hosting = { readonly kind: string; readonly name: string };
/**
 * In a hosted control plane's namespace the object is changed in place: its pods see the new files, and restart for nothing.
 * Named by workload and kubeconfig, not by revision: what is rotated reaches also pods that went back to an older revision.
 */
export const hostedCredentialsName = (kubeconfig: Uint8Array, { kind, name }: Hosting): string =>
  `auditconfig-${shortDigest(sha256(canonicalJson([kind, name, sha256(kubeconfig)])) as Digest)}-credentials`;

/** Where the controller publishes, unless it is told otherwise. */
export const BUNDLES_NAMESPACE = 'auditconfig-bundles';

/** Labels of all that is published; the controller prunes by them. */
export const BUNDLE_LABELS = {
  'app.kubernetes.io/managed-by': 'auditconfig',
  'auditconfig.dev/bundle': 'revision',
} as const;

/** How a published object of a webhook's credentials is told from the others of its revision. */
export const CREDENTIALS_LABEL = { 'auditconfig.dev/part': 'credentials' } as const;

export const KEYS = {
  policy: 'policy.yaml',
  revision: 'revision.json',
  webhook: 'webhook.yaml',
  shipping: CONFIG_FILE,
} as const;
