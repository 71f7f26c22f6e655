/**
 * What a container would see of the node's files, without a container: paths in flags are turned into paths below the
 * folder that plays the node's root.
 *
 * A path that no mount covers goes to an empty folder, made anew for each start, as a container's own file system is:
 * reading there fails in the program's own words, and what is written there is lost. Only flags are mapped: a path
 * inside a file that a flag names is not; relative paths there work as on a node.
 */
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import type { Container, HostPathType, StaticPod } from './static-pod.ts';

export type Mounted = { readonly mountPath: string; readonly hostPath: string; readonly readOnly: boolean };

/** Where the runner keeps what is not on the node: emptyDirs and the container's own file system. */
export type Place = { readonly root: string; readonly scratch: string };

type Kind = 'file' | 'directory' | 'missing';

async function kindOf(path: string): Promise<Kind> {
  try {
    const s = await stat(path);
    return s.isDirectory() ? 'directory' : 'file';
  } catch {
    return 'missing';
  }
}

/** undefined when it is as the type wants it, having made what the type makes; else what the kubelet would say. */
async function checkHostPath(path: string, shown: string, type: HostPathType): Promise<string | undefined> {
  const kind = await kindOf(path);
  const failed = `hostPath type check failed: ${shown} is not a`;
  switch (type) {
    case '':
      // The kubelet does not look; containerd makes a folder.
      if (kind === 'missing') await mkdir(path, { recursive: true });
      return undefined;
    case 'DirectoryOrCreate':
      if (kind === 'missing') await mkdir(path, { recursive: true, mode: 0o755 });
      return kind === 'file' ? `${failed} directory` : undefined;
    case 'Directory':
      return kind === 'directory' ? undefined : `${failed} directory`;
    case 'FileOrCreate':
      // It makes no parent folder.
      if (kind === 'missing' && (await kindOf(join(path, '..'))) !== 'directory')
        return `open ${shown}: no such file or directory`;
      if (kind === 'missing') await writeFile(path, '', { mode: 0o644 });
      return kind === 'directory' ? `${failed} file` : undefined;
    case 'File':
      return kind === 'file' ? undefined : `${failed} file`;
  }
}

export type MountResult = { readonly mounts: readonly Mounted[] } | { readonly failed: string };

/** Checks and makes every volume of the pod, mounted or not (as the kubelet does), and gives the container's mounts. */
export async function setUpMounts(pod: StaticPod, container: Container, place: Place): Promise<MountResult> {
  const hostPaths = new Map<string, string>();
  for (const volume of pod.volumes) {
    if (volume.kind === 'emptyDir') {
      const path = join(place.scratch, 'volumes', volume.name);
      await mkdir(path, { recursive: true });
      hostPaths.set(volume.name, path);
      continue;
    }
    const path = join(place.root, volume.path);
    const failed = await checkHostPath(path, volume.path, volume.type);
    if (failed !== undefined) return { failed: `MountVolume.SetUp failed for volume "${volume.name}": ${failed}` };
    hostPaths.set(volume.name, path);
  }
  const mounts = container.mounts.map((m) => ({
    mountPath: posix.normalize(m.mountPath).replace(/(.)\/$/, '$1'),
    hostPath: hostPaths.get(m.name) ?? '',
    readOnly: m.readOnly,
  }));
  return { mounts };
}

function mountOf(path: string, mounts: readonly Mounted[]): Mounted | undefined {
  const covering = mounts.filter((m) => path === m.mountPath || path.startsWith(`${m.mountPath}/`));
  return covering.sort((a, b) => b.mountPath.length - a.mountPath.length)[0];
}

function hostPathOf(path: string, mounts: readonly Mounted[], scratch: string): string {
  const mount = mountOf(path, mounts);
  return mount === undefined ? join(scratch, 'rootfs', path) : mount.hostPath + path.slice(mount.mountPath.length);
}

/** Flags of kube-apiserver whose values begin with a slash and are no files. */
const NOT_FILES = new Set(['etcd-prefix', 'authorization-always-allow-paths', 'service-account-issuer']);
/** Flags that name what kube-apiserver writes, and opens before it serves. */
const WRITTEN = new Set(['audit-log-path']);

export type MappedArgs = { readonly args: readonly string[] } | { readonly failed: string };

/** The arguments with each file's path on this machine. `failed` are a process' last words, had it run. */
export function mapArgs(argv: readonly string[], mounts: readonly Mounted[], scratch: string): MappedArgs {
  const map = (value: string): string =>
    value
      .split(',')
      .map((part) => (part.startsWith('/') ? hostPathOf(posix.normalize(part), mounts, scratch) : part))
      .join(',');
  const args: string[] = [];
  for (const [i, arg] of argv.entries()) {
    const flag = /^--?([^=]+)=(.*)$/s.exec(arg);
    const [, name = '', value = ''] = flag ?? ['', (argv[i - 1] ?? '').replace(/^--?/, ''), arg];
    if (WRITTEN.has(name) && value.startsWith('/') && mountOf(posix.normalize(value), mounts)?.readOnly === true)
      return { failed: `Error: ensureLogFile: open ${value}: read-only file system` };
    if (NOT_FILES.has(name)) args.push(arg);
    else args.push(flag === null ? map(arg) : `--${name}=${map(value)}`);
  }
  return { args };
}
