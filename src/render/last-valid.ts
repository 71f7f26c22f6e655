/**
 * An AuditConfig's last valid settings, kept beside the revisions so that a datacenter's changes can go on while the
 * owner's newest settings are not valid, or paused. Always a Secret, since they may hold what a Secret held; never
 * changed: another content has another name. Called by the controller; pure.
 */
import { z } from 'zod';
import { layerSpec } from '../api/auditconfig.ts';
import type { LayerSpec } from '../api/auditconfig.ts';
import { canonicalJson, sha256 } from '../config/canonical.ts';
import { decodeBase64 } from '../yaml/base64.ts';
import { toBase64 } from './base64.ts';
import type { Reference, References } from './references.ts';
import { Secret } from './types.ts';

/** An AuditConfig's own settings, with what they refer to. */
export type Own = { readonly spec: LayerSpec; readonly references: References };

const KEY = 'own.json';
export const KEPT_PREFIX = 'auditconfig-kept-';
export const KEPT_LABELS = { 'app.kubernetes.io/managed-by': 'auditconfig', 'auditconfig.dev/kept': 'spec' } as const;

const bytesByKey = z.record(z.string(), z.string());
const stored = z.strictObject({ spec: layerSpec, policy: bytesByKey.optional(), webhook: bytesByKey.optional() });

/** What is there, by key; a reference that is not there is none. */
const plain = (reference: Reference | undefined): Readonly<Record<string, string>> | undefined =>
  reference?.found === true
    ? Object.fromEntries(Object.entries(reference.data.reveal()).map(([key, bytes]) => [key, toBase64(bytes)]))
    : undefined;

function textOf({ spec, references }: Own): string {
  const [policy, webhook] = [plain(references.policy), plain(references.webhook)];
  return canonicalJson({ spec: JSON.parse(JSON.stringify(spec)) as unknown, policy, webhook });
}

/** Of one AuditConfig (its uid) only: so it goes with it. */
export const keptName = (uid: string, own: Own): string =>
  `${KEPT_PREFIX}${sha256(`${uid}\n${textOf(own)}`).slice(0, 16)}`;

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
  const text = typeof data[KEY] === 'string' ? decodeBase64(data[KEY]) : undefined;
  if (text === undefined) return undefined;
  const parsed = stored.safeParse(jsonOf(new TextDecoder().decode(text)));
  if (!parsed.success) return undefined;
  const { spec, policy, webhook } = parsed.data;
  const references: References = {
    ...(policy === undefined ? {} : { policy: referenceOf(policy) }),
    ...(webhook === undefined ? {} : { webhook: referenceOf(webhook) }),
  };
  const own: Own = { spec, references };
  return keptName(uid, own) === object.metadata.name ? own : undefined;
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
