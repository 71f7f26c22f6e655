/**
 * Effective config to revision: the one place where a policy is composed and flags are rendered. Same input, same
 * bytes, same digest. Refuses (findings of severity error, no revision) whatever a kube-apiserver of any of the given
 * versions would not start with. Called by the controller, and by `render`, `patch` and `diff`.
 */
import type { Finding } from '../api/findings.ts';
import type { Minor } from '../api/versions.ts';
import type { EffectiveConfig } from '../config/types.ts';
import type { References } from './references.ts';
import type { Revision } from './types.ts';

export type RenderInput = {
  readonly effective: EffectiveConfig;
  /** One for each reference that effective.spec has (policy.reference, webhook.secretRef); missing counts as NotFound. */
  readonly references: References;
  /** Versions that must be able to load it, at least one. */
  readonly versions: readonly Minor[];
};

export type Rendered = {
  /** Absent where a finding is an error, and where state is Disabled (there is nothing to render). */
  readonly revision?: Revision;
  /**
   * Paths are below spec. A finding inside a referenced policy has the place in those bytes as `at` and the object's
   * name in its message; where that object is a Secret, the message holds no word of its content.
   */
  readonly findings: readonly Finding[];
};

export function buildRevision(input: RenderInput): Rendered {
  throw new Error(`not written yet: ${input.versions.length}`);
}
