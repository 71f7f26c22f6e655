/**
 * What a unit's sandbox (systemd.exec) lets its process do: which user it is, and whether it can write in the log's folder
 * and read the revisions. A log that cannot be written stops a kube-apiserver, or is lost: a finding says so beforehand.
 */
import type { Finding } from '../../api/findings.ts';
import { isWithin, ROOT_OWNER, tidyPath } from '../host-layout.ts';
import { refusal } from '../refusal.ts';
import type { HostObserved, HostPath, Owner } from '../types.ts';
import { isTrue, listSetting, setting } from './unit.ts';
import type { Unit } from './unit.ts';

export const PASSWD = '/etc/passwd';

/** The user that the service runs as; null where it cannot be told from files. */
export function ownerOf(unit: Unit, seen: HostObserved): Owner | null {
  if (isTrue(setting(unit, 'DynamicUser'))) return null;
  const user = setting(unit, 'User') ?? '';
  if (user === '' || user === 'root' || user === '0') return ROOT_OWNER;
  const lines = new TextDecoder().decode(seen.files.get(PASSWD)?.bytes ?? new Uint8Array()).split('\n');
  const entry = lines.map((l) => l.split(':')).find((f) => f[0] === user || f[2] === user);
  const [uid, gid] = [Number(entry?.[2] ?? NaN), Number(entry?.[3] ?? NaN)];
  return Number.isInteger(uid) && Number.isInteger(gid) ? { uid, gid } : null;
}

const pathsOf = (unit: Unit, ...keys: readonly string[]): readonly HostPath[] =>
  keys.flatMap((key) =>
    listSetting(unit, key).flatMap((a) =>
      a.value.split(/\s+/).map((p) => tidyPath((p.split(':')[0] ?? '').replace(/^[-+]+/, ''))),
    ),
  );

const made = (unit: Unit, key: string, root: string): readonly HostPath[] =>
  pathsOf(unit, key).map((p) => `${root}/${p}`);

/** The deepest of these at or above a folder; '' for none. */
const deepest = (paths: readonly HostPath[], dir: HostPath): HostPath =>
  paths.filter((p) => p.startsWith('/') && isWithin(dir, p)).sort((a, b) => b.length - a.length)[0] ?? '';

const READ_ONLY: Readonly<Record<string, readonly HostPath[]>> = {
  strict: ['/'],
  full: ['/usr', '/boot', '/efi', '/etc'],
  true: ['/usr', '/boot', '/efi'],
};

/** Which setting keeps the service from writing in a folder of the host; null for none. */
function whatForbids(unit: Unit, dir: HostPath): string | null {
  if (setting(unit, 'RootDirectory') || setting(unit, 'RootImage')) return 'RootDirectory= or RootImage=';
  const hidden = pathsOf(unit, 'InaccessiblePaths', 'TemporaryFileSystem', 'InaccessibleDirectories');
  if (deepest(hidden, dir) !== '') return 'InaccessiblePaths= or TemporaryFileSystem=';
  const system = setting(unit, 'ProtectSystem')?.toLowerCase() ?? '';
  const locked = [
    ...(READ_ONLY[isTrue(system) ? 'true' : system] ?? []),
    ...pathsOf(unit, 'ReadOnlyPaths', 'ReadOnlyDirectories'),
  ];
  const open = [
    ...pathsOf(unit, 'ReadWritePaths', 'ReadWriteDirectories', 'BindPaths'),
    ...made(unit, 'LogsDirectory', '/var/log'),
    ...made(unit, 'StateDirectory', '/var/lib'),
    ...made(unit, 'CacheDirectory', '/var/cache'),
  ];
  const [shut, free] = [deepest(locked, dir), deepest(open, dir)];
  if (shut === '' || free.length >= shut.length && free !== '') return null; // prettier-ignore
  return system === 'strict' && shut === '/' ? 'ProtectSystem=strict' : `ReadOnlyPaths= or ProtectSystem= (${shut})`;
}

/** Findings of error severity: with them the API server could not write its log or read its policy. */
export function sandboxFindings(
  unit: Unit,
  dirs: { readonly log: HostPath | null; readonly revisions: HostPath },
): readonly Finding[] {
  const path = unit.files[0]?.path ?? '';
  const log = dirs.log === null ? null : whatForbids(unit, dirs.log);
  const hides = deepest(pathsOf(unit, 'InaccessiblePaths', 'TemporaryFileSystem'), dirs.revisions);
  const tmp = dirs.log !== null && isTrue(setting(unit, 'PrivateTmp')) && /^\/(var\/)?tmp(\/|$)/.test(dirs.log);
  return [
    ...(log === null && !tmp
      ? []
      : [refusal('LogFolderReadOnly', `${log ?? 'PrivateTmp='} of ${unit.name} keeps kube-apiserver from writing its log in ${dirs.log ?? ''}. Add ReadWritePaths=${dirs.log ?? ''}, or choose another folder.`, path)]), // prettier-ignore
    ...(hides === ''
      ? []
      : [refusal('PolicyHidden', `${unit.name} hides ${hides}, below which the policy would lie.`, path)]),
  ];
}
