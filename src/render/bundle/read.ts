/**
 * A published revision read back. Trusts nothing but the digest that was asked for: an agent runs what comes out as root, so
 * flags, paths, policy and kubeconfig are judged again as if a stranger had written them. Called by the agent.
 */
import { z } from 'zod';
import { hasErrors } from '../../api/findings.ts';
import type { Finding } from '../../api/findings.ts';
import type { Minor } from '../../api/versions.ts';
import { loadForVersions } from '../../policy/load.ts';
import { decodeBase64 } from '../../yaml/base64.ts';
import { digestOf } from '../digest.ts';
import { error } from '../findings.ts';
import { KNOWN_FLAGS } from '../flags.ts';
import { checkLogPath } from '../log-path.ts';
import { Secret } from '../types.ts';
import type { AuditFlag, Credentials, Digest, FlagValue, Revision } from '../types.ts';
import { isRendered } from '../webhook.ts';
import { CREDENTIAL_FILES, credentialsDigest, SALT_KEY } from '../webhook/credentials.ts';
import { KEYS } from './names.ts';

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
  return kind === 'Secret' ? decodeBase64(text) : new TextEncoder().encode(text);
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
