/**
 * A finding is how every room says what is wrong with an input: severity, a stable code, a sentence, and the place.
 * Codes are a contract (tests, SARIF, conditions): they are never renamed, and each is explained in docs/findings.md.
 */

/** A place in an input: `offset` in bytes from 0; `line` and `column` from 1, the column in Unicode code points. */
export type Position = { readonly offset: number; readonly line: number; readonly column: number };

export type Severity = 'error' | 'warning' | 'info';

export type Finding = {
  readonly severity: Severity;
  /** PascalCase, stable. */
  readonly code: string;
  /** One sentence with the reason and, where there is one, the next step. Never holds a Secret's value. */
  readonly message: string;
  /** Field path as Kubernetes writes it (`rules[0].resources[1].group`), or `''` for the whole input. */
  readonly path: string;
  readonly at?: Position;
};

export const hasErrors = (findings: readonly Finding[]): boolean => findings.some((f) => f.severity === 'error');
