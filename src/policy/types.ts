import type { Policy } from '../api/audit.ts';
import type { Finding, Position } from '../api/findings.ts';

/** `policy` is there exactly when a kube-apiserver of the asked version would load these bytes. */
export type Loaded = {
  readonly policy?: Policy;
  readonly findings: readonly Finding[];
  /** Where each field stands, by its Kubernetes path (`rules[0].level`), for findings made after loading. */
  readonly positions: ReadonlyMap<string, Position>;
};
