/**
 * Sets of rules as rows of bits: word 0 of a row says which of its other words are not empty, word 1 + i holds the
 * rules at positions 32i to 32i + 31. With at most 32 such words (segment.ts sees to it), one AND of the first words
 * tells where to look at all, so that a thousand rules cost hardly more than thirty.
 */
export class Rows {
  readonly stride: number;
  #data: Int32Array;
  #count = 0;

  constructor(words: number, capacity = 16) {
    this.stride = words + 1;
    this.#data = new Int32Array(this.stride * capacity);
  }

  /** The words of all rows; row i begins at i * stride. Stale after `add`. */
  get data(): Int32Array {
    return this.#data;
  }

  get count(): number {
    return this.#count;
  }

  /** A new row, empty or a copy of another; answers its number. */
  add(copyOf?: number): number {
    const start = this.#count * this.stride;
    if (start + this.stride > this.#data.length) {
      const wider = new Int32Array(this.#data.length * 2);
      wider.set(this.#data);
      this.#data = wider;
    }
    if (copyOf === undefined) this.#data.fill(0, start, start + this.stride);
    else this.copy(copyOf, this.#count);
    return this.#count++;
  }

  copy(from: number, to: number): void {
    const start = from * this.stride;
    this.#data.copyWithin(to * this.stride, start, start + this.stride);
  }

  /** Puts the rule at `position` into the row. */
  put(row: number, position: number): void {
    const start = row * this.stride;
    const word = position >>> 5;
    this.#data[start] = (this.#data[start] ?? 0) | (1 << word);
    this.#data[start + 1 + word] = (this.#data[start + 1 + word] ?? 0) | (1 << (position & 31));
  }

  /** Forgets all rows from `count` on. */
  truncate(count: number): void {
    this.#count = count;
  }
}
