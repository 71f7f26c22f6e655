/**
 * How much of the API server's own code a run reached, from the counters that the judges left: statement coverage of
 * the relevant functions (relevant.ts), by package and in all, over both versions together. An exclusion that was
 * reached after all is an error: then its reason is wrong.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GO_FOLDER } from '../control-plane/sources/go-toolchain.ts';
import { run } from '../control-plane/sources/run.ts';
import type { PlaneVersion } from '../control-plane/versions.ts';
import { PINNED } from '../control-plane/versions.ts';
import { isCovered, standingOf } from './relevant.ts';

export type Block = {
  readonly file: string;
  readonly from: number;
  readonly to: number;
  readonly function: string;
  readonly statements: number;
  readonly reached: boolean;
};

export type Coverage = {
  /** Percent of the statements of each package that were reached. */
  readonly packages: ReadonlyMap<string, { readonly reached: number; readonly all: number }>;
  readonly total: { readonly reached: number; readonly all: number };
  readonly missed: readonly Block[];
  /** Excluded blocks that were reached: their exclusion is wrong. */
  readonly wronglyExcluded: readonly Block[];
};

async function go(args: readonly string[], version: PlaneVersion): Promise<string> {
  const env = {
    ...process.env,
    GOFLAGS: [process.env['GOFLAGS'] ?? '', ...PINNED[version].modfile.args].join(' ').trim(),
  };
  const { code, stdout, stderr } = await run('go', args, { cwd: GO_FOLDER, env, timeoutMs: 120_000 });
  if (code !== 0) throw new Error(`go ${args.join(' ')}: ${stderr}`);
  return stdout;
}

type Span = { readonly line: number; readonly name: string };

/** Where each file's functions begin, in order. */
function functionsOf(listing: string): Map<string, Span[]> {
  const files = new Map<string, Span[]>();
  for (const m of listing.matchAll(/^(\S+\.go):(\d+):\s+(\S+)\s/gm)) {
    const [, file = '', line = '', name = ''] = m;
    const spans = files.get(file) ?? [];
    files.set(file, spans);
    spans.push({ line: Number(line), name });
  }
  return files;
}

/** The counters of one version's run. `folder` is what its GOCOVERDIR was. */
export async function blocksOf(folder: string, version: PlaneVersion): Promise<Block[]> {
  const temporary = await mkdtemp(join(tmpdir(), 'judge-coverage-'));
  try {
    const profile = join(temporary, 'profile');
    await go(['tool', 'covdata', 'textfmt', `-i=${folder}`, `-o=${profile}`], version);
    const functions = functionsOf(await go(['tool', 'cover', `-func=${profile}`], version));
    const text = await readFile(profile, 'utf8');
    const blocks: Block[] = [];
    for (const m of text.matchAll(/^(\S+\.go):(\d+)\.\d+,(\d+)\.\d+ (\d+) (\d+)$/gm)) {
      const [, file = '', from = '', to = '', statements = '', count = ''] = m;
      const name = functions.get(file)?.findLast((s) => s.line <= Number(from))?.name ?? '';
      blocks.push({
        ...{ file, from: Number(from), to: Number(to), function: name },
        ...{ statements: Number(statements), reached: count !== '0' },
      });
    }
    return blocks;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** One block a place: reached where any version's run reached it. */
function union(blocks: readonly Block[]): Block[] {
  const places = new Map<string, Block>();
  for (const b of blocks) {
    const key = `${b.file}:${b.from},${b.to}`;
    const before = places.get(key);
    if (before === undefined || (!before.reached && b.reached)) places.set(key, b);
  }
  return [...places.values()];
}

export function coverageOf(all: readonly Block[]): Coverage {
  const blocks = union(all.filter((b) => isCovered(b.file)));
  const packages = new Map<string, { reached: number; all: number }>();
  const total = { reached: 0, all: 0 };
  const relevant = blocks.filter((b) => standingOf(b) === 'Counts');
  for (const b of relevant) {
    const name = b.file.slice(0, b.file.lastIndexOf('/'));
    const of = packages.get(name) ?? { reached: 0, all: 0 };
    packages.set(name, of);
    for (const sum of [of, total]) {
      sum.all += b.statements;
      if (b.reached) sum.reached += b.statements;
    }
  }
  return {
    packages,
    total,
    missed: relevant.filter((b) => !b.reached),
    wronglyExcluded: blocks.filter((b) => b.reached && ['Unreachable', 'Elsewhere'].includes(standingOf(b))),
  };
}

export const percent = (of: { readonly reached: number; readonly all: number }): number =>
  of.all === 0 ? 0 : (100 * of.reached) / of.all;
