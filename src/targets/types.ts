/**
 * The one interface of all kinds of places where kube-apiserver flags live. Targets do no I/O: they name what they
 * want to read, and turn what was read into changes, which are data: printed by `diff`, journaled, executed.
 */
import type { Finding } from '../api/findings.ts';
import type { Digest, Revision, Secret } from '../render/types.ts';
import type { ServerView } from './server.ts';

/** Absolute, as the host sees it. A `--root` is put in front of it by whoever reads or writes. */
export type HostPath = string;

/** How many bytes an `End` has at most: a few events, commonly. */
export const END_BYTES = 64 * 1024;

/**
 * `File`: bytes and owner. `Dir`: the names in a folder. `Stat`: what is there, not followed if it is a link. `End`: the
 * last bytes of a file that may be large.
 */
export type HostRead = { readonly read: 'File' | 'Dir' | 'Stat' | 'End'; readonly path: HostPath };

export type Owner = { readonly uid: number; readonly gid: number };
export type HostFile = { readonly bytes: Uint8Array; readonly mode: number; readonly owner: Owner };
export type HostStat = {
  readonly kind: 'file' | 'dir' | 'link' | 'other';
  readonly mode: number;
  readonly owner: Owner;
};

/** What was read, by path; null where nothing is there (or, for a file, something that is not one). */
export type HostObserved = {
  readonly files: ReadonlyMap<HostPath, HostFile | null>;
  readonly dirs: ReadonlyMap<HostPath, readonly string[] | null>;
  readonly stats: ReadonlyMap<HostPath, HostStat | null>;
  readonly ends: ReadonlyMap<HostPath, Uint8Array | null>;
};

/** `before` is the change's guard (sha256 hex of the content, null for "not there"): idempotence, drift and undo come from it. */
export type HostChange =
  /** A folder that is there already stays as it is. */
  | { readonly do: 'MakeDir'; readonly path: HostPath; readonly mode: number; readonly owner?: Owner }
  /** Whole or not at all. `mode` and `owner` hold for a new file; one that is there keeps its own. */
  | {
      readonly do: 'WriteFile';
      readonly path: HostPath;
      readonly before: Digest | null;
      readonly after: Uint8Array | Secret<Uint8Array>;
      readonly mode: number;
      readonly owner?: Owner;
    }
  /** Of what is ours and is there: another owner, the same mode. Nothing happens where it is gone, or has other names too. */
  | { readonly do: 'Give'; readonly path: HostPath; readonly owner: Owner }
  | { readonly do: 'RemoveFile'; readonly path: HostPath; readonly before: Digest }
  /** Only if it is empty; a folder with something in it stays, without an error. */
  | { readonly do: 'RemoveDir'; readonly path: HostPath }
  | { readonly do: 'RestartUnit'; readonly unit: string; readonly reload: boolean };

export type Plan<C> =
  | { readonly changes: readonly C[]; readonly findings: readonly Finding[]; readonly restarts: boolean }
  | { readonly refused: readonly Finding[] };

export interface Target<Spec, C, Read, Observed> {
  /** What to read for a plan to `to`, given what was read so far. Asked again until it names nothing new. */
  observe(to: Revision | null, seen: Observed, spec: Spec): readonly Read[];
  /** Changes in the order in which they must be made. `null` removes exactly what was added. */
  plan(to: Revision | null, seen: Observed, spec: Spec): Plan<C>;
  /** What differs from `to` in what was seen; empty means that it is in place. */
  verify(to: Revision | null, seen: Observed, spec: Spec): readonly Finding[];
}

/** Texts of one file around one edit; null where there was, or is, no such file. */
export type Image = { readonly before: string | null; readonly after: string | null };

/** A target whose place is files of the host. */
export type FilesTarget<Spec> = Target<Spec, HostChange, HostRead, HostObserved>;

/**
 * `Ours`: of what starts the API server, only audit flags and our own mounts were changed. `Rewrite`: more than that.
 * `Upgrade`: another image or program too. `Unreadable`: it cannot be told what starts it.
 */
export type Changed = 'Ours' | 'Rewrite' | 'Upgrade' | 'Unreadable';

/** One from which a kube-apiserver runs: StaticPod, Systemd, K3s, RKE2. Each edits one file; the rest is ours. */
export interface HostTarget<Spec> extends FilesTarget<Spec> {
  /** The one file that is edited, and whose change the API server notices; null where there is no such place. */
  edited(seen: HostObserved, spec: Spec): HostPath | null;
  /** What the files say about the API server; null where they cannot be read, or there is none. */
  server(seen: HostObserved, spec: Spec): ServerView | null;
  /** Files and folders that say how the API server is started: whoever changes one of them may change its flags. */
  sources(seen: HostObserved, spec: Spec): readonly HostRead[];
  /** Files of the host that its audit flags name. */
  named(seen: HostObserved, spec: Spec): readonly HostPath[];
  /** How much was changed since the edited file had the text `before`; null: no text is known that was in place. */
  changed(before: string | null, seen: HostObserved, spec: Spec): Changed;
  /** The edited file's text with one edit of ours taken back, where someone changed it since; undefined: not safely. */
  revert(current: string, image: Image, seen: HostObserved, spec: Spec): string | null | undefined;
}
