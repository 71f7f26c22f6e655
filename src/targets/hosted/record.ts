/**
 * What a workload remembers of our edit, as an annotation of its metadata (not of its template, so that it restarts nothing):
 * which revision it has, and which audit flags its owner had set before, which removal gives back. Written by the same
 * patch as the edit itself, so that one is never there without the other.
 */
import { z } from 'zod';
import { canonicalJson, sha256 } from '../../config/canonical.ts';
import type { Adopted } from './words.ts';
import type { Lists } from './workload.ts';

export const HOSTED_ANNOTATION = 'auditconfig.dev/adopted';
/** Its value is the container's name. Watched, and what the admission policy that puts our edit back goes by. */
export const HOSTED_LABEL = 'auditconfig.dev/hosted';

const word = z.string().max(16_384);
const schema = z.strictObject({
  version: z.literal(1),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  /** `namespace` is the workload's own. */
  config: z.string().max(253),
  adopted: z
    .array(z.strictObject({ list: z.enum(['command', 'args']), index: z.int().min(0), words: z.array(word).max(2) }))
    .max(256),
  /** Of the owner's words without any audit flag: as long as they are those, all goes back to where it was. */
  words: z.string().max(16),
});

export type HostedRecord = Readonly<z.infer<typeof schema>>;

export const hashOfLists = ({ command, args }: Lists): string =>
  sha256(canonicalJson([command ?? [], args ?? []])).slice(0, 16);

export const recordOf = (
  r: Omit<HostedRecord, 'version' | 'words' | 'adopted'> & { adopted: readonly Adopted[] },
  bare: Lists,
): HostedRecord => ({
  version: 1,
  digest: r.digest,
  config: r.config,
  adopted: r.adopted.map((a) => ({ ...a, words: [...a.words] })),
  words: hashOfLists(bare),
});

export const encodeHostedRecord = (r: HostedRecord): string => canonicalJson(r);

/** Undefined for a text that is none of this program's. */
export function parseHostedRecord(text: string | undefined): HostedRecord | undefined {
  try {
    return text === undefined ? undefined : schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
