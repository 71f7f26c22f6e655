/**
 * A revision as Kubernetes objects and back. To publish: an immutable ConfigMap with policy and flags, or an immutable
 * Secret where the policy came from one, and an immutable Secret for the webhook's kubeconfig; named by digest, so that
 * a name never changes its content. To read: trusts nothing but the digest that was asked for. An agent runs what
 * comes out as root, so flags, paths, policy and kubeconfig are judged again as if a stranger had written them.
 * Called by the controller (to) and the agent (from).
 */
import { z } from 'zod';
import { hasErrors } from '../api/findings.ts';
import type { Finding } from '../api/findings.ts';
import type { Minor } from '../api/versions.ts';
import { canonicalJson, sha256 } from '../config/canonical.ts';
import { loadForVersions } from '../policy/load.ts';
import { decodeBase64 } from '../yaml/base64.ts';
import { toBase64 } from './base64.ts';
import { digestOf, shortDigest } from './digest.ts';
import { error } from './findings.ts';
import { KNOWN_FLAGS } from './flags.ts';
import { checkLogPath } from './log-path.ts';
import { CONFIG_FILE } from './shipping/config.ts';
import { Secret } from './types.ts';
import type { AuditFlag, Credentials, Digest, FlagValue, Revision, Shipping } from './types.ts';
import { isRendered } from './webhook.ts';
import { CREDENTIAL_FILES, credentialFiles, credentialsDigest, SALT_KEY } from './webhook/credentials.ts';

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

const KEYS = {
  policy: 'policy.yaml',
  revision: 'revision.json',
  webhook: 'webhook.yaml',
  shipping: CONFIG_FILE,
} as const;

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

const labelled = (name: string, digest: Digest, namespace: string): BundleObject['metadata'] => ({
  name,
  namespace,
  labels: { ...BUNDLE_LABELS, 'auditconfig.dev/revision': shortDigest(digest) },
});

function secretOf(
  metadata: BundleObject['metadata'],
  of: Readonly<Record<string, Uint8Array>>,
  labels: Readonly<Record<string, string>> = {},
): BundleObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { ...metadata, labels: { ...metadata.labels, ...labels } },
    immutable: true,
    type: 'Opaque',
    data: Object.fromEntries(Object.entries(of).map(([k, v]) => [k, toBase64(v)])),
  };
}

/** Of the webhook of a revision, whichever of its credentials they are: named by both. */
export function credentialsObject(digest: Digest, credentials: Credentials, namespace: string): BundleObject {
  const files = credentialFiles(credentials).map((f) => [f.name, f.bytes] as const);
  const salt = credentials.salt === undefined ? {} : { [SALT_KEY]: credentials.salt };
  const metadata = labelled(credentialsName(digest, credentialsDigest(credentials)), digest, namespace);
  return secretOf(metadata, { ...Object.fromEntries(files), ...salt }, CREDENTIALS_LABEL);
}

/** The policy's object first, then the webhook's and its credentials' where there are any. */
export function toBundle(revision: Revision, namespace: string): readonly BundleObject[] {
  const { digest, flags, logDir, readerGroup, webhook, shipping } = revision;
  const content = {
    digest,
    flags: flags.map((f) => [f.name, f.value]),
    logDir,
    readerGroup,
    webhook: webhook !== undefined,
    ...(shipping === undefined ? {} : { shipping: storedShipping(shipping) }),
  };
  const data = {
    [KEYS.policy]: revision.policy,
    [KEYS.revision]: bytesOf(`${canonicalJson(content)}\n`),
    ...(shipping === undefined ? {} : { [KEYS.shipping]: shipping.config }),
  };
  const metadata = (name: string): BundleObject['metadata'] => labelled(name, digest, namespace);
  const secret = (name: string, of: Readonly<Record<string, Uint8Array>>): BundleObject => secretOf(metadata(name), of);
  const configMap = (): BundleObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: metadata(bundleName(digest)),
    immutable: true,
    data: Object.fromEntries(Object.entries(data).map(([k, v]) => [k, new TextDecoder().decode(v)])),
  });
  const credentials = revision.credentials?.reveal();
  return [
    revision.confidential ? secret(bundleName(digest), data) : configMap(),
    ...(webhook === undefined ? [] : [secret(webhookName(digest), { [KEYS.webhook]: webhook.reveal() })]),
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
  { kind, name, data }: { kind: 'ConfigMap' | 'Secret'; name: string; data: Readonly<Record<string, Uint8Array>> },
  { digest, namespace }: { readonly digest: Digest; readonly namespace: string },
): BundleObject {
  const labels = { ...BUNDLE_LABELS, 'auditconfig.dev/revision': shortDigest(digest) };
  const text = (v: Uint8Array): string => (kind === 'Secret' ? toBase64(v) : new TextDecoder().decode(v));
  return {
    apiVersion: 'v1',
    kind,
    metadata: { name, namespace, labels },
    immutable: true,
    ...(kind === 'Secret' ? { type: 'Opaque' } : {}),
    data: Object.fromEntries(Object.entries(data).map(([k, v]) => [k, text(v)])),
  };
}

const storedShipping = ({ config: _beside, ...rest }: Shipping): object => rest;
const quantities = z.record(z.string(), z.string().max(24));
const keyRefIn = z.strictObject({ name: z.string().max(253), key: z.string().max(253) });
const shippingIn = z.strictObject({
  image: z.string().max(512),
  resources: z.strictObject({ requests: quantities, limits: quantities }),
  env: z
    .array(
      z.strictObject({
        name: z.string().max(253),
        value: z.string().max(4096).optional(),
        secretKeyRef: keyRefIn.optional(),
      }),
    )
    .max(64),
  files: z
    .array(
      z.strictObject({
        name: z.string().max(63),
        secretKeyRef: keyRefIn.optional(),
        configMapKeyRef: keyRefIn.optional(),
      }),
    )
    .max(16)
    .optional(),
  bufferBytes: z.int().min(0),
});

const flagValue = z.union([
  z.string().max(256),
  z.strictObject({ file: z.enum(['policy', 'webhook']) }),
  z.strictObject({ dir: z.literal('log'), name: z.string().max(256) }),
]);
const stored = z.strictObject({
  digest: z.string(),
  flags: z.array(z.tuple([z.string().max(64), flagValue])).max(64),
  logDir: z.string().max(512).optional(),
  readerGroup: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .optional(),
  webhook: z.boolean(),
  shipping: shippingIn.optional(),
});
const object = z.object({
  kind: z.enum(['ConfigMap', 'Secret']),
  data: z.record(z.string(), z.string()),
});

export type BundleInput = {
  /** The object that AuditNode.spec.desired.revision names, as read. */
  readonly bundle: unknown;
  /** The object of webhookName(digest), where there is one. */
  readonly webhook?: unknown;
  /** The object of credentialsName(digest, ...), where there is one. */
  readonly credentials?: unknown;
  /** What was asked for. */
  readonly digest: string;
  /** What was asked for; unset: the credentials are whatever goes with the kubeconfig. */
  readonly credentialsDigest?: string;
  /** Versions that must be able to load it: the agent gives the running one. */
  readonly versions: readonly Minor[];
};

/**
 * The revision, or error findings with codes BundleMalformed, BundleWebhookMissing, BundleDigest, BundleFlag,
 * BundleWebhook, BundleCredentials, and those of policies and log paths. No message holds content of a Secret.
 */
export function fromBundle(input: BundleInput): {
  readonly revision?: Revision;
  readonly findings: readonly Finding[];
} {
  const malformed = (message: string): { findings: readonly Finding[] } => ({
    findings: [error('BundleMalformed', '', `the published revision ${message}`)],
  });
  const outer = object.safeParse(input.bundle);
  if (!outer.success) return malformed('is neither a ConfigMap nor a Secret with data');
  const policy = bytesAt(outer.data, KEYS.policy);
  const inner = stored.safeParse(json(bytesAt(outer.data, KEYS.revision)));
  if (policy === undefined || !inner.success) return malformed(`has no readable ${KEYS.policy} and ${KEYS.revision}`);
  const { flags, logDir, readerGroup, webhook, shipping } = inner.data;
  const config = shipping === undefined ? undefined : bytesAt(outer.data, KEYS.shipping);
  if (shipping !== undefined && config === undefined) return malformed(`has no readable ${KEYS.shipping}`);
  const kubeconfig = webhook ? webhookBytes(input.webhook) : undefined;
  if (webhook && kubeconfig === undefined)
    return {
      findings: [
        error(
          'BundleWebhookMissing',
          '',
          `the published revision needs its webhook's Secret, which has no readable ${KEYS.webhook}`,
        ),
      ],
    };

  const content = {
    policy,
    ...(kubeconfig === undefined ? {} : { webhook: new Secret(kubeconfig) }),
    flags: flags.map(([name, value]) => ({ name: name as AuditFlag, value })),
    ...(logDir === undefined ? {} : { logDir }),
    ...(readerGroup === undefined ? {} : { readerGroup }),
    ...(shipping === undefined || config === undefined ? {} : { shipping: { ...shipping, config } }),
  };
  const digest = digestOf(content);
  if (digest !== input.digest || digest !== inner.data.digest)
    return {
      findings: [
        error(
          'BundleDigest',
          '',
          'the published revision does not hash to the digest that was asked for: somebody changed it',
        ),
      ],
    };
  const revision: Revision = {
    ...content,
    digest,
    versions: input.versions,
    confidential: outer.data.kind === 'Secret',
  };
  const credentials = credentialsOf(input.credentials);
  const findings = [
    ...flagFindings(revision),
    ...webhookFindings(kubeconfig, credentials, input.credentialsDigest),
    ...policyFindings(revision),
  ];
  if (hasErrors(findings)) return { findings };
  return {
    revision: { ...revision, ...(credentials === undefined ? {} : { credentials: new Secret(credentials) }) },
    findings,
  };
}

/** Only our own files, whatever else the object holds; undefined where it holds none. */
function credentialsOf(secret: unknown): Credentials | undefined {
  const parsed = object.safeParse(secret);
  if (!parsed.success || parsed.data.kind !== 'Secret') return undefined;
  const files = CREDENTIAL_FILES.flatMap((name) => {
    const bytes = bytesAt(parsed.data, name);
    return bytes === undefined ? [] : [[name, bytes] as const];
  });
  const salt = bytesAt(parsed.data, SALT_KEY);
  return files.length === 0 ? undefined : { ...Object.fromEntries(files), ...(salt === undefined ? {} : { salt }) };
}

type Outer = z.infer<typeof object>;

/** The digest that an object of a bundle claims to have; undefined for what is no policy's object. Trust it only as far
 * as whoever gave the object: fromBundle says whether the content is that. */
export function claimedDigest(bundle: unknown): Digest | undefined {
  const outer = object.safeParse(bundle);
  const inner = outer.success ? stored.safeParse(json(bytesAt(outer.data, KEYS.revision))) : undefined;
  return inner?.success === true && /^[0-9a-f]{64}$/.test(inner.data.digest)
    ? (inner.data.digest as Digest)
    : undefined;
}

function bytesAt({ kind, data }: Outer, key: string): Uint8Array | undefined {
  const text = Object.hasOwn(data, key) ? data[key] : undefined;
  if (text === undefined) return undefined;
  return kind === 'Secret' ? decodeBase64(text) : bytesOf(text);
}

/** The kubeconfig that a published Secret holds; undefined where it holds none. */
export function webhookBytes(secret: unknown): Uint8Array | undefined {
  const parsed = object.safeParse(secret);
  return parsed.success && parsed.data.kind === 'Secret' ? bytesAt(parsed.data, KEYS.webhook) : undefined;
}

function json(bytes: Uint8Array | undefined): unknown {
  try {
    return bytes === undefined ? undefined : JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

/** Only flags that we render, only with values that we render, once each, and files only where they exist. */
function flagFindings({ flags, logDir, webhook }: Revision): Finding[] {
  const bad = (name: string, why: string): Finding => error('BundleFlag', '', `the published revision: ${name} ${why}`);
  const findings = flags.flatMap(({ name, value }) => {
    const known = Object.hasOwn(KNOWN_FLAGS, name) ? KNOWN_FLAGS[name] : undefined;
    if (known === undefined) return [bad('it', 'holds a flag that is not rendered here')];
    return isAllowed(known, name, value) ? [] : [bad(name, 'has a value that is not rendered here')];
  });
  const names = new Set(flags.map((f) => f.name));
  if (names.size !== flags.length) findings.push(bad('it', 'holds a flag twice'));
  if (!names.has('--audit-policy-file')) findings.push(bad('--audit-policy-file', 'is missing'));
  if (names.has('--audit-webhook-config-file') !== (webhook !== undefined))
    findings.push(bad('--audit-webhook-config-file', 'and the kubeconfig need each other'));
  const log = flags.find((f) => f.name === '--audit-log-path')?.value;
  const toFile = typeof log === 'object' && 'dir' in log;
  if (toFile !== (logDir !== undefined)) findings.push(bad('--audit-log-path', 'and the log folder need each other'));
  if (toFile && logDir !== undefined) findings.push(...checkLogPath(`${logDir}/${log.name}`));
  return findings;
}

function isAllowed(known: RegExp | 'file' | 'log', name: AuditFlag, value: FlagValue): boolean {
  if (known === 'log')
    return value === '-' || (typeof value === 'object' && 'dir' in value && !value.name.includes('/'));
  if (known === 'file')
    return (
      typeof value === 'object' &&
      'file' in value &&
      name === `--audit-${value.file === 'policy' ? 'policy-file' : 'webhook-config-file'}`
    );
  return typeof value === 'string' && known.test(value);
}

/** A kubeconfig that renders to itself, with its credentials, was rendered here, and is one that an API server loads. */
function webhookFindings(
  kubeconfig: Uint8Array | undefined,
  credentials: Credentials | undefined,
  asked: string | undefined,
): readonly Finding[] {
  const bad = (code: string, what: string): Finding => error(code, '', `the published revision: ${what}`);
  const has = credentials === undefined ? undefined : credentialsDigest(credentials);
  if (asked !== undefined && has !== asked)
    return [bad('BundleCredentials', "the webhook's credentials are not there, or not those that were asked for")];
  if (kubeconfig === undefined || isRendered(kubeconfig, credentials ?? {})) return [];
  return credentials === undefined && namesFiles(kubeconfig)
    ? [bad('BundleCredentials', "the webhook's kubeconfig needs its credentials' Secret")]
    : [bad('BundleWebhook', "the webhook's kubeconfig and its credentials were not rendered here")];
}

const namesFiles = (kubeconfig: Uint8Array): boolean =>
  /"(client-key|tokenFile)"/.test(new TextDecoder().decode(kubeconfig));

/** Every version that counts must load the very bytes. */
function policyFindings({ policy, versions, confidential }: Revision): readonly Finding[] {
  return loadForVersions(policy, versions).flatMap(({ policy: loaded, findings }, i) => {
    if (loaded !== undefined) return [];
    const why = confidential ? '' : `: ${findings.map((f) => f.message).join('; ')}`;
    return [error('InvalidPolicy', '', `the published policy does not load on Kubernetes ${versions[i]}${why}`)];
  });
}
