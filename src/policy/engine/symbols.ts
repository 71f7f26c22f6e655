/**
 * The strings of a policy as small numbers, one numbering for each dimension of a request. A string that the policy
 * never names is 0, whatever it is: the engine (segment.ts) compares numbers only. Both ways into the engine, from
 * attributes (evaluate.ts) and from bytes (scan.ts), translate by these tables.
 */

/** Lengths from here on share one entry of the filter. */
const LONG = 255;

/** Numbers from 1 on in the order of the first `intern`; 0 is every string that was not interned. */
export class Symbols {
  readonly #ids = new Map<string, number>();
  /** Lengths of interned strings: most strings of a request are in no policy, and fall out here without being hashed. */
  readonly #lengths = new Uint8Array(LONG + 1);

  intern(s: string): number {
    const known = this.#ids.get(s);
    if (known !== undefined) return known;
    this.#lengths[Math.min(s.length, LONG)] = 1;
    this.#ids.set(s, this.#ids.size + 1);
    return this.#ids.size;
  }

  of(s: string): number {
    const length = s.length;
    if (this.#lengths[length > LONG ? LONG : length] === 0) return 0;
    return this.#ids.get(s) ?? 0;
  }

  /** How many numbers there are, with 0. */
  get count(): number {
    return this.#ids.size + 1;
  }

  entries(): IterableIterator<[string, number]> {
    return this.#ids.entries();
  }
}

/** Number of the empty subresource; 0 would mean one that no rule names. */
export const NO_SUBRESOURCE = 1;

export class SymbolTables {
  readonly user = new Symbols();
  readonly userGroup = new Symbols();
  readonly verb = new Symbols();
  readonly namespace = new Symbols();
  readonly group = new Symbols();
  readonly resource = new Symbols();
  readonly subresource = new Symbols();
  readonly name = new Symbols();

  constructor() {
    this.subresource.intern('');
  }
}

/** ASCII bytes from `start` up to `end`. */
export type ByteRange = { bytes: Uint8Array; start: number; end: number };

/**
 * One request in numbers. It is filled and read again and again: nothing is allocated for a decision.
 * `path` is text because prefixes are matched on it; it counts only where `isResource` is false.
 */
export type Query = {
  isResource: boolean;
  user: number;
  /** Known groups of the user only; empty too where there is no user. */
  userGroups: Int32Array;
  userGroupCount: number;
  verb: number;
  namespace: number;
  group: number;
  resource: number;
  subresource: number;
  name: number;
  /** User and groups where they have not been looked up; `user` and `userGroups` count where it is absent. */
  who: { readonly user?: string; readonly groups: readonly string[] } | undefined;
  /** The name as text where it has not been looked up: only few rules ask for one. `name` counts where it is absent. */
  nameText: string | undefined;
  path: string | ByteRange;
};

export const newQuery = (): Query => ({
  isResource: true,
  user: 0,
  userGroups: new Int32Array(64),
  userGroupCount: 0,
  verb: 0,
  namespace: 0,
  group: 0,
  resource: 0,
  subresource: NO_SUBRESOURCE,
  name: 0,
  who: undefined,
  nameText: undefined,
  path: '',
});

/** Adds a known group of the user; numbers of groups that no rule names are left out. */
export function addUserGroup(q: Query, id: number): void {
  if (id === 0) return;
  if (q.userGroupCount === q.userGroups.length) {
    const wider = new Int32Array(q.userGroups.length * 2);
    wider.set(q.userGroups);
    q.userGroups = wider;
  }
  q.userGroups[q.userGroupCount++] = id;
}

/** Looks up who it is: only where a rule asks. */
export function resolveWho(q: Query, t: SymbolTables): void {
  if (q.who === undefined) return;
  q.user = q.who.user === undefined ? 0 : t.user.of(q.who.user);
  const { groups } = q.who;
  for (let i = 0; i < groups.length; i++) addUserGroup(q, t.userGroup.of(groups[i] ?? ''));
  q.who = undefined;
}
