/**
 * Where a log file may lie. Its folder is mounted into the API server, writable, and rotation renames and deletes in
 * it: so it cannot be a folder that belongs to something else. The agent has an allowlist of its own on top. Called
 * when a revision is rendered and again when one is read from the API.
 */
import { error, warning } from './findings.ts';
import type { RenderFinding } from './findings.ts';

/** Folders that no log may be in, at any depth. */
const FORBIDDEN = [
  '/bin', '/boot', '/dev', '/etc', '/lib', '/lib32', '/lib64', '/proc', '/root', '/run', '/sbin', '/sys', '/usr',
  '/var/lib/kubelet', '/var/lib/etcd', '/var/lib/containerd', '/var/lib/docker', '/var/lib/auditconfig', '/var/run',
]; // prettier-ignore
/** Folders that hold more than our log: as such, not what is below them. */
const SHARED = [
  '/var',
  '/var/log',
  '/var/lib',
  '/var/log/pods',
  '/var/log/containers',
  '/tmp',
  '/var/tmp',
  '/home',
  '/opt',
  '/srv',
  '/mnt',
  '/data',
];

/** Folder and file name of a log path. */
export function splitLogPath(path: string): { readonly dir: string; readonly name: string } {
  const cut = path.lastIndexOf('/');
  return { dir: path.slice(0, cut), name: path.slice(cut + 1) };
}

/** Codes: LogPathInvalid, LogFolderForbidden (errors), LogFolderShared (warning). */
export function checkLogPath(path: string): readonly RenderFinding[] {
  const at = 'spec.log.file.path';
  if (!/^(\/[A-Za-z0-9_][A-Za-z0-9._-]*){2,}$/.test(path) || path.length > 512)
    return [
      error(
        'LogPathInvalid',
        at,
        `${at}: a log path is absolute and in a folder, such as /var/log/kube-audit/audit.log`,
      ),
    ];
  const { dir } = splitLogPath(path);
  const owner = FORBIDDEN.find((f) => dir === f || dir.startsWith(`${f}/`));
  if (owner !== undefined)
    return [
      error(
        'LogFolderForbidden',
        at,
        `${at}: a log cannot lie below ${owner}, since its folder is made writable for the API server`,
      ),
    ];
  if (!SHARED.includes(dir)) return [];
  return [
    warning(
      'LogFolderShared',
      at,
      `${at}: the whole folder ${dir} is mounted into the API server, writable, since rotation renames files in it; a folder of its own, such as /var/log/kube-audit, is safer`,
    ),
  ];
}
