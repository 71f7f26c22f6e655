/**
 * Reads the golden tables of the presets: one row a request, written so that a person can check it against the policy
 * beside it. A row names who asks by a short word, what is asked as `verb group/resource/subresource` or `verb /path`,
 * and what is expected: level, index of the rule (null: none matches), and where it matters the omitted stages.
 */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Decision, RequestAttributes } from '../../../src/api/audit.ts';
import type { PresetName } from '../../../src/policy/presets.ts';

export type Row = {
  readonly who: string;
  /** `get /pods/log`, `list apps/deployments`, `GET /healthz`: an upper-case verb asks for a path. */
  readonly ask: string;
  readonly in?: string;
  readonly name?: string;
  readonly level: Decision['level'];
  readonly rule: number | null;
  readonly omit?: readonly string[];
};

const account = (namespace: string, name: string): { user: string; groups: string[] } => ({
  user: `system:serviceaccount:${namespace}:${name}`,
  groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
});

const PEOPLE: Readonly<Record<string, { readonly user?: string; readonly groups: readonly string[] }>> = {
  alice: { user: 'alice', groups: ['developers', 'system:authenticated'] },
  admin: { user: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] },
  node: { user: 'system:node:node-1', groups: ['system:nodes', 'system:authenticated'] },
  anonymous: { user: 'system:anonymous', groups: ['system:unauthenticated'] },
  // Credentials that were refused: no user information at all.
  refused: { groups: [] },
};

/** `ns:name` is a service account, `system:x` a component, everything else stands in PEOPLE. */
function whoIs(who: string): { readonly user?: string; readonly groups: readonly string[] } {
  const known = PEOPLE[who];
  if (known !== undefined) return known;
  if (who.startsWith('system:')) return { user: who, groups: ['system:authenticated'] };
  const [namespace, name] = who.split(':');
  if (namespace === undefined || name === undefined) throw new Error(`golden table: who is '${who}'?`);
  return account(namespace, name);
}

export function requestOf(row: Row): RequestAttributes {
  const [verb = '', what = ''] = row.ask.split(' ');
  const who = whoIs(row.who);
  if (verb === verb.toUpperCase()) return { kind: 'NonResource', ...who, verb: verb.toLowerCase(), path: what };
  const [group = '', resource = '', subresource = ''] = what.split('/');
  const names = { namespace: row.in ?? '', name: row.name ?? '' };
  return { kind: 'Resource', ...who, verb, version: 'v1', group, resource, subresource, ...names };
}

const ROW_FIELDS = ['who', 'ask', 'in', 'name', 'level', 'rule', 'omit'];

/** Rows of `<preset>.golden.yaml`. A misspelled field is an error, so that no expectation is silently dropped. */
export function goldenRows(preset: PresetName): readonly Row[] {
  const rows: unknown = parse(readFileSync(`${import.meta.dirname}/${preset}.golden.yaml`, 'utf8'));
  if (!Array.isArray(rows)) throw new Error(`${preset}.golden.yaml is not a list`);
  for (const row of rows as Record<string, unknown>[]) {
    const odd = Object.keys(row).filter((k) => !ROW_FIELDS.includes(k));
    if (odd.length > 0 || row.level === undefined || row.rule === undefined)
      throw new Error(`${preset}.golden.yaml: bad row ${JSON.stringify(row)}`);
  }
  return rows as Row[];
}
