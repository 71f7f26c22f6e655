/**
 * Classes of requests that meet the same rules, but for those that look at the user, his groups, the namespace or the
 * name: what segment.ts works out once and asks for at every decision.
 */
import type { EndingSet } from './endings.ts';
import { NumberMap } from './number-map.ts';
import type { NumberedRule } from './rule.ts';

export type Class = {
  /** The first rule that matches every request of this class. */
  readonly sure: number;
  /** The rules before it that are found by no name, in the policy's order, and what they ask for (ASK_...). */
  readonly others: readonly NumberedRule[];
  readonly othersAsk: number;
  /** By what names (ASK_...) the rest of the rules before it are found, and how these names end. */
  readonly ways: number;
  readonly endings: EndingSet;
};

/** Classes that are kept; then they are made anew. */
const MAX_CLASSES = 16384;

/** Classes by key, a bounded number of them. */
export class Classes {
  readonly #numbers = new NumberMap();
  #classes: Class[] = [];

  get(key: number): Class | undefined {
    const number = this.#numbers.get(key);
    return number < 0 ? undefined : this.#classes[number];
  }

  set(key: number, c: Class): Class {
    if (this.#classes.length >= MAX_CLASSES) {
      this.#numbers.clear();
      this.#classes = [];
    }
    this.#numbers.set(key, this.#classes.push(c) - 1);
    return c;
  }
}
