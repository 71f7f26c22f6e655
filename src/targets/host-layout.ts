/**
 * Where a revision lies on a host (docs/decisions/0003), and which flag values follow from that. All host targets and
 * the node room use it, so that a path is spelled in one place.
 */
import { createHash } from 'node:crypto';
import { Secret } from '../render/types.ts';
import type { Digest, FlagValue, Revision } from '../render/types.ts';
import { CREDENTIAL_FILES, credentialFiles } from '../render/webhook/credentials.ts';
import type { HostChange, HostObserved, HostPath, Owner } from './types.ts';

export type HostLayout = {
  /** Mounted read-only into the API server at the same path. */
  readonly revisionsDir: HostPath;
  /** Journal, records of what was adopted, backups. Never mounted anywhere. */
  readonly stateDir: HostPath;
};

export const DEFAULT_LAYOUT: HostLayout = {
  revisionsDir: '/etc/kubernetes/auditconfig/revisions',
  stateDir: '/var/lib/auditconfig',
};

export const ROOT_OWNER: Owner = { uid: 0, gid: 0 };

export const sha256 = (bytes: Uint8Array): Digest => createHash('sha256').update(bytes).digest('hex') as Digest;

export const parentOf = (path: HostPath): HostPath => path.slice(0, Math.max(1, path.lastIndexOf('/')));
export const baseOf = (path: HostPath): string => path.slice(path.lastIndexOf('/') + 1);

/** True for the folder itself and everything beneath it. */
export const isWithin = (path: HostPath, dir: HostPath): boolean =>
  path === dir || path.startsWith(dir === '/' ? '/' : `${dir}/`);

/** `/a/b/` and `/a//b` are `/a/b`; `.` and `..` are left as they are, for the caller to refuse. */
export const tidyPath = (path: HostPath): HostPath => path.replace(/\/+/g, '/').replace(/(.)\/$/, '$1');

/** `/a/b` gives `/a` and `/a/b`. */
export const foldersTo = (dir: HostPath): readonly HostPath[] =>
  dir
    .split('/')
    .slice(1)
    .map((_, i, parts) => `/${parts.slice(0, i + 1).join('/')}`);

export const revisionDir = (digest: string, layout: HostLayout): HostPath =>
  `${layout.revisionsDir}/${digest.slice(0, 16)}`;

function valueOf(value: FlagValue, revision: Revision, layout: HostLayout): string {
  if (typeof value === 'string') return value;
  if ('file' in value) return `${revisionDir(revision.digest, layout)}/${value.file}.yaml`;
  if (revision.logDir === undefined) throw new Error('a flag names the log folder of a revision that has none');
  return `${tidyPath(revision.logDir)}/${value.name}`;
}

export type LogPlace = { readonly dir: HostPath; readonly path: HostPath };

/** Where a revision's log is; null where it has no file. */
export function logFileOf(revision: Revision): LogPlace | null {
  const flag = revision.flags.find((f) => f.name === '--audit-log-path')?.value;
  if (revision.logDir === undefined || typeof flag !== 'object' || !('dir' in flag)) return null;
  const dir = tidyPath(revision.logDir);
  return { dir, path: `${dir}/${flag.name}` };
}

export type ResolvedFlag = { readonly name: string; readonly value: string };

/** The flags of a revision as this host spells them, in the revision's order. */
export const resolveFlags = (revision: Revision, layout: HostLayout): readonly ResolvedFlag[] =>
  revision.flags.map((f) => ({ name: f.name, value: valueOf(f.value, revision, layout) }));

/** Every file that a revision's folder may hold. */
export const REVISION_FILES = ['policy.yaml', 'webhook.yaml', ...CREDENTIAL_FILES] as const;

export type RevisionFile = {
  readonly path: HostPath;
  readonly bytes: Uint8Array;
  readonly after: Extract<HostChange, { do: 'WriteFile' }>['after'];
  /** Of the webhook: the API server reads it again by itself, whenever it is another one. */
  readonly isCredential: boolean;
};

/** The files of a revision on this host, and those of its webhook's credentials, which may be others later. */
export function filesOf(revision: Revision, layout: HostLayout): readonly RevisionFile[] {
  const dir = revisionDir(revision.digest, layout);
  const { policy, webhook, credentials } = revision;
  const secret = (name: string, bytes: Uint8Array, isCredential = false): RevisionFile => ({
    path: `${dir}/${name}`,
    bytes,
    after: new Secret(bytes),
    isCredential,
  });
  return [
    revision.confidential
      ? secret('policy.yaml', policy)
      : { path: `${dir}/policy.yaml`, bytes: policy, after: policy, isCredential: false },
    ...(webhook === undefined ? [] : [secret('webhook.yaml', webhook.reveal())]),
    ...(credentials === undefined
      ? []
      : credentialFiles(credentials.reveal()).map(({ name, bytes }) => secret(name, bytes, true))),
  ];
}

/** The folders above `dir` that are ours to make, outermost first, and `dir` itself. */
const ownFolders = (dir: HostPath): readonly HostPath[] => (parentOf(dir) === '/' ? [dir] : [parentOf(dir), dir]);

/** To whom a file or folder of ours goes whose owner is another one; root needs none of them. */
export function givenTo(owner: Owner, there: ReadonlyMap<HostPath, Owner | undefined>): readonly HostChange[] {
  if (owner.uid === ROOT_OWNER.uid) return [];
  const others = [...there].filter(([, is]) => is !== undefined && is.uid !== owner.uid);
  return others.map(([path]): HostChange => ({ do: 'Give', path, owner }));
}

/**
 * The changes that put a revision's files on the host. `reader` is the user that the API server runs as: only he (and
 * root) can read them, also where he was another one when they were written. Files that are there with the same content
 * are left alone.
 */
export function revisionChanges(
  revision: Revision,
  seen: HostObserved,
  layout: HostLayout,
  reader: Owner,
): readonly HostChange[] {
  const dir = revisionDir(revision.digest, layout);
  const writes = filesOf(revision, layout).flatMap((f): HostChange[] => {
    const there = seen.files.get(f.path) ?? null;
    const before = there === null ? null : sha256(there.bytes);
    if (before === sha256(f.bytes)) return [];
    return [{ do: 'WriteFile', path: f.path, before, after: f.after, mode: 0o600, owner: reader }];
  });
  const owners = filesOf(revision, layout).map((f) => [f.path, seen.files.get(f.path)?.owner] as const);
  const given = givenTo(reader, new Map([...owners, [dir, seen.stats.get(dir)?.owner]]));
  if (writes.length === 0) return given;
  const parents = ownFolders(layout.revisionsDir)
    .filter((path) => (seen.stats.get(path) ?? null) === null)
    .map((path): HostChange => ({ do: 'MakeDir', path, mode: 0o755, owner: ROOT_OWNER }));
  const own: readonly HostChange[] =
    (seen.stats.get(dir) ?? null) === null ? [{ do: 'MakeDir', path: dir, mode: 0o700, owner: reader }] : [];
  return [...parents, ...own, ...given, ...writes];
}
