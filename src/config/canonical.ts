/**
 * One text for one value: JSON with sorted keys, so that the order in which a map was written or merged never changes
 * a digest. Refuses what JSON would drop or blur. Called wherever something is hashed.
 */
import { createHash } from 'node:crypto';

/** Fields that are undefined count as absent, as in JSON. Throws for what has no JSON form: that is a bug of a caller. */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    let text = '';
    // By UTF-16 code units, as strings compare.
    for (const key of Object.keys(value).sort()) {
      const member: unknown = (value as Readonly<Record<string, unknown>>)[key];
      if (member !== undefined) text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(member)}`;
    }
    return `{${text}}`;
  }
  throw new Error(`${typeof value} has no canonical form`);
}

/** Lower-case hex. */
export const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');
