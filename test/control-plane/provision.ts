/**
 * Gives kube-apiserver and etcd of a version: from where the user says, from the cache, or from the first source that
 * this machine has. Every process that needs them calls this; one of them works, the others wait for the cache entry.
 * Called by binaries.ts in tests and in the demo, and ahead of them by provision-main.ts, which `npm test` starts.
 */
import { access, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryLock } from './lock.ts';
import { assets } from './sources/assets.ts';
import { cache, cacheFolder, removeLeftovers } from './sources/cache.ts';
import { docker } from './sources/docker.ts';
import { envtest } from './sources/envtest.ts';
import { goBuild } from './sources/go.ts';
import type { Ask, Binaries, Source } from './sources/types.ts';
import { PINNED } from './versions.ts';

/** Asked at once, by everybody. */
const AT_HAND: readonly Source[] = [assets, cache];
/** Asked in this order by whoever holds the lock. */
const SLOW: readonly Source[] = [envtest, docker, goBuild];

/** Nothing here gives these binaries. The message is for the person who started the tests. */
export class NoControlPlane extends Error {
  override readonly name = 'NoControlPlane';
}

type Tried = { readonly source: string; readonly reason: string };

function noSource(ask: Ask, tried: readonly Tried[]): NoControlPlane {
  const { kubernetes, etcdImageTag } = PINNED[ask.version];
  return new NoControlPlane(
    [
      `There is no kube-apiserver ${ask.version} and etcd for the tests. Have one of these, and run again:`,
      '  - Go 1.26 or newer on the PATH, and a network or module cache: builds them once, in minutes;',
      `  - Docker: copies them out of the images kube-apiserver:${kubernetes} and etcd:${etcdImageTag};`,
      '  - a network that reaches github.com: downloads the envtest archives of controller-tools;',
      `  - KUBEBUILDER_ASSETS=<folder with kube-apiserver ${ask.version} and etcd>.`,
      'What was tried:',
      ...tried.map((t) => `  ${t.source}: ${t.reason}`),
    ].join('\n'),
  );
}

async function askAll(sources: readonly Source[], ask: Ask, tried: Tried[]): Promise<Binaries | undefined> {
  for (const source of sources) {
    const answer = await source.get(ask);
    if ('binaries' in answer) return answer.binaries;
    tried.push({ source: source.name, reason: answer.unavailable });
  }
  return undefined;
}

/**
 * A run (`npm test`) in which every source has failed remembers it, so that not every test file asks the network again
 * and the long message is printed once.
 * undefined outside of a run: then each call tries for itself.
 */
const failureFile = (ask: Ask): string | undefined => {
  const run = ask.env['AUDITCONFIG_RUN'];
  return run === undefined ? undefined : join(cacheFolder(ask.env), `${run}.${ask.version}.failed`);
};

async function failedBefore(ask: Ask): Promise<boolean> {
  const file = failureFile(ask);
  return (
    file !== undefined &&
    access(file).then(
      () => true,
      () => false,
    )
  );
}

/** Throws NoControlPlane when no source has them, and the signal's reason when aborted. */
export async function provide(ask: Ask): Promise<Binaries> {
  const folder = cacheFolder(ask.env);
  const lockFile = join(folder, 'lock');
  let waits = false;
  for (;;) {
    const tried: Tried[] = [];
    const found = await askAll(AT_HAND, ask, tried);
    if (found !== undefined) return found;
    if (await failedBefore(ask))
      throw new NoControlPlane(`no kube-apiserver ${ask.version}: what to install is said above`);
    await mkdir(folder, { recursive: true });
    const unlock = await tryLock(lockFile);
    if (unlock !== undefined) {
      try {
        return await provideLocked(ask, tried);
      } finally {
        await unlock();
      }
    }
    if (!waits) ask.progress(`waiting for another process to provide kube-apiserver and etcd ${ask.version}`);
    waits = true;
    await sleep(500, undefined, { signal: ask.signal });
  }
}

async function provideLocked(ask: Ask, tried: Tried[]): Promise<Binaries> {
  // It may have come between the look and the lock.
  const meanwhile = await askAll([cache], ask, []);
  if (meanwhile !== undefined) return meanwhile;
  await removeLeftovers(cacheFolder(ask.env));
  const binaries = await askAll(SLOW, ask, tried);
  if (binaries !== undefined) return binaries;
  const error = noSource(ask, tried);
  const file = failureFile(ask);
  if (file !== undefined) await writeFile(file, error.message);
  throw error;
}
