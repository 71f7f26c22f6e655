/** What every place that kube-apiserver and etcd can come from answers. One file a place; provision.ts asks in order. */
import type { PlaneVersion } from '../versions.ts';

export type Binaries = {
  readonly version: PlaneVersion;
  /** Absolute paths of executables. */
  readonly apiserver: string;
  readonly etcd: string;
};

export type Ask = {
  readonly version: PlaneVersion;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  /** One line for a person who waits. */
  readonly progress: (line: string) => void;
};

/**
 * `unavailable` is the normal answer of a source that this machine does not have: a reason that fits after
 * "KUBEBUILDER_ASSETS: ". Sources throw only when aborted.
 */
export type Answer = { readonly binaries: Binaries } | { readonly unavailable: string };

export interface Source {
  readonly name: string;
  get(ask: Ask): Promise<Answer>;
}
