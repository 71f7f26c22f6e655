/**
 * An AuditConfig's last valid settings, kept beside the revisions so that a datacenter's changes can go on while the
 * owner's newest settings are not valid, or paused. Always a Secret, since they may hold what a Secret held; never
 * changed: another content has another name. Of what they refer to only the keys that count are kept, and what no Secret
 * holds is not: an owner who refers to a megabyte must not stop the controller at it. Called by the controller; pure.
 */
import { z } from 'zod';
import { layerSpec } from '../api/auditconfig.ts';
import type { LayerSpec } from '../api/auditconfig.ts';
import { canonicalJson, sha256 } from '../config/canonical.ts';
import { WEBHOOK_KEY } from '../config/defaults.ts';
import { decodeBase64 } from '../yaml/base64.ts';
import { toBase64 } from './base64.ts';
import { POLICY_KEYS } from './references.ts';
import type { Reference, References } from './references.ts';
import { Secret } from './types.ts';

/** An AuditConfig's own settings, with what they refer to. */
export type Own = { readonly spec: LayerSpec; readonly references: References };

const KEY = 'own.json';
export const KEPT_PREFIX = 'auditconfig-kept-';
export const KEPT_LABELS = { 'app.kubernetes.io/managed-by': 'auditconfig', 'auditconfig.dev/kept': 'spec' } as const;

const bytesByKey = z.record(z.string(), z.string());
const stored = z.strictObject({ spec: layerSpec, policy: bytesByKey.optional(), webhook: bytesByKey.optional() });

/** An API server takes 2^20 bytes in all of a Secret's values. */
const MAX_KEPT_BYTES = 1_000_000;

/** What is there, by key; a reference that is not there is none. */
const plain = (
  reference: Reference | undefined,
  keys: readonly string[],
): Readonly<Record<string, string>> | undefined =>
  reference?.found === true
    ? Object.fromEntries(
        Object.entries(reference.data.reveal()).flatMap(([key, bytes]) =>
          keys.includes(key) ? [[key, toBase64(bytes)]] : [],
        ),
      )
    : undefined;

function textOf({ spec, references }: Own): string {
  const { configMapRef, secretRef } = spec.policy ?? {};
  const key = (secretRef ?? configMapRef)?.key;
  const policy = plain(references.policy, key === undefined ? POLICY_KEYS : [key]);
  const webhook = plain(references.webhook, [spec.webhook?.secretRef.key ?? WEBHOOK_KEY]);
  return canonicalJson({ spec: JSON.parse(JSON.stringify(spec)) as unknown, policy, webhook });
}

export const isKeepable = (own: Own): boolean => new TextEncoder().encode(textOf(own)).length <= MAX_KEPT_BYTES;

const nameOf = (uid: string, text: string): string => `${KEPT_PREFIX}${sha256(`${uid}\n${text}`).slice(0, 16)}`;

/** Of one AuditConfig (its uid) only: so it goes with it. */
export const keptName = (uid: string, own: Own): string => nameOf(uid, textOf(own));

/** The Secret that keeps it. */
export const keptSecret = (uid: string, own: Own, namespace: string) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: keptName(uid, own), namespace, labels: KEPT_LABELS },
  immutable: true,
  data: { [KEY]: toBase64(new TextEncoder().encode(textOf(own))) },
});

/** undefined where it is not what this program wrote: then nothing is known. */
export function parseKept(
  uid: string,
  object: { readonly metadata: { readonly name: string }; readonly data?: unknown },
): Own | undefined {
  const data = (object.data ?? {}) as Readonly<Record<string, unknown>>;
  const bytes = typeof data[KEY] === 'string' ? decodeBase64(data[KEY]) : undefined;
  const text = new TextDecoder().decode(bytes ?? new Uint8Array());
  const parsed = stored.safeParse(jsonOf(text));
  if (!parsed.success || nameOf(uid, text) !== object.metadata.name) return undefined;
  const { spec, policy, webhook } = parsed.data;
  const references: References = {
    ...(policy === undefined ? {} : { policy: referenceOf(policy) }),
    ...(webhook === undefined ? {} : { webhook: referenceOf(webhook) }),
  };
  return { spec, references };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

const referenceOf = (data: Readonly<Record<string, string>>): Reference => ({
  found: true,
  data: new Secret(
    Object.fromEntries(Object.entries(data).map(([key, text]) => [key, decodeBase64(text) ?? new Uint8Array()])),
  ),
});
