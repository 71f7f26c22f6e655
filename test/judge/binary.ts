/**
 * Where a judge comes from: built with the Go toolchain from test/control-plane/go/judge, once, into the same cache
 * folder as the control planes. `plain` is the benchmark's rival and is built as anyone would build it (with inlining);
 * `cover` counts which statements of the API server's reading, loading, validation and matching a run reached.
 */
import { createHash, randomUUID } from 'node:crypto';
import { access, mkdir, readFile, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder } from '../control-plane/sources/cache.ts';
import { GO_FOLDER, goVersion } from '../control-plane/sources/go-toolchain.ts';
import { run } from '../control-plane/sources/run.ts';
import type { PlaneVersion } from '../control-plane/versions.ts';
import { PINNED } from '../control-plane/versions.ts';
import { COVERED } from './relevant.ts';

export type JudgeKind = 'plain' | 'cover';
export type JudgeAnswer = { readonly binary: string } | { readonly unavailable: string };

const SOURCE = join(GO_FOLDER, 'judge');

/** The judge's own package must be among the covered, or Go writes no counters at all. */
const packages = ['auditconfig.dev/test/control-plane/judge', ...COVERED].join(',');

function flagsOf(version: PlaneVersion, kind: JudgeKind): readonly string[] {
  const { modfile } = PINNED[version];
  const common = [...modfile.args, '-trimpath'];
  return kind === 'cover' ? [...common, '-cover', `-coverpkg=${packages}`] : [...common, '-ldflags', '-s -w'];
}

async function key(version: PlaneVersion, kind: JudgeKind, go: string): Promise<string> {
  const { modfile } = PINNED[version];
  const sources = (await readdir(SOURCE)).filter((f) => f.endsWith('.go')).sort();
  const hash = createHash('sha256').update(JSON.stringify([flagsOf(version, kind), go, sources]));
  for (const file of [
    join(GO_FOLDER, modfile.name),
    join(GO_FOLDER, modfile.sum),
    ...sources.map((f) => join(SOURCE, f)),
  ])
    hash.update(await readFile(file));
  return hash.digest('hex').slice(0, 16);
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

async function build(
  version: PlaneVersion,
  kind: JudgeKind,
  to: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  process.stderr.write(`building the judge (${kind}) for Kubernetes ${version}\n`);
  const args = ['build', ...flagsOf(version, kind), '-o', to, './judge'];
  const env = { ...process.env, CGO_ENABLED: '0' };
  const { code, stderr } = await run('go', args, { cwd: GO_FOLDER, env, signal, timeoutMs: 900_000 });
  return code === 0 ? undefined : `go build failed: ${stderr.slice(-2000)}`;
}

/** The judge of a version, built first where it is not in the cache; `unavailable` says why there is none. */
export async function judgeBinary(
  version: PlaneVersion,
  kind: JudgeKind,
  signal: AbortSignal = new AbortController().signal,
): Promise<JudgeAnswer> {
  const go = await goVersion({ env: process.env, signal });
  if (go === undefined) return { unavailable: 'the judge is built with Go, and there is no go command' };
  const folder = join(cacheFolder(process.env), 'judge');
  const binary = join(folder, `${PINNED[version].kubernetes}-${kind}-${await key(version, kind, go)}`);
  if (await isThere(binary)) return { binary };
  await mkdir(folder, { recursive: true });
  const aside = `${binary}.new-${randomUUID()}`;
  try {
    const failed = await build(version, kind, aside, signal);
    if (failed !== undefined) return { unavailable: failed };
    await rename(aside, binary);
    return { binary };
  } finally {
    await rm(aside, { force: true });
  }
}
