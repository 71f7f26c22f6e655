/**
 * Protection against alias bombs, by the API server's own rule: of all decoding steps, those inside aliases may be at
 * most 99 per cent (10 in documents of millions of steps). Also finds aliases that contain themselves.
 */
import { NO_LINE, YamlFault, markOf } from './fault.ts';
import type { Alias, Mapping, Node } from './types.ts';

const isMerge = (key: Node): boolean => key.kind === 'scalar' && key.tag === 'merge';

/** Enough to be over any limit, and finite. */
const MANY = 1e12;

function allowedRatio(steps: number): number {
  const [low, high] = [400_000, 4_000_000];
  if (steps <= low) return 0.99;
  if (steps >= high) return 0.1;
  return 0.99 - 0.89 * ((steps - low) / (high - low));
}

class Counter {
  #steps = 1;
  #aliased = 0;
  readonly #sizes = new Map<Node, number>();
  readonly #open = new Set<Node>();

  #check(at: Node): void {
    if (this.#aliased <= 100 || this.#steps <= 1000) return;
    if (this.#aliased / this.#steps <= allowedRatio(this.#steps)) return;
    throw new YamlFault('YamlExcessiveAliasing', 'document contains excessive aliasing', {
      at: markOf(at.at),
      line: 0,
    });
  }

  /** Steps that a node costs inside an alias. */
  #size(node: Node): number {
    if (node.kind === 'scalar') return 1;
    const known = this.#sizes.get(node);
    if (known !== undefined) return known;
    let size: number;
    if (node.kind === 'alias') size = 1 + this.#sizeOfTarget(node);
    else if (node.kind === 'sequence') size = 1 + this.#sum(node.items);
    else size = 1 + this.#sum(node.pairs.flatMap(stepsOfPair));
    size = Math.min(size, MANY);
    this.#sizes.set(node, size);
    return size;
  }

  #sizeOfTarget(alias: Alias): number {
    this.#enter(alias);
    const size = this.#size(alias.target);
    this.#open.delete(alias.target);
    return size;
  }

  #enter(alias: Alias): void {
    if (this.#open.has(alias.target)) {
      throw new YamlFault('YamlAliasContainsItself', `anchor '${alias.name}' value contains itself`, {
        at: markOf(alias.at),
        line: NO_LINE,
      });
    }
    this.#open.add(alias.target);
  }

  #sum(nodes: readonly Node[]): number {
    return nodes.reduce((sum, n) => sum + this.#size(n), 0);
  }

  /** Counts a node that stands in no alias, in the order of decoding. Inside an alias only the sum matters: both grow. */
  count(node: Node): void {
    this.#steps++;
    this.#check(node);
    if (node.kind === 'alias') {
      const size = this.#sizeOfTarget(node);
      this.#steps += size;
      this.#aliased += size;
      this.#check(node);
    } else if (node.kind === 'sequence') for (const item of node.items) this.count(item);
    else if (node.kind === 'mapping') this.#countMapping(node);
  }

  #countMapping(node: Mapping): void {
    for (const pair of node.pairs) for (const step of stepsOfPair(pair)) this.count(step);
  }
}

/** What is decoded of a pair: of a merge only what is merged, the last of a list first. */
function stepsOfPair({ key, value }: Mapping['pairs'][number]): readonly Node[] {
  if (!isMerge(key)) return [key, value];
  return value.kind === 'sequence' ? [...value.items].reverse() : [value];
}

/** Throws a YamlFault where the API server refuses the document for its aliases. */
export function checkAliases(root: Node): void {
  new Counter().count(root);
}
