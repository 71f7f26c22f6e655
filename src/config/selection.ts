/**
 * Does a datacenter select this AuditConfig, and is it exempt? By labels of its namespace, which tenants cannot change
 * (an admission policy sees to those that selectors name). An exemption has an end, and counts only while that is at most
 * maxExemptionDays ahead: nobody is exempt for ever by a date far away. The time is an argument.
 */
import type { DatacenterAuditConfigSpec, Exemption } from '../api/datacenterauditconfig.ts';
import { matchesLabels } from '../api/label-selector.ts';
import type { Labels } from '../api/label-selector.ts';

export type Subject = {
  readonly namespace: string;
  readonly name: string;
  readonly namespaceLabels: Labels;
  readonly labels: Labels;
};

const DAY = 86_400_000;
export const MAX_EXEMPTION_DAYS = 90;
/** So long before its end it is said. */
export const ENDING_MS = 7 * DAY;

export function selects({ selector }: Pick<DatacenterAuditConfigSpec, 'selector'>, of: Subject): boolean {
  if (selector === undefined) return false;
  const { namespaceSelector = {}, objectSelector = {} } = selector;
  return matchesLabels(namespaceSelector, of.namespaceLabels) && matchesLabels(objectSelector, of.labels);
}

/** `TooLong` and `Expired` exempt nobody. */
export type ExemptionPhase = 'Active' | 'Ending' | 'Expired' | 'TooLong';

/** `now` in milliseconds since the epoch. A time that cannot be read has expired. */
export function exemptionPhase(
  { expirationTime }: Pick<Exemption, 'expirationTime'>,
  now: number,
  maxDays = MAX_EXEMPTION_DAYS,
): ExemptionPhase {
  const left = Date.parse(expirationTime) - now;
  if (!(left > 0)) return 'Expired';
  if (left > maxDays * DAY) return 'TooLong';
  return left <= ENDING_MS ? 'Ending' : 'Active';
}

/** When its phase changes next, in milliseconds from `now`; undefined when it has expired. */
export function exemptionChangesIn(e: Exemption, now: number, maxDays = MAX_EXEMPTION_DAYS): number | undefined {
  const end = Date.parse(e.expirationTime);
  switch (exemptionPhase(e, now, maxDays)) {
    case 'TooLong':
      return end - maxDays * DAY - now;
    case 'Active':
      return end - ENDING_MS - now;
    case 'Ending':
      return end - now;
    case 'Expired':
      return undefined;
  }
}

type Exempting = Pick<DatacenterAuditConfigSpec, 'exemptions' | 'maxExemptionDays'>;

/** The exemption that counts for it now, the one that lasts longest; undefined where it is not exempt. */
export function exemptionOf(
  spec: Exempting,
  of: Pick<Subject, 'namespace' | 'name'>,
  now: number,
): Exemption | undefined {
  const counting = (spec.exemptions ?? []).filter((e) => {
    if (e.namespace !== of.namespace || (e.name !== undefined && e.name !== of.name)) return false;
    const phase = exemptionPhase(e, now, spec.maxExemptionDays);
    return phase === 'Active' || phase === 'Ending';
  });
  return [...counting].sort((a, b) => Date.parse(b.expirationTime) - Date.parse(a.expirationTime))[0];
}

/** Selected, and not exempt. */
export const governs = (spec: DatacenterAuditConfigSpec, of: Subject, now: number): boolean =>
  selects(spec, of) && exemptionOf(spec, of, now) === undefined;
