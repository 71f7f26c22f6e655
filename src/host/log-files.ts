/**
 * What lies in a log's folder: names, sizes, and the first lines of a file, compressed or not, without reading more
 * than its beginning. Called by src/agent/retention.ts.
 */
import { lstat, open, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { constants, gunzip } from 'node:zlib';

export type NamedFile = { readonly name: string; readonly bytes: number };

/** Plain files of a folder; none where there is no folder. A file that goes meanwhile is left out. */
export async function listFiles(root: string, dir: string): Promise<readonly NamedFile[]> {
  const at = join(root, dir);
  const names = await readdir(at).catch((e: unknown) => {
    if (e instanceof Error && 'code' in e && e.code === 'ENOENT') return [];
    throw e;
  });
  const files: NamedFile[] = [];
  for (const name of names) {
    const s = await lstat(join(at, name)).catch(() => null);
    if (s?.isFile() === true) files.push({ name, bytes: s.size });
  }
  return files;
}

const HEAD = 256 * 1024;
/** Deflate gives at most 1032 bytes for one: 8 MiB at the most. */
const GZIP_HEAD = 8 * 1024;

const inflate = promisify(gunzip);

/** Whole lines at the beginning of a file; none where it cannot be read. */
export async function firstLines(root: string, path: string, gzip: boolean): Promise<readonly string[]> {
  const file = await open(join(root, path), 'r').catch(() => null);
  if (file === null) return [];
  try {
    const buffer = Buffer.alloc(gzip ? GZIP_HEAD : HEAD);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    const read = buffer.subarray(0, bytesRead);
    const text = gzip
      ? await inflate(read, { finishFlush: constants.Z_SYNC_FLUSH }).catch(() => Buffer.alloc(0))
      : read;
    return text.toString('utf8').split('\n').slice(0, -1);
  } finally {
    await file.close();
  }
}

/** The host's own mount table, which /proc shows to everybody who sees its first process; undefined: not from here. */
export const mountTable = (proc: string): Promise<string | undefined> =>
  readFile(join(proc, '1/mountinfo'), 'utf8').catch(() => undefined);

const PAGE = 64 * 1024;

/**
 * The first time at or after `at` (ms since 1970) in a log whose lines are about in order of time, found by halving: a
 * few reads, however large the file is. Undefined where there is none, or the file cannot be read.
 */
export async function firstTimeFrom(
  root: string,
  path: string,
  q: { readonly at: number; readonly timeOf: (line: string) => number | undefined },
): Promise<number | undefined> {
  const file = await open(join(root, path), 'r').catch(() => null);
  if (file === null) return undefined;
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(PAGE);
    /** Times of the whole lines that begin in a page. */
    const timesAt = async (from: number): Promise<number[]> => {
      const { bytesRead } = await file.read(buffer, 0, PAGE, from);
      const lines = buffer
        .subarray(0, bytesRead)
        .toString('utf8')
        .split('\n')
        .slice(from === 0 ? 0 : 1, -1);
      return lines.flatMap((l) => q.timeOf(l) ?? []);
    };
    let [low, high] = [0, size];
    while (high - low > PAGE / 2) {
      const middle = Math.floor((low + high) / 2);
      const [first] = await timesAt(middle);
      if (first === undefined || first >= q.at) high = middle;
      else low = middle;
    }
    for (let from = low; from < Math.min(size, low + 4 * PAGE); from += PAGE / 2) {
      const found = (await timesAt(from)).find((t) => t >= q.at);
      if (found !== undefined) return found;
    }
    return undefined;
  } finally {
    await file.close();
  }
}
