/** Findings of the renderer: paths begin with `spec`; one that is about a referenced object says which. */
import type { Finding, Severity } from '../api/findings.ts';

export type Source = { readonly kind: 'ConfigMap' | 'Secret'; readonly name: string; readonly key: string };

/** With `source`, `at` is a place in that object's bytes. */
export type RenderFinding = Finding & { readonly source?: Source };

const make =
  (severity: Severity) =>
  (code: string, path: string, message: string): RenderFinding => ({ severity, code, path, message });

export const error = make('error');
export const warning = make('warning');
