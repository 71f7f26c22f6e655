/**
 * Numbers by number, for the one look-up that every decision about a resource makes (segment.ts): two typed arrays,
 * where a Map would box its keys and be a call. Keys are whole numbers from 0 on; values too.
 */
const FREE = -1;

export class NumberMap {
  #keys = new Float64Array(64).fill(FREE);
  #values = new Int32Array(64);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The value of `key`, or -1. */
  get(key: number): number {
    const slot = this.#slotOf(key);
    return this.#keys[slot] === FREE ? -1 : (this.#values[slot] ?? -1);
  }

  set(key: number, value: number): void {
    // At most half full: a search ends, and soon.
    if (this.#size * 2 >= this.#keys.length) this.#grow();
    const slot = this.#slotOf(key);
    if (this.#keys[slot] === FREE) this.#size++;
    this.#keys[slot] = key;
    this.#values[slot] = value;
  }

  clear(): void {
    this.#keys.fill(FREE);
    this.#size = 0;
  }

  /** Where `key` is, or the free slot where it would be. */
  #slotOf(key: number): number {
    const keys = this.#keys;
    const mask = keys.length - 1;
    // Keys count up in several steps at once: multiplied, they do not crowd.
    let slot = (Math.imul(key, 0x9e3779b1) >>> 7) & mask;
    while (keys[slot] !== key && keys[slot] !== FREE) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const [keys, values] = [this.#keys, this.#values];
    this.#keys = new Float64Array(keys.length * 2).fill(FREE);
    this.#values = new Int32Array(keys.length * 2);
    keys.forEach((key, i) => {
      if (key === FREE) return;
      const slot = this.#slotOf(key);
      this.#keys[slot] = key;
      this.#values[slot] = values[i] ?? 0;
    });
  }
}
