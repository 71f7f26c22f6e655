/**
 * What both readers (YAML and JSON) end in: JSON as the API server's decoder meets it, with places. Numbers stay text.
 */
import type { Position } from '../api/findings.ts';

export type Member = {
  readonly key: string;
  /** Where the key stands. */
  readonly at: Position;
  readonly value: Value;
};

export type Value = { readonly at: Position } & (
  | { readonly kind: 'null' }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'number'; readonly text: string }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'array'; readonly items: readonly Value[] }
  /** In the order of decoding: sorted by key from YAML, as written in JSON. A key may come more than once. */
  | { readonly kind: 'object'; readonly members: readonly Member[] }
);

/** `rules` and `[0]` and `level` to `rules[0].level`; keys are written as they are. */
export const childPath = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`);

/** The order of Go's strings: by code point, where JavaScript's `<` goes by UTF-16 unit. */
export function compareCodePoints(a: string, b: string): number {
  if (a === b) return 0;
  let i = 0;
  while (a.charCodeAt(i) === b.charCodeAt(i)) i++;
  const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
  const [sx, sy] = [(x & 0xf800) === 0xd800, (y & 0xf800) === 0xd800];
  if (sx !== sy && i < a.length && i < b.length) return sx ? 1 : -1;
  return a < b ? -1 : 1;
}
