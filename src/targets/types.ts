/**
 * The one interface of all kinds of places where kube-apiserver flags live. Targets do no I/O: they name what they
 * want to read, and turn what was read into changes, which are data: printed by `diff`, journaled, executed.
 */
import type { Finding } from '../api/findings.ts';
import type { Digest, Revision, Secret } from '../render/types.ts';

export type HostPath = string;
export type HostRead =
  { readonly read: 'File'; readonly path: HostPath } | { readonly read: 'Dir'; readonly path: HostPath };

/** What was read: file bytes by path; null where there is no such file. Folder listings by path. */
export type HostObserved = {
  readonly files: ReadonlyMap<HostPath, { readonly bytes: Uint8Array; readonly mode: number } | null>;
  readonly dirs: ReadonlyMap<HostPath, readonly string[] | null>;
};

/** `before` is the change's guard (sha256 hex of the content, null for "not there"): idempotence, drift and undo come from it. */
export type HostChange =
  | {
      readonly do: 'MakeDir';
      readonly path: HostPath;
      readonly mode: number;
      readonly owner?: { readonly uid: number; readonly gid: number };
    }
  | {
      readonly do: 'WriteFile';
      readonly path: HostPath;
      readonly before: Digest | null;
      readonly after: Uint8Array | Secret<Uint8Array>;
      readonly mode: number;
    }
  | { readonly do: 'RemoveFile'; readonly path: HostPath; readonly before: Digest }
  | { readonly do: 'RestartUnit'; readonly unit: string; readonly reload: boolean };

export type Plan<C> =
  | { readonly changes: readonly C[]; readonly findings: readonly Finding[]; readonly restarts: boolean }
  | { readonly refused: readonly Finding[] };

export interface Target<Spec, C, Read, Observed> {
  observe(spec: Spec): readonly Read[];
  /** `null` removes exactly what was added. */
  plan(to: Revision | null, seen: Observed, spec: Spec): Plan<C>;
  /** What differs from `to` in what was seen; empty means that it is in place. */
  verify(to: Revision | null, seen: Observed, spec: Spec): readonly Finding[];
}
