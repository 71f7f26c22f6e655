/** What the lint rules share: a rule of lint looks at one audit rule, or at the whole policy, and says what it saw. */
import type { Policy, Rule } from '../../api/audit.ts';
import type { Severity } from '../../api/findings.ts';
import type { Minor } from '../../api/versions.ts';

/** A finding without its place, which follows from the path. `path` begins at the policy. */
export type Remark = {
  readonly severity: Severity;
  readonly code: string;
  readonly path: string;
  readonly message: string;
};

export type PolicyContext = { readonly policy: Policy; readonly version: Minor };
/** `path` is the rule's own: `rules[3]`. */
export type RuleContext = PolicyContext & { readonly rule: Rule; readonly index: number; readonly path: string };

export type RuleCheck = (c: RuleContext) => readonly Remark[];
export type PolicyCheck = (c: PolicyContext) => readonly Remark[];

export const warning = (code: string, path: string, message: string): Remark => ({
  severity: 'warning',
  code,
  path,
  message,
});

export const info = (code: string, path: string, message: string): Remark => ({
  severity: 'info',
  code,
  path,
  message,
});

/** One remark for each value of a list about which `say` has something to say. */
export function aboutEach(
  list: readonly string[],
  path: string,
  say: (value: string, path: string) => Remark | undefined,
): Remark[] {
  return list.flatMap((value, i) => say(value, `${path}[${i}]`) ?? []);
}

export const quote = (s: string): string => JSON.stringify(s);
