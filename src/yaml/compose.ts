/**
 * Events to nodes: the first document only, as the API server reads it. Anchors are known from where they are written
 * (also inside their own node); an alias names the last one of its name. Depth costs no stack, and is bounded.
 */
import { NO_LINE, YamlFault, positionOf } from './fault.ts';
import type { Mark } from './fault.ts';
import type { Event } from './events.ts';
import type { Parser } from './parser.ts';
import { resolveScalar } from './resolve.ts';
import type { Alias, Mapping, Node, Scalar, Sequence } from './types.ts';

/**
 * Deeper documents are refused. The API server stops at 10,000 levels of JSON; between the two lies nothing that anyone
 * writes, and what comes after (conversion, decoding) may then recurse.
 */
export const MAX_NESTING = 1000;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Open = {
  readonly node: (Mutable<Sequence> & { items: Node[] }) | (Mutable<Mapping> & { pairs: { key: Node; value: Node }[] });
  /** A mapping's key that waits for its value. */
  key: Node | undefined;
};

class Composer {
  /** The first scalar that its tag does not fit. Faults of syntax come before it, wherever they stand. */
  #misfit: YamlFault | undefined;
  readonly #anchors = new Map<string, Exclude<Node, Alias>>();
  readonly #open: Open[] = [];

  #anchored<N extends Exclude<Node, Alias>>(node: N, event: { readonly anchor?: string }): N {
    if (event.anchor !== undefined) this.#anchors.set(event.anchor, node);
    return node;
  }

  #scalar(event: Event & { type: 'Scalar' }): Scalar {
    const [at, end] = [positionOf(event.start), positionOf(event.end)];
    const resolved = resolveScalar(event.text, event.tag, event.implicit);
    if (!('code' in resolved)) return { kind: 'scalar', ...resolved, style: event.style, at, end };
    this.#misfit ??= new YamlFault(resolved.code, resolved.problem, { at: event.start, line: NO_LINE });
    return { kind: 'scalar', tag: 'string', text: event.text, style: event.style, at, end };
  }

  #alias(event: Event & { type: 'Alias' }): Alias {
    const target = this.#anchors.get(event.name);
    if (target === undefined) {
      throw new YamlFault('YamlUnknownAnchor', `unknown anchor '${event.name}' referenced`, {
        at: event.start,
        line: NO_LINE,
      });
    }
    return { kind: 'alias', name: event.name, target, at: positionOf(event.start), end: positionOf(event.end) };
  }

  #begin(node: Open['node'], start: Mark): void {
    if (this.#open.length >= MAX_NESTING) {
      throw new YamlFault('YamlNestingTooDeep', `exceeded max depth of ${MAX_NESTING}`, { at: start, line: NO_LINE });
    }
    this.#open.push({ node, key: undefined });
  }

  /** Takes one event of a node; gives the node when it is complete. */
  #accept(event: Event): Node | undefined {
    switch (event.type) {
      case 'Scalar':
        return this.#anchored(this.#scalar(event), event);
      case 'Alias':
        return this.#alias(event);
      case 'SequenceStart': {
        const [at, end] = [positionOf(event.start), positionOf(event.end)];
        this.#begin(this.#anchored({ kind: 'sequence', items: [], at, end }, event), event.start);
        return undefined;
      }
      case 'MappingStart': {
        const [at, end] = [positionOf(event.start), positionOf(event.end)];
        this.#begin(this.#anchored({ kind: 'mapping', pairs: [], at, end }, event), event.start);
        return undefined;
      }
      case 'SequenceEnd':
      case 'MappingEnd': {
        const open = this.#open.pop();
        if (open === undefined) throw new Error('the parser closed a collection that it did not open');
        open.node.end = positionOf(event.end);
        return open.node;
      }
      case 'DocumentStart':
      case 'DocumentEnd':
      case 'StreamEnd':
        throw new Error(`the parser gave ${event.type} inside a document`);
    }
  }

  compose(parser: Parser): { readonly root: Node; readonly end: Mark } {
    const root = this.#root(parser);
    const { end } = parser.next();
    if (this.#misfit !== undefined) throw this.#misfit;
    return { root, end };
  }

  #root(parser: Parser): Node {
    for (;;) {
      const node = this.#accept(parser.next());
      if (node === undefined) continue;
      const parent = this.#open.at(-1);
      if (parent === undefined) return node;
      if (parent.node.kind === 'sequence') parent.node.items.push(node);
      else if (parent.key === undefined) parent.key = node;
      else {
        parent.node.pairs.push({ key: parent.key, value: node });
        parent.key = undefined;
      }
    }
  }
}

/** The first document's root and where the document ends; nothing for a stream without one. */
export function composeDocument(parser: Parser): { readonly root: Node; readonly end: Mark } | undefined {
  if (parser.next().type === 'StreamEnd') return undefined;
  return new Composer().compose(parser);
}
