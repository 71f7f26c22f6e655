/**
 * The user's cache folder: what an earlier run downloaded, copied or built, so that only the first run waits.
 *
 * An entry is a folder `<Kubernetes version>-<source>`, for builds with a key behind it, that holds kube-apiserver and etcd. It is filled beside its
 * place and renamed, so an entry that is there is whole. Not in node_modules/.cache, which `npm ci` wipes.
 */
import { createHash, randomUUID } from 'node:crypto';
import { access, constants, mkdir, readFile, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { PlaneVersion } from '../versions.ts';
import { PINNED } from '../versions.ts';
import type { Answer, Ask, Binaries, Source } from './types.ts';
import { GO_FOLDER, goFlags, goVersion } from './go-toolchain.ts';

export type EntryKind = 'go' | 'envtest' | 'docker';

export function cacheFolder(env: Ask['env']): string {
  const base = env['XDG_CACHE_HOME'];
  // A relative XDG_CACHE_HOME is invalid and ignored (XDG Base Directory Specification).
  const root = base !== undefined && base.startsWith('/') ? base : join(homedir(), '.cache');
  return resolve(root, 'auditconfig', 'control-plane');
}

/** sha256 over what decides the bytes of a build: module files, our main, flags, Go's own version. */
async function goKey(version: PlaneVersion, go: string): Promise<string> {
  const { modfile } = PINNED[version];
  const hash = createHash('sha256');
  for (const file of [modfile.name, modfile.sum, 'etcd/main.go']) hash.update(await readFile(join(GO_FOLDER, file)));
  return hash
    .update(JSON.stringify([goFlags(version), go]))
    .digest('hex')
    .slice(0, 16);
}

/** The folder where such an entry is or belongs. Throws for a Go build on a machine without Go. */
export async function entryFolder(kind: EntryKind, ask: Ask): Promise<string> {
  // The envtest archives have a patch version of their own choice.
  if (kind === 'envtest') return join(cacheFolder(ask.env), `v${ask.version}-envtest`);
  const name = PINNED[ask.version].kubernetes;
  if (kind === 'docker') return join(cacheFolder(ask.env), `${name}-docker`);
  const go = await goVersion(ask);
  if (go === undefined) throw new Error('no Go toolchain');
  return join(cacheFolder(ask.env), `${name}-go-${await goKey(ask.version, go)}`);
}

/** The binaries in a folder; undefined unless both are there and executable. */
export async function binariesIn(folder: string, version: PlaneVersion): Promise<Binaries | undefined> {
  const found = { version, apiserver: join(folder, 'kube-apiserver'), etcd: join(folder, 'etcd') };
  try {
    await Promise.all([access(found.apiserver, constants.X_OK), access(found.etcd, constants.X_OK)]);
    return found;
  } catch {
    return undefined;
  }
}

/** Has `fill` fill a folder beside `entry`, and renames it there. What an interrupted one left is taken away. */
export async function addEntry(
  entry: string,
  version: PlaneVersion,
  fill: (folder: string) => Promise<string | undefined>,
): Promise<Answer> {
  const aside = `${entry}.new-${randomUUID()}`;
  await mkdir(aside, { recursive: true });
  try {
    const unavailable = await fill(aside);
    if (unavailable !== undefined) return { unavailable };
    if ((await binariesIn(aside, version)) === undefined) return { unavailable: 'gave no kube-apiserver or no etcd' };
    await rm(entry, { recursive: true, force: true });
    await rename(aside, entry);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  const binaries = await binariesIn(entry, version);
  return binaries === undefined ? { unavailable: `${entry} went away` } : { binaries };
}

/** Takes away what killed fillers and failed runs left. Only with the lock held: a living filler's folder looks the same. */
export async function removeLeftovers(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  const left = names.filter((n) => n.includes('.new-') || n.endsWith('.failed'));
  await Promise.all(left.map((n) => rm(join(folder, n), { recursive: true, force: true })));
}

/** Where this version may lie, best first. Without Go any build will do: a cache that was brought from elsewhere. */
async function entryFolders(ask: Ask): Promise<string[]> {
  const others = [await entryFolder('envtest', ask), await entryFolder('docker', ask)];
  if ((await goVersion(ask)) !== undefined) return [await entryFolder('go', ask), ...others];
  const names = await readdir(cacheFolder(ask.env)).catch(() => []);
  const builds = names.filter((n) => n.startsWith(`${PINNED[ask.version].kubernetes}-go-`) && !n.includes('.new-'));
  return [...builds.map((n) => join(cacheFolder(ask.env), n)), ...others];
}

export const cache: Source = {
  name: 'cache',
  async get(ask) {
    for (const folder of await entryFolders(ask)) {
      const binaries = await binariesIn(folder, ask.version);
      if (binaries !== undefined) return { binaries };
    }
    return { unavailable: `nothing for ${PINNED[ask.version].kubernetes} in ${cacheFolder(ask.env)}` };
  },
};
