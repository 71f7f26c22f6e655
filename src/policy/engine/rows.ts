/** Sets of rules as rows of bits: which rules a path does not rule out (paths.ts). */
export class Rows {
  readonly #stride: number;
  #data: Int32Array;
  #count = 0;

  constructor(words: number, capacity = 16) {
    this.#stride = words;
    this.#data = new Int32Array(this.#stride * capacity);
  }

  /** A new row, empty or a copy of another; answers its number. */
  add(copyOf?: number): number {
    const start = this.#count * this.#stride;
    if (start + this.#stride > this.#data.length) {
      const wider = new Int32Array(this.#data.length * 2);
      wider.set(this.#data);
      this.#data = wider;
    }
    if (copyOf !== undefined) {
      const from = copyOf * this.#stride;
      this.#data.copyWithin(start, from, from + this.#stride);
    }
    return this.#count++;
  }

  /** Puts the rule at `position` into the row. */
  put(row: number, position: number): void {
    const at = row * this.#stride + (position >>> 5);
    this.#data[at] = (this.#data[at] ?? 0) | (1 << (position & 31));
  }

  has(row: number, position: number): boolean {
    return ((this.#data[row * this.#stride + (position >>> 5)] ?? 0) & (1 << (position & 31))) !== 0;
  }
}
