/**
 * All that says how an API server is started, at one moment: a static pod's manifest, a unit with its drop-ins and
 * variables, the configuration of K3s or RKE2; and the files that its audit flags name. Two equal ones are the same edit.
 * place.ts reads them, drift.ts and edits.ts compare.
 */
import { parentOf, sha256 } from '../targets/host-layout.ts';
import type { ServerView } from '../targets/server.ts';
import type { HostPath, HostRead } from '../targets/types.ts';

export type Sources = {
  /** In which a change may matter. */
  readonly folders: readonly HostPath[];
  /** Of the file that is edited; null where it is not there. */
  readonly text: string | null;
  /** One state of the other files that say how it is started. */
  readonly around: string;
  /** One state of everything, with the files that the flags name. */
  readonly print: string;
  readonly server: ServerView | null;
  /** Files of the host that its audit flags name. */
  readonly named: readonly HostPath[];
};

export type Found = {
  readonly reads: readonly HostRead[];
  readonly named: readonly HostPath[];
  readonly edited: HostPath | null;
  readonly server: ServerView | null;
  readonly files: ReadonlyMap<HostPath, { readonly bytes: Uint8Array } | null>;
};

export const decode = (bytes: Uint8Array): string => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);

export function sourcesFrom({ reads, named, edited, server, files }: Found): Sources {
  const paths = (read: HostRead['read']): readonly HostPath[] =>
    reads.flatMap((r) => (r.read === read ? [r.path] : []));
  const state = (all: readonly HostPath[]): string =>
    all
      .map((path) => files.get(path)?.bytes)
      .map((bytes, i) => `${all[i] ?? ''} ${bytes === undefined ? 'none' : sha256(bytes)}`)
      .join('\n');
  const saying = [...new Set(paths('File'))];
  const bytes = edited === null ? undefined : files.get(edited)?.bytes;
  return {
    folders: [...new Set([...[...saying, ...named].map(parentOf), ...paths('Dir')])],
    text: bytes === undefined ? null : decode(bytes),
    around: state(saying.filter((path) => path !== edited)),
    print: state([...new Set([...saying, ...(edited === null ? [] : [edited]), ...named])]),
    server,
    named,
  };
}
