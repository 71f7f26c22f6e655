/**
 * One request in numbers, as the engine asks for it. What every class of requests is told by is there from the start;
 * user, groups, namespace and name of a request in text are looked up only where a rule asks for them.
 */
import type { RequestAttributes } from '../../api/audit.ts';
import { mayEndLike } from './endings.ts';
import type { EndingSet } from './endings.ts';
import { NO_SUBRESOURCE } from './symbols.ts';
import type { SymbolTables } from './symbols.ts';

type ResourceAttributes = RequestAttributes & { readonly kind: 'Resource' };

/** What only some rules ask for, as bits. */
export const ASK_USER = 1;
export const ASK_GROUPS = 2;
export const ASK_NAMESPACE = 4;
export const ASK_NAME = 8;

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
  /** What has not been looked up (ASK_...): user, groups, namespace and name count only where their bit is not set. */
  pending: number;
  /** Where to look it up. */
  text: RequestAttributes;
  /** Written, never read: see `touch`. */
  touched: number;
  /** Of the path, in the segment that is at work. */
  pathRow: number;
  path: string | ByteRange;
};

const NOBODY: RequestAttributes = { kind: 'NonResource', groups: [], verb: '', path: '' };

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
  pending: 0,
  text: NOBODY,
  pathRow: 0,
  touched: 0,
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

/** Looks up what rules ask for, where it has not been looked up. */
export function resolve(q: Query, asks: number, t: SymbolTables): void {
  const todo = asks & q.pending;
  if (todo === 0) return;
  q.pending ^= todo;
  const { text } = q;
  if (text.kind === 'Resource') touch(q, text);
  if ((todo & ASK_USER) !== 0) q.user = t.user.of(text.user ?? '');
  if ((todo & ASK_GROUPS) !== 0)
    for (let i = 0; i < text.groups.length; i++) addUserGroup(q, t.userGroup.of(text.groups[i] ?? ''));
  if (text.kind !== 'Resource') return;
  if ((todo & ASK_NAMESPACE) !== 0) q.namespace = t.namespace.of(text.namespace);
  if ((todo & ASK_NAME) !== 0) q.name = t.name.of(text.name);
}

/**
 * Which of `asks` may lead to a rule by a name with one of these endings; what has been looked up already may.
 * @param q of a request in text, where anything is pending.
 */
export function hintsOf(q: Query, asks: number, endings: EndingSet): number {
  const { text, pending } = q;
  if (pending === 0) return asks;
  let hints = ~pending;
  if (text.kind === 'Resource') {
    touch(q, text);
    if (mayEndLike(endings, ASK_NAMESPACE, text.namespace)) hints |= ASK_NAMESPACE;
    if (mayEndLike(endings, ASK_NAME, text.name)) hints |= ASK_NAME;
  }
  if ((pending & ASK_USER) !== 0 && mayEndLike(endings, ASK_USER, text.user ?? '')) hints |= ASK_USER;
  if ((pending & ASK_GROUPS) !== 0)
    for (let i = 0; i < text.groups.length; i++)
      if (mayEndLike(endings, ASK_GROUPS, text.groups[i] ?? '')) hints |= ASK_GROUPS;
  return hints & asks;
}

/**
 * The strings of a request lie apart in memory. Looked at here, with no branch in between, they come into the cache
 * side by side; the look-ups that follow would wait for one after the other.
 */
function touch(q: Query, r: ResourceAttributes): void {
  q.touched = (r.user ?? '').length + r.namespace.length + r.name.length + (r.groups[1] ?? '').length;
}
