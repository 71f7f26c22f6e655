/**
 * What a datacenter refers to is a part of what it says, pinned by digest: a ConfigMap or a Secret that is edited reaches a
 * fleet in waves, as an edit of the datacenter does. Of a webhook's Secret counts what restarts an API server; certificates
 * and tokens are no part of it, since they are told to everybody at once. Pure; called for datacenters alone.
 */
import { canonicalJson, sha256 } from '../config/canonical.ts';
import { WEBHOOK_KEY } from '../config/defaults.ts';
import type { DatacenterContent } from '../config/types.ts';
import { decodeBase64 } from '../yaml/base64.ts';
import { toBase64 } from './base64.ts';
import { POLICY_KEYS } from './references.ts';
import type { Reference } from './references.ts';
import { Secret } from './types.ts';
import { renderWebhook } from './webhook.ts';

export type Referred = {
  readonly kind: 'ConfigMap' | 'Secret';
  readonly namespace: string;
  readonly name: string;
  readonly as: 'Policy' | 'Webhook';
  /** The first that is there counts. */
  readonly keys: readonly string[];
};

export const referenceKey = (kind: string, namespace: string, name: string): string => `${kind}/${namespace}/${name}`;
const keyOf = ({ kind, namespace, name }: Referred): string => referenceKey(kind, namespace, name);

type Ref = { readonly namespace: string; readonly name: string; readonly key?: string | undefined };

export function referredIn({ defaults, enforced }: DatacenterContent): readonly Referred[] {
  const of = (kind: Referred['kind'], as: Referred['as'], ref: Ref | undefined): readonly Referred[] => {
    if (ref === undefined) return [];
    const { namespace, name, key } = ref;
    const keys = key === undefined ? (as === 'Webhook' ? [WEBHOOK_KEY] : POLICY_KEYS) : [key];
    return [{ kind, namespace, name, as, keys }];
  };
  return [defaults, enforced].flatMap((layer) => [
    ...of('ConfigMap', 'Policy', layer?.policy?.configMapRef),
    ...of('Secret', 'Policy', layer?.policy?.secretRef),
    ...of('Secret', 'Webhook', layer?.webhook?.secretRef),
  ]);
}

type Data = Readonly<Record<string, Uint8Array>>;
const bytesIn = (data: Data, { keys }: Referred): Uint8Array | undefined =>
  keys.flatMap((key) => (Object.hasOwn(data, key) ? (data[key] ?? []) : []))[0];

/**
 * Of webhooks' kubeconfigs, digest by digest: to read certificates takes 2 ms, and a datacenter's is asked for with each of its
 * control planes.
 */
const STRUCTURES = new Map<string, string>();
const MAX_STRUCTURES = 256;

/** A digest of what of it takes a restart; empty where it has no such key. */
function structureOf(data: Data, referred: Referred): string {
  const bytes = bytesIn(data, referred);
  if (bytes === undefined) return '';
  const digest = sha256(bytes);
  if (referred.as === 'Policy') return digest;
  const known = STRUCTURES.get(digest);
  if (known !== undefined) return known;
  const structure = sha256(renderWebhook(bytes, { network: 'Pod' }).kubeconfig?.reveal() ?? bytes);
  if (STRUCTURES.size >= MAX_STRUCTURES) STRUCTURES.clear();
  STRUCTURES.set(digest, structure);
  return structure;
}

/** One object may be referred to several times: each use counts. None for what is not there. */
export function pinsOf(
  content: DatacenterContent,
  references: ReadonlyMap<string, Reference>,
): Readonly<Record<string, string>> {
  const uses = new Map<string, string[]>();
  for (const referred of referredIn(content)) {
    const reference = references.get(keyOf(referred));
    if (reference?.found !== true) continue;
    const use = `${referred.as} ${structureOf(reference.data.reveal(), referred)}`;
    uses.set(keyOf(referred), [...(uses.get(keyOf(referred)) ?? []), use]);
  }
  return Object.fromEntries([...uses].map(([key, all]) => [key, sha256(canonicalJson(all))]));
}

/** The content with its pins; the same where it refers to nothing. */
export function pinned(content: DatacenterContent, references: ReadonlyMap<string, Reference>): DatacenterContent {
  const pins = pinsOf(content, references);
  return Object.keys(pins).length === 0 ? content : { ...content, references: pins };
}

/** Objects that are not any more, in what counts of them, what this content was published with. */
export function changedSince(
  content: DatacenterContent,
  references: ReadonlyMap<string, Reference>,
): readonly string[] {
  const now = pinsOf(content, references);
  return Object.entries(content.references ?? {}).flatMap(([key, pin]) => (now[key] === pin ? [] : [key]));
}

/** To be kept beside the content, in a Secret: of each object the keys that are looked at, and no other. */
export function textOfPinned(content: DatacenterContent, references: ReadonlyMap<string, Reference>): string {
  const kept: Record<string, Record<string, string>> = {};
  for (const referred of referredIn(content)) {
    const reference = references.get(keyOf(referred));
    if (reference?.found !== true) continue;
    const data = reference.data.reveal();
    for (const key of referred.keys) {
      const bytes = Object.hasOwn(data, key) ? data[key] : undefined;
      if (bytes !== undefined) (kept[keyOf(referred)] ??= {})[key] = toBase64(bytes);
    }
  }
  return canonicalJson(kept);
}

/** Those of them that are what the content was published with. */
export function parsePinned(content: DatacenterContent, text: string): ReadonlyMap<string, Reference> {
  const found = new Map<string, Reference>();
  for (const [key, data] of Object.entries(recordIn(text)))
    found.set(key, { found: true, data: new Secret(bytesByKey(data)) });
  for (const key of changedSince(content, found)) found.delete(key);
  return found;
}

const isRecord = (v: unknown): v is Readonly<Record<string, unknown>> =>
  typeof v === 'object' && v !== null && !Array.isArray(v);

function recordIn(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

const bytesByKey = (data: unknown): Data =>
  Object.fromEntries(
    Object.entries(isRecord(data) ? data : {}).flatMap(([key, value]) => {
      const bytes = typeof value === 'string' ? decodeBase64(value) : undefined;
      return bytes === undefined ? [] : [[key, bytes]];
    }),
  );
