/**
 * Which rules match a non-resource path: a tree over all nonResourceURLs of a segment of rules, each edge a stretch of
 * text that nothing leaves in between. Going down a path once finds the exact strings and all prefixes at the same time,
 * however many rules there are.
 */
import type { Rows } from './rows.ts';

type Node = {
  /** Char codes from the node above to here; they begin with the one by which it is found there. */
  readonly label: readonly number[];
  readonly next: Map<number, Node>;
  /** Rows: the rules with a prefix that ends here or above; those that also match a path that ends here. */
  prefix: number;
  exact: number;
};
type Pattern = { readonly position: number; readonly text: string };
/** As long as the tree is built: a node for each character, and rows only where a pattern ends. */
type Step = { readonly next: Map<number, Step>; prefix: number; exact: number };

const step = (): Step => ({ next: new Map(), prefix: -1, exact: -1 });

export class PathTree {
  readonly #root: Node;
  readonly #rows: Rows;

  /** @param patterns with the position of their rule; @param always a row: the rules that match every path. */
  constructor(rows: Rows, patterns: readonly Pattern[], always: number) {
    this.#rows = rows;
    const root = step();
    root.prefix = rows.add(always);
    // Short prefixes first: a longer one begins with the rules of those above it, and exact strings come last.
    const prefixes = patterns
      .filter((p) => p.text.endsWith('*'))
      .map((p) => ({ position: p.position, text: p.text.replace(/\*+$/, '') }))
      .sort((a, b) => a.text.length - b.text.length);
    for (const p of prefixes) this.#add(root, p, 'prefix');
    for (const p of patterns) this.#add(root, p, 'exact');
    this.#root = joined(root, [], root.prefix);
  }

  #add(root: Step, { text, position }: Pattern, as: 'prefix' | 'exact'): void {
    let at = root;
    let inherited = at.prefix;
    for (let i = 0; i < text.length; i++) {
      let below = at.next.get(text.charCodeAt(i));
      if (below === undefined) at.next.set(text.charCodeAt(i), (below = step()));
      at = below;
      if (at.prefix >= 0) inherited = at.prefix;
    }
    if (at[as] < 0) at[as] = this.#rows.add(inherited);
    this.#rows.put(at[as], position);
  }

  /** As `find`, for a path of ASCII bytes from `start` up to `end`. */
  findBytes(bytes: Uint8Array, start: number, end: number): number {
    let at = this.#root;
    for (let i = start; i < end;) {
      const below = at.next.get(bytes[i] ?? 0);
      if (below === undefined || below.label.length > end - i) return at.prefix;
      for (let k = 1; k < below.label.length; k++) if (below.label[k] !== bytes[i + k]) return at.prefix;
      i += below.label.length;
      at = below;
    }
    return at.exact;
  }

  /** The row of rules whose nonResourceURLs match `path`, with those that match every path. */
  find(path: string): number {
    let at = this.#root;
    for (let i = 0; i < path.length;) {
      const below = at.next.get(path.charCodeAt(i));
      if (below === undefined || below.label.length > path.length - i) return at.prefix;
      for (let k = 1; k < below.label.length; k++) if (below.label[k] !== path.charCodeAt(i + k)) return at.prefix;
      i += below.label.length;
      at = below;
    }
    return at.exact;
  }
}

/** The node at the end of the stretch that begins with `label` and reaches to `at` or further. */
function joined(at: Step, label: number[], inherited: number): Node {
  const [only, ...more] = at.next;
  const plain = label.length > 0 && at.prefix < 0 && at.exact < 0;
  if (plain && only !== undefined && more.length === 0) return joined(only[1], [...label, only[0]], inherited);
  const prefix = at.prefix >= 0 ? at.prefix : inherited;
  const next = new Map([...at.next].map(([code, below]) => [code, joined(below, [code], prefix)] as const));
  return { label, next, prefix, exact: at.exact >= 0 ? at.exact : prefix };
}
