/**
 * Which events a decision about a datacenter is worth: a condition that came to say something else, and an exemption
 * that ends soon, has ended, or never counted. Derived from old and new status, so that nothing is said twice.
 */
import type { DatacenterAuditConfigStatus } from '../api/datacenterauditconfig.ts';
import type { Note } from './notes.ts';

const BAD: Readonly<Record<string, 'True' | 'False'>> = { Accepted: 'False', RolledOut: 'False', Conflicting: 'True' };
const ACTION: Readonly<Record<string, string>> = {
  Accepted: 'Validate',
  RolledOut: 'RollOut',
  Conflicting: 'Validate',
};
/** It goes on by itself. */
const QUIET: ReadonlySet<string> = new Set(['Progressing', 'Soaking']);

export function datacenterNotes(
  before: DatacenterAuditConfigStatus,
  after: DatacenterAuditConfigStatus | undefined,
): readonly Note[] {
  if (after === undefined) return [];
  const changed = (after.conditions ?? []).flatMap((c): Note[] => {
    const bad = BAD[c.type];
    const old = before.conditions?.find((o) => o.type === c.type);
    if (bad === undefined || (old?.status === c.status && old.reason === c.reason)) return [];
    if (old === undefined && c.type === 'Conflicting' && c.status !== bad) return [];
    const type = c.status !== bad || QUIET.has(c.reason) ? 'Normal' : 'Warning';
    return [{ type, reason: c.reason, action: ACTION[c.type] ?? c.type, note: c.message }];
  });
  return [...changed, ...exemptionNotes(before, after)];
}

type Exemption = NonNullable<DatacenterAuditConfigStatus['exemptions']>[number];
const whose = ({ namespace, name }: Exemption): string =>
  name === undefined ? `namespace ${namespace}` : `${namespace}/${name}`;

const WORDS: Readonly<Record<Exemption['phase'], (e: Exemption) => Omit<Note, 'action'>>> = {
  Active: (e) => ({
    type: 'Normal',
    reason: 'ExemptionActive',
    note: `${whose(e)} is exempt until ${e.expirationTime}`,
  }),
  Ending: (e) => ({
    type: 'Warning',
    reason: 'ExemptionEnding',
    note: `the exemption of ${whose(e)} ends at ${e.expirationTime}; then what is enforced counts there`,
  }),
  Expired: (e) => ({ type: 'Normal', reason: 'ExemptionExpired', note: `the exemption of ${whose(e)} has ended` }),
  TooLong: (e) => ({
    type: 'Warning',
    reason: 'ExemptionTooLong',
    note: `the exemption of ${whose(e)} ends at ${e.expirationTime}, further ahead than maxExemptionDays, and does not count`,
  }),
};

const exemptionNotes = (before: DatacenterAuditConfigStatus, after: DatacenterAuditConfigStatus): readonly Note[] =>
  (after.exemptions ?? []).flatMap((e) => {
    const same = (o: Exemption): boolean =>
      o.namespace === e.namespace && o.name === e.name && o.expirationTime === e.expirationTime;
    const old = before.exemptions?.find(same);
    return old?.phase === e.phase ? [] : [{ ...WORDS[e.phase](e), action: 'Exempt' }];
  });
