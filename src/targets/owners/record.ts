/**
 * What an owner's object remembers of our edit, as an annotation of its metadata: which revision it has, which audit
 * settings its owner had, and which fields were not there before us. Written by the same patch as the edit itself.
 */
import { z } from 'zod';
import { canonicalJson, sha256 } from '../../config/canonical.ts';
import { isEmpty } from './slots.ts';
import type { Kept, Values } from './types.ts';

const slot = z.string().max(64);
const schema = z.strictObject({
  version: z.literal(2),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  /** In the object's own namespace. */
  config: z.string().max(253),
  kept: z
    .array(
      z.strictObject({
        slot,
        index: z.int().min(0).optional(),
        key: z.string().max(256).optional(),
        value: z.json(),
      }),
    )
    .max(256),
  made: z.record(slot, z.int().min(0).max(16)),
  /** Of the slots without us: as long as they are those, all goes back to where it was. */
  bare: z.string().max(16),
});
export type OwnerRecord = Readonly<Omit<z.infer<typeof schema>, 'kept'>> & { readonly kept: readonly Kept[] };

/** What is empty counts as what is not there. */
export const hashOf = (values: Values): string => {
  const there = Object.entries(values).filter(([, v]) => v !== undefined && !isEmpty(v));
  return sha256(canonicalJson(Object.fromEntries(there))).slice(0, 16);
};

export const encodeOwnerRecord = (r: OwnerRecord): string => canonicalJson(r);

/** Undefined for a text that is none of this program's. */
export function parseOwnerRecord(text: string | undefined): OwnerRecord | undefined {
  try {
    return text === undefined ? undefined : schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
