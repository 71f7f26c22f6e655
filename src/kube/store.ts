/**
 * What a reflector knows: projected objects by key, with indexes. Written by reflector.ts only, read by everybody. Reads
 * are synchronous and never wait; whether they are complete is the reflector's `synced`.
 */
import type { ObjectKey, ObjectRef } from './types.ts';
import { keyOf } from './types.ts';

export type ChangeType = 'Added' | 'Updated' | 'Deleted';
export type Change = {
  readonly type: ChangeType;
  readonly key: ObjectKey;
  /** Which one a watch told of. A list tells of none: what came before it may have been told by nobody. */
  readonly version?: string;
};

/** Index values of one object; an object may have none or several. */
export type IndexFunction<T> = (value: T) => readonly string[];
export type Indexes<T, I extends string> = Readonly<Record<I, IndexFunction<T>>>;

export interface ReadStore<T, I extends string = string> {
  readonly size: number;
  get(ref: ObjectRef | ObjectKey): T | undefined;
  keys(): Iterable<ObjectKey>;
  values(): Iterable<T>;
  /** Keys of the objects with this value in the index, in no order. */
  keysBy(index: I, value: string): readonly ObjectKey[];
  by(index: I, value: string): readonly T[];
}

type Entry<T> = { readonly version: string; readonly value: T };

export class Store<T, I extends string = string> implements ReadStore<T, I> {
  readonly #entries = new Map<ObjectKey, Entry<T>>();
  readonly #indexes: readonly { readonly of: IndexFunction<T>; readonly keys: Map<string, Set<ObjectKey>> }[];
  readonly #byName: ReadonlyMap<string, Map<string, Set<ObjectKey>>>;

  constructor(indexes: Indexes<T, I>) {
    const named = Object.entries<IndexFunction<T>>(indexes).map(([name, of]) => ({
      name,
      of,
      keys: new Map<string, Set<ObjectKey>>(),
    }));
    this.#indexes = named;
    this.#byName = new Map(named.map((i) => [i.name, i.keys]));
  }

  get size(): number {
    return this.#entries.size;
  }
  get(ref: ObjectRef | ObjectKey): T | undefined {
    return this.#entries.get(typeof ref === 'string' ? ref : keyOf(ref))?.value;
  }
  keys(): Iterable<ObjectKey> {
    return this.#entries.keys();
  }
  *values(): Iterable<T> {
    for (const e of this.#entries.values()) yield e.value;
  }
  keysBy(index: I, value: string): readonly ObjectKey[] {
    return [...(this.#byName.get(index)?.get(value) ?? [])];
  }
  by(index: I, value: string): readonly T[] {
    return this.keysBy(index, value).flatMap((key) => this.#entries.get(key)?.value ?? []);
  }

  /** Is it there in just this version? */
  has(key: ObjectKey, version: string): boolean {
    return this.#entries.get(key)?.version === version;
  }

  /** What changed, or undefined when this very version was there already. */
  set(key: ObjectKey, version: string, value: T): Change | undefined {
    const before = this.#entries.get(key);
    if (before?.version === version) return undefined;
    if (before !== undefined) this.#unindex(key, before.value);
    this.#entries.set(key, { version, value });
    for (const { of, keys } of this.#indexes)
      for (const v of of(value)) {
        const set = keys.get(v);
        if (set === undefined) keys.set(v, new Set([key]));
        else set.add(key);
      }
    return { type: before === undefined ? 'Added' : 'Updated', key };
  }

  delete(key: ObjectKey): Change | undefined {
    const before = this.#entries.get(key);
    if (before === undefined) return undefined;
    this.#unindex(key, before.value);
    this.#entries.delete(key);
    return { type: 'Deleted', key };
  }

  #unindex(key: ObjectKey, value: T): void {
    for (const { of, keys } of this.#indexes)
      for (const v of of(value)) {
        const set = keys.get(v);
        set?.delete(key);
        if (set?.size === 0) keys.delete(v);
      }
  }
}
