/**
 * What files say about the API server that runs from them: where it listens, with which audit flags, where its process is
 * found, and who must restart it. The node room compares that with what really runs, and probes at that address.
 */
export type RunsIn =
  /** The kubelet's: the process has the flags among its arguments, its last words are in the pod's logs. */
  | { readonly in: 'Pod'; readonly namespace: string; readonly name: string; readonly container: string }
  /** systemd's. `showsFlags` is false where the API server is a part of another program (K3s). */
  | { readonly in: 'Unit'; readonly unit: string; readonly showsFlags: boolean };

/** An address that is of one machine: kube-apiserver advertises the one that it is bound to. */
export const specific = (bind: string | null): string | null =>
  bind === null || ['', '0.0.0.0', '::', '127.0.0.1', '::1', 'localhost'].includes(bind) ? null : bind;

/** No API server listens there. */
export const UNKNOWN_PORT = 0;

export type ServerView = {
  readonly runs: RunsIn;
  /** What must be restarted for a change to be noticed; null: the kubelet notices by itself. */
  readonly restart: { readonly unit: string; readonly reload: boolean } | null;
  /** As written; '' where there is none. */
  readonly image: string;
  /** Where the node itself reaches it; a name or port that files do not tell is asked in vain (UNKNOWN_PORT). */
  readonly address: { readonly host: string; readonly port: number };
  /** Where other nodes reach it, as far as the files say. */
  readonly advertised: string | null;
  readonly auditFlags: ReadonlyMap<string, string>;
  /** False where every request needs credentials: an anonymous probe then never sees it ready. */
  readonly anonymous: boolean;
};
