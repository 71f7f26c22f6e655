/**
 * AuditConfigs without a cluster: a file holds an AuditConfig and, as further documents, the ConfigMaps and Secrets
 * that it refers to. Gives the same verdicts as API server and controller, with line and column. Called by `render`,
 * `patch`, `diff` and `lint`.
 */
import type { AuditConfig } from '../api/auditconfig.ts';
import type { Finding, Position } from '../api/findings.ts';
import type { Minor } from '../api/versions.ts';
import type { EffectiveConfig } from '../config/types.ts';
import type { References } from './references.ts';
import type { Revision } from './types.ts';

export type AuditConfigDocument = {
  readonly config: AuditConfig;
  /** What the file's other documents hold of what `config` refers to; what is not there is NotFound. */
  readonly references: References;
  /** The place of a path such as `spec.policy.rules[0].level`, or of its nearest ancestor that is there. */
  readonly locate: (path: string) => Position | undefined;
};

export type AuditConfigFile = {
  readonly documents: readonly AuditConfigDocument[];
  /** All that can be said without a Kubernetes version; paths begin with `spec` or `metadata`. */
  readonly findings: readonly Finding[];
};

/** Reads every document of the file. A document with findings of severity error is not among `documents`. */
export function loadAuditConfigFile(bytes: Uint8Array): AuditConfigFile {
  throw new Error(`not written yet: ${bytes.length}`);
}

export type RenderedFile = {
  readonly config?: AuditConfig;
  readonly effective?: EffectiveConfig;
  /** Absent where a finding is an error, and where state is Disabled. */
  readonly revision?: Revision;
  readonly findings: readonly Finding[];
};

/** The whole way from a file with exactly one AuditConfig to its revision; findings are placed in the file. */
export function renderFile(bytes: Uint8Array, versions: readonly Minor[]): RenderedFile {
  throw new Error(`not written yet: ${bytes.length} ${versions.length}`);
}
