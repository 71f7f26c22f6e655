/**
 * Which rules match a non-resource path: a tree of characters over all nonResourceURLs of a segment of rules. Going
 * down a path once finds the exact strings and all prefixes at the same time, however many rules there are.
 */
import type { Rows } from './rows.ts';

type Node = { readonly next: Map<number, Node>; prefix: number; exact: number };
type Pattern = { readonly position: number; readonly text: string };

const node = (): Node => ({ next: new Map(), prefix: -1, exact: -1 });

export class PathTree {
  readonly #root: Node = node();
  readonly #rows: Rows;

  /** @param patterns with the position of their rule; @param always a row: the rules that match every path. */
  constructor(rows: Rows, patterns: readonly Pattern[], always: number) {
    this.#rows = rows;
    this.#root.prefix = rows.add(always);
    // Short prefixes first: a longer one begins with the rules of those above it, and exact strings come last.
    const prefixes = patterns
      .filter((p) => p.text.endsWith('*'))
      .map((p) => ({ position: p.position, text: p.text.replace(/\*+$/, '') }))
      .sort((a, b) => a.text.length - b.text.length);
    for (const p of prefixes) this.#add(p, 'prefix');
    for (const p of patterns) this.#add(p, 'exact');
  }

  #add({ text, position }: Pattern, as: 'prefix' | 'exact'): void {
    let at = this.#root;
    let inherited = at.prefix;
    for (let i = 0; i < text.length; i++) {
      let below = at.next.get(text.charCodeAt(i));
      if (below === undefined) at.next.set(text.charCodeAt(i), (below = node()));
      at = below;
      if (at.prefix >= 0) inherited = at.prefix;
    }
    if (at[as] < 0) at[as] = this.#rows.add(inherited);
    this.#rows.put(at[as], position);
  }

  /** As `find`, for a path of ASCII bytes from `start` up to `end`. */
  findBytes(bytes: Uint8Array, start: number, end: number): number {
    let at = this.#root;
    let row = at.prefix;
    for (let i = start; i < end; i++) {
      const below = at.next.get(bytes[i] ?? 0);
      if (below === undefined) return row;
      at = below;
      if (at.prefix >= 0) row = at.prefix;
    }
    return at.exact >= 0 ? at.exact : row;
  }

  /** The row of rules whose nonResourceURLs match `path`, with those that match every path. */
  find(path: string): number {
    let at = this.#root;
    let row = at.prefix;
    for (let i = 0; i < path.length; i++) {
      const below = at.next.get(path.charCodeAt(i));
      if (below === undefined) return row;
      at = below;
      if (at.prefix >= 0) row = at.prefix;
    }
    return at.exact >= 0 ? at.exact : row;
  }
}
