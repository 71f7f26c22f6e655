/**
 * Whether this machine can hold a cluster: root, namespaces, cgroups, and programs that Debian provides, which are
 * installed where they are missing and this is root. Asked once by every test file, before anything is started.
 */
import { access, constants, readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { goVersion } from '../control-plane/sources/go-toolchain.ts';
import { run } from '../control-plane/sources/run.ts';

/** Program and the Debian package that brings it. */
const PROGRAMS: readonly (readonly [program: string, apt: string])[] = [
  ['containerd', 'containerd'],
  ['ctr', 'containerd'],
  ['runc', 'runc'],
  ['ip', 'iproute2'],
  ['iptables', 'iptables'],
  ['conntrack', 'conntrack'],
  ['unshare', 'util-linux'],
  ['nsenter', 'util-linux'],
  ['mount', 'mount'],
  ['tar', 'tar'],
];
/** Debian's folder of CNI plugins. */
export const CNI_FOLDER = '/usr/lib/cni';

const exists = (path: string, mode: number = constants.F_OK): Promise<boolean> =>
  access(path, mode).then(
    () => true,
    () => false,
  );

/** As a shell finds it; root's folders are looked into too. */
export async function which(program: string): Promise<string | undefined> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  for (const folder of folders) {
    const path = join(folder, program);
    if (folder !== '' && (await exists(path, constants.X_OK))) return path;
  }
  return undefined;
}

async function missingPackages(): Promise<readonly string[]> {
  const missing = new Set<string>();
  for (const [program, apt] of PROGRAMS) if ((await which(program)) === undefined) missing.add(apt);
  if (!(await exists(join(CNI_FOLDER, 'bridge')))) missing.add('containernetworking-plugins');
  return [...missing];
}

async function install(packages: readonly string[], signal: AbortSignal | undefined): Promise<string | undefined> {
  if ((await which('apt-get')) === undefined) return `install ${packages.join(', ')}: there is no apt-get`;
  const options = {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    timeoutMs: 300_000,
    ...(signal === undefined ? {} : { signal }),
  };
  const args = ['install', '-y', '-qq', '--no-install-recommends', ...packages];
  // The lists may be there already, or be too old; an update costs seconds, so it comes first only when it must.
  let done = await run('apt-get', args, options);
  if (done.code !== 0) {
    await run('apt-get', ['update', '-qq'], options);
    done = await run('apt-get', args, options);
  }
  return done.code === 0 ? undefined : `apt-get install ${packages.join(' ')}: ${lastLine(done.stderr)}`;
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';

const NAMESPACES = ['--mount', '--pid', '--fork', '--net', '--uts', '--ipc', '--cgroup'];

/** What this machine lacks, in words for whoever reads the test's output; undefined where a cluster can run. */
export async function whatIsMissing(signal?: AbortSignal): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'Linux';
  if (process.getuid?.() !== 0) return 'root';
  if ((await goVersion({ env: process.env, signal: signal ?? new AbortController().signal })) === undefined)
    return 'Go, to build a kubelet';
  const packages = await missingPackages();
  const failed = packages.length === 0 ? undefined : await install(packages, signal);
  if (failed !== undefined) return failed;
  const script = 'mount -t tmpfs tmpfs /mnt && ip link add auditconfig0 type bridge';
  const tried = await run('unshare', [...NAMESPACES, 'sh', '-c', script], { timeoutMs: 10_000 });
  if (tried.code !== 0) return `namespaces of one's own: ${lastLine(tried.stderr)}`;
  const hierarchies = await cgroupHierarchies();
  // A container's are often mounted read-only.
  const writable = await Promise.all(hierarchies.map(({ path }) => exists(path, constants.W_OK)));
  if (hierarchies.length === 0 || writable.includes(false)) return 'cgroups that can be written to';
  return undefined;
}

/** As whatIsMissing; where CI=true nothing may be missing, so that no suite passes by not running. */
export async function missingHere(): Promise<string | undefined> {
  const missing = await whatIsMissing();
  if (missing !== undefined && process.env['CI'] === 'true') throw new Error(`the node tests need ${missing}`);
  return missing;
}

/** One cgroup hierarchy with controllers in it. */
export type Hierarchy = {
  /** Where it is mounted. */
  readonly path: string;
  /** What node-init.sh is told: `v2`, or `FOLDER:OPTIONS`. */
  readonly mount: string;
};

/** Those of v1, or the one of v2. */
export async function cgroupHierarchies(): Promise<readonly Hierarchy[]> {
  const found: Hierarchy[] = [];
  for (const line of (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')) {
    const [mount = '', source = ''] = line.split(' - ');
    const path = mount.split(' ')[4] ?? '';
    const [type, , options = ''] = source.split(' ');
    if (type === 'cgroup2' && path === '/sys/fs/cgroup') return [{ path, mount: 'v2' }];
    if (type !== 'cgroup') continue;
    const kept = options.split(',').filter((o) => !['rw', 'ro', 'relatime', 'xattr', 'clone_children'].includes(o));
    const named = kept.filter((o) => !o.startsWith('release_agent='));
    const none = named.every((o) => o.startsWith('name=')) ? ['none'] : [];
    found.push({ path, mount: `${path.slice(path.lastIndexOf('/') + 1)}:${[...none, ...named].join(',')}` });
  }
  return found;
}
