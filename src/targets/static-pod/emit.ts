/**
 * Writes the few YAML values that an edit of a manifest needs, in the style of the place they go to. Whatever might be
 * read as something else than this text is quoted; JSON quoting is valid in YAML everywhere.
 */
import { isRecord } from './manifest.ts';
import type { Json } from './manifest.ts';

/** Reads as this very string in every YAML version, in block and in flow. */
const PLAIN = /^(?:--[a-z0-9]|\/)[A-Za-z0-9._/=+@-]*$/;
const PLAIN_WORD = /^[A-Za-z][A-Za-z0-9._/-]*$/;
const RESERVED = /^(?:y|n|yes|no|on|off|true|false|null|nan|inf)$/i;

const isPlain = (s: string): boolean => PLAIN.test(s) || (PLAIN_WORD.test(s) && !RESERVED.test(s));

export type ScalarStyle = 'PLAIN' | 'QUOTE_SINGLE' | 'QUOTE_DOUBLE';

/** `value` in the style asked, or quoted where that style would not read back as the same text. */
export function scalarText(value: string, style: ScalarStyle): string {
  if (style === 'PLAIN' && isPlain(value)) return value;
  if (style === 'QUOTE_SINGLE' && /^[\x20-\x7e]*$/.test(value)) return `'${value.replaceAll("'", "''")}'`;
  return JSON.stringify(value);
}

const leaf = (v: Json, json: boolean): string =>
  typeof v === 'string' ? (json ? JSON.stringify(v) : scalarText(v, 'PLAIN')) : String(v);

export function flowText(v: Json, json: boolean): string {
  if (Array.isArray(v)) return `[${(v as readonly Json[]).map((i) => flowText(i, json)).join(', ')}]`;
  if (!isRecord(v)) return leaf(v, json);
  const pairs = Object.entries(v).map(([k, x]) => `${json ? JSON.stringify(k) : k}: ${flowText(x, json)}`);
  return `{${pairs.join(', ')}}`;
}

function blockLines(v: { readonly [key: string]: Json }): readonly string[] {
  return Object.entries(v).flatMap(([k, x]) =>
    isRecord(x) ? [`${k}:`, ...blockLines(x).map((l) => `  ${l}`)] : [`${k}: ${leaf(x, false)}`],
  );
}

/** The lines of one item of a block list, dash included. */
export function blockItem(v: Json, indent: string): readonly string[] {
  if (!isRecord(v)) return [`${indent}- ${leaf(v, false)}`];
  return blockLines(v).map((l, i) => `${indent}${i === 0 ? '- ' : '  '}${l}`);
}
