/**
 * One text for one value: JSON with sorted keys, so that the order in which a map was written or merged never changes
 * a digest. Refuses what JSON would drop or blur. Called wherever something is hashed.
 */
import { createHash } from 'node:crypto';

type Fields = Readonly<Record<string, unknown>>;

/** What JSON can say without a class of its own. */
const isPlain = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;

/** Fields that are undefined count as absent, as in JSON. Throws for what has no JSON form: that is a bug of a caller. */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (!isPlain(value)) throw new Error(`${typeof value} has no canonical form`);
  let text = '';
  // By UTF-16 code units, as strings compare.
  for (const key of Object.keys(value).sort()) {
    const member = value[key];
    if (member !== undefined) text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(member)}`;
  }
  return `{${text}}`;
}

const isThere = (value: Fields, key: string): boolean => Object.hasOwn(value, key) && value[key] !== undefined;

/** Would their canonical JSON be the same? Neither is written. Throws as canonicalJson does. */
export function isSameJson(a: unknown, b: unknown): boolean {
  if (typeof a === 'string' && typeof b === 'string') return a === b;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((v, i) => isSameJson(v, b[i]));
  if (isPlain(a) && isPlain(b)) {
    const keys = Object.keys(a).filter((key) => a[key] !== undefined);
    const isAsMany = keys.length === Object.keys(b).filter((key) => b[key] !== undefined).length;
    return isAsMany && keys.every((key) => isThere(b, key) && isSameJson(a[key], b[key]));
  }
  return canonicalJson(a) === canonicalJson(b);
}

/** Lower-case hex. */
export const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');
