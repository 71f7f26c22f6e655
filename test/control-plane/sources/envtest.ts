/**
 * The archives that controller-tools publishes for envtest: an index names, for each Kubernetes version and platform,
 * an archive and its sha512. What does not match its hash is never unpacked.
 *
 * `AUDITCONFIG_ENVTEST_INDEX` names another index (a mirror). On a machine without network this gives up after
 * seconds; it needs `tar`.
 */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { EnvHttpProxyAgent, fetch } from 'undici';
import { parse } from 'yaml';
import { withDeadline } from '../deadline.ts';
import { planeVersionOf } from '../versions.ts';
import type { PlaneVersion } from '../versions.ts';
import { askVersion } from './assets.ts';
import { addEntry, entryFolder } from './cache.ts';
import { run } from './run.ts';
import type { Ask, Source } from './types.ts';

const INDEX = 'https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml';
const CONNECT_MS = 4_000;
const INDEX_MS = 8_000;
/** Between two pieces of the archive. */
const STALL_MS = 30_000;

type Archive = { readonly release: string; readonly url: string; readonly sha512: string };

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v);

/** Node's names to Go's. */
function platform(): string {
  const arch = process.arch === 'x64' ? 'amd64' : process.arch;
  return `${process.platform === 'win32' ? 'windows' : process.platform}-${arch}`;
}

/** The newest stable patch of that minor for this platform; a string says why there is none. */
export function findArchive(index: unknown, version: PlaneVersion): Archive | string {
  const releases = isObject(index) ? index['releases'] : undefined;
  if (!isObject(releases)) return 'the index has no releases';
  const patch = (release: string): number => Number(release.split('.')[2]);
  const ours = Object.keys(releases)
    .filter((r) => /^v\d+\.\d+\.\d+$/.test(r) && planeVersionOf(r) === version)
    .sort((a, b) => patch(b) - patch(a));
  for (const release of ours) {
    const archives = releases[release];
    const archive = isObject(archives) ? archives[`envtest-${release}-${platform()}.tar.gz`] : undefined;
    if (!isObject(archive)) continue;
    const { hash, selfLink } = archive;
    if (typeof hash === 'string' && /^[0-9a-f]{128}$/.test(hash) && typeof selfLink === 'string')
      return { release, url: selfLink, sha512: hash };
  }
  return `the index has nothing for ${version} on ${platform()}`;
}

const network = (): EnvHttpProxyAgent =>
  new EnvHttpProxyAgent({ connect: { timeout: CONNECT_MS }, bodyTimeout: STALL_MS });

/** Node's fetch says "fetch failed"; the cause says what. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

async function fetchIndex(url: string, dispatcher: EnvHttpProxyAgent, signal: AbortSignal): Promise<unknown> {
  return withDeadline(INDEX_MS, signal, async (limited) => {
    const response = await fetch(url, { dispatcher, signal: limited });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const index: unknown = parse(await response.text());
    return index;
  });
}

/** The archive as a file; throws where it does not come whole or is not what the index says. */
async function download(archive: Archive, file: string, dispatcher: EnvHttpProxyAgent, ask: Ask): Promise<void> {
  const response = await fetch(archive.url, { dispatcher, signal: ask.signal });
  if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status} for ${archive.url}`);
  const total = Number(response.headers.get('content-length') ?? 0);
  const hash = createHash('sha512');
  let bytes = 0;
  let told = 0;
  const counted = async function* (source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      hash.update(chunk);
      bytes += chunk.length;
      const percent = total === 0 ? 0 : Math.floor((bytes / total) * 100);
      if (percent >= told + 20) ask.progress(`envtest ${archive.release}: ${(told = percent)} % of ${total >> 20} MiB`);
      yield chunk;
    }
  };
  await pipeline(Readable.fromWeb(response.body), counted, createWriteStream(file));
  const got = hash.digest('hex');
  if (got !== archive.sha512) throw new Error(`sha512 of ${archive.url} is ${got.slice(0, 16)}..., not the index's`);
}

async function fill(folder: string, index: string, ask: Ask): Promise<string | undefined> {
  const dispatcher = network();
  const file = join(folder, 'envtest.tar.gz');
  try {
    const archive = findArchive(await fetchIndex(index, dispatcher, ask.signal), ask.version);
    if (typeof archive === 'string') return archive;
    ask.progress(`downloading ${archive.url}`);
    await download(archive, file, dispatcher, ask);
  } catch (error) {
    ask.signal.throwIfAborted();
    return reasonOf(error);
  } finally {
    await dispatcher.destroy();
  }
  const untar = await run('tar', ['-xzf', file, '-C', folder, '--strip-components=2'], { signal: ask.signal });
  await rm(file, { force: true });
  if (untar.code !== 0) return `tar: ${untar.stderr.trim()}`;
  const said = await askVersion(join(folder, 'kube-apiserver'), ask.signal);
  return planeVersionOf(said) === ask.version ? undefined : `its kube-apiserver is not ${ask.version}: ${said}`;
}

export const envtest: Source = {
  name: 'envtest archive',
  async get(ask) {
    const entry = await entryFolder('envtest', ask);
    const index = ask.env['AUDITCONFIG_ENVTEST_INDEX'] ?? INDEX;
    if (index === '') return { unavailable: 'AUDITCONFIG_ENVTEST_INDEX is empty' };
    return addEntry(entry, ask.version, (folder) => fill(folder, index, ask));
  },
};
