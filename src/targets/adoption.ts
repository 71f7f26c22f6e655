/** What is said of flags that were set by hand: of hosts, of workloads and of owners' objects alike. */
import type { Finding } from '../api/findings.ts';

export const RECORD_MISSING: Finding = {
  severity: 'warning',
  code: 'RecordMissing',
  message: 'The record of what was set by hand before is gone; audit flags are taken out, and none are given back.',
  path: '',
};

/** What was set by hand and is now ours: shown in diffs and status, given back at removal. */
export function adoptionFindings(
  flags: ReadonlyMap<string, string>,
  wanted: ReadonlyMap<string, string>,
): readonly Finding[] {
  return [...flags].map(([name, value]): Finding => {
    const to = wanted.get(name);
    return to === undefined
      ? {
          severity: 'info',
          code: 'FlagTakenOut',
          message: `${name}=${value} was set by hand and is not in the revision: it is taken out, and given back at removal.`,
          path: name,
        }
      : {
          severity: 'info',
          code: 'FlagAdopted',
          message: `${name}=${value} was set by hand: it is ${to === value ? 'kept' : `now ${to}`}, and given back at removal.`,
          path: name,
        };
  });
}
