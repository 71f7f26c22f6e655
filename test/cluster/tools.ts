/**
 * The programs of a node, built from their Go modules: kubelet, kubeadm, kube-proxy, kube-controller-manager and
 * kube-scheduler, and the pause program of pods. The wrapper module is this folder's own, since the hash of the one in
 * test/control-plane/go keys the cache of every other test. Cold: a minute and a half on two cores, after the modules
 * are there and kube-apiserver has been built; kept in the same cache folder, under the same lock.
 */
import { createHash, randomUUID } from 'node:crypto';
import { access, constants, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryLock } from '../control-plane/lock.ts';
import { cacheFolder } from '../control-plane/sources/cache.ts';
import { goFlags, goVersion } from '../control-plane/sources/go-toolchain.ts';
import { run } from '../control-plane/sources/run.ts';
import { PINNED } from '../control-plane/versions.ts';

/** A kubelet may not be newer than its API server, so each version needs a wrapper module of its own. */
export type ClusterVersion = '1.36';

const GO_FOLDER = join(import.meta.dirname, 'go');
const COMMANDS = ['kubelet', 'kubeadm', 'kube-proxy', 'kube-controller-manager', 'kube-scheduler'];
const PACKAGES = [...COMMANDS.map((c) => `k8s.io/kubernetes/cmd/${c}`), './pause'];
const PROGRAMS = [...COMMANDS, 'pause'];

async function keyOf(version: ClusterVersion, go: string): Promise<string> {
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum', 'pause/main.go']) hash.update(await readFile(join(GO_FOLDER, file)));
  return hash
    .update(JSON.stringify([goFlags(version), PACKAGES, go]))
    .digest('hex')
    .slice(0, 16);
}

async function isWhole(folder: string): Promise<boolean> {
  try {
    await Promise.all(PROGRAMS.map((p) => access(join(folder, p), constants.X_OK)));
    return true;
  } catch {
    return false;
  }
}

async function build(version: ClusterVersion, entry: string, signal: AbortSignal): Promise<void> {
  const { kubernetes } = PINNED[version];
  const aside = `${entry}.new-${randomUUID()}`;
  await mkdir(aside, { recursive: true });
  try {
    process.stderr.write(
      `[cluster] ${kubernetes}: building kubelet, kubeadm and others; from nothing it takes minutes\n`,
    );
    const started = Date.now();
    const args = ['build', ...goFlags(version), '-o', `${aside}/`, ...PACKAGES];
    const built = await run('go', args, { cwd: GO_FOLDER, env: { ...process.env, CGO_ENABLED: '0' }, signal });
    if (built.code !== 0) throw new Error(`go build: ${built.stderr.trim().split('\n').slice(-3).join('\n')}`);
    process.stderr.write(`[cluster] ${kubernetes}: built in ${Math.round((Date.now() - started) / 1000)} s\n`);
    await rm(entry, { recursive: true, force: true });
    await rename(aside, entry);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

/** The folder that holds them all. Throws where there is no Go, and what Go says where it does not build. */
export async function nodeTools(version: ClusterVersion, signal: AbortSignal): Promise<string> {
  const go = await goVersion({ env: process.env, signal });
  if (go === undefined) throw new Error('the node tests build a kubelet, and there is no `go` that runs');
  const cache = cacheFolder(process.env);
  const entry = join(cache, `${PINNED[version].kubernetes}-node-${await keyOf(version, go)}`);
  for (;;) {
    if (await isWhole(entry)) return entry;
    await mkdir(cache, { recursive: true });
    const unlock = await tryLock(join(cache, 'lock'));
    if (unlock === undefined) {
      await sleep(500, undefined, { signal });
      continue;
    }
    try {
      if (!(await isWhole(entry))) await build(version, entry, signal);
    } finally {
      await unlock();
    }
  }
}
