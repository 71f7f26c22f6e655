/**
 * A policy as canonical bytes: what is rendered for an API server instead of a user's own file, so that YAML syntax can
 * never stop one. Every string is double-quoted, nothing is an anchor, a tag or a plain scalar other than booleans, and
 * the order of fields is fixed: same policy, same bytes. Strings are written in UTF-8 as they are; what a YAML reader
 * might refuse, fold or eat (controls, line separators, lone surrogates, a byte order mark) is escaped.
 */
import type { GroupResources, Policy, Rule } from '../api/audit.ts';

const NAMED: Readonly<Record<string, string>> = { '"': '\\"', '\\': '\\\\', '\n': '\\n', '\t': '\\t', '\r': '\\r' };

/** Quotes, backslashes and all that is not printable for a YAML 1.1 reader, or breaks a line there. */
const UNSAFE = /["\\\u0000-\u001f\u007f-\u00a0\u2028\u2029\ufeff\ufffe\uffff]|\p{Cs}/gu;

const escapeOne = (c: string): string =>
  NAMED[c] ?? (/\p{Cs}/u.test(c) ? '\ufffd' : `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** A double-quoted YAML scalar. A lone surrogate, which no UTF-8 file can hold, becomes U+FFFD as in Go. */
export const quoted = (s: string): string => `"${s.replace(UNSAFE, escapeOne)}"`;

const list = (name: string, values: readonly string[]): string[] =>
  values.length === 0 ? [] : [`${name}: [${values.map(quoted).join(', ')}]`];

function entryLines(e: GroupResources): string[] {
  return [`group: ${quoted(e.group)}`, ...list('resources', e.resources), ...list('resourceNames', e.resourceNames)];
}

/** The lines of one item of a list: a dash before the first, blanks before the others. */
const item = (lines: readonly string[], indent: string): string[] =>
  lines.map((l, i) => `${indent}${i === 0 ? '- ' : '  '}${l}`);

function ruleLines(r: Rule): string[] {
  const managed = r.omitManagedFields === undefined ? [] : [`omitManagedFields: ${String(r.omitManagedFields)}`];
  return [
    `level: ${quoted(r.level)}`,
    ...list('users', r.users),
    ...list('userGroups', r.userGroups),
    ...list('verbs', r.verbs),
    ...(r.resources.length === 0 ? [] : ['resources:', ...r.resources.flatMap((e) => item(entryLines(e), '  '))]),
    ...list('namespaces', r.namespaces),
    ...list('nonResourceURLs', r.nonResourceURLs),
    ...list('omitStages', r.omitStages),
    ...managed,
  ];
}

/** Canonical YAML of a policy, one document, `\n` at the end of each line. Loads again to an equal policy. */
export function emitPolicyText(policy: Policy): string {
  const lines = [
    'apiVersion: "audit.k8s.io/v1"',
    'kind: "Policy"',
    ...list('omitStages', policy.omitStages),
    ...(policy.omitManagedFields ? ['omitManagedFields: true'] : []),
    ...(policy.rules.length === 0 ? ['rules: []'] : ['rules:']),
    ...policy.rules.flatMap((r) => item(ruleLines(r), '  ')),
  ];
  return `${lines.join('\n')}\n`;
}

/** The bytes of `emitPolicyText`. */
export const emitPolicy = (policy: Policy): Uint8Array => new TextEncoder().encode(emitPolicyText(policy));
