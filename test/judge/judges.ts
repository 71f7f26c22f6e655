/** Both versions' judges for tests: where one cannot be had, the reason why. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PLANE_VERSIONS } from '../control-plane/versions.ts';
import type { PlaneVersion } from '../control-plane/versions.ts';
import { judgeBinary } from './binary.ts';
import type { Block } from './coverage.ts';
import { blocksOf } from './coverage.ts';
import { Judge } from './judge.ts';
import type { Judges } from './run.ts';

export type CoveredJudges = {
  readonly judges: Judges;
  /** Ends the judges and gives what they reached; the counters on disk go away. */
  readonly finish: () => Promise<Block[]>;
};

async function start(version: PlaneVersion, folder: string): Promise<Judge | string> {
  const answer = await judgeBinary(version, 'cover');
  return 'unavailable' in answer ? answer.unavailable : new Judge(answer.binary, folder);
}

/** Judges that count what they reach; a string says why there are none. */
export async function coveredJudges(): Promise<CoveredJudges | string> {
  const folders = new Map<PlaneVersion, string>();
  const judges = new Map<PlaneVersion, Judge>();
  const cleanUp = (): Promise<unknown> =>
    Promise.all([...folders.values()].map((f) => rm(f, { recursive: true, force: true })));
  for (const version of PLANE_VERSIONS) {
    const folder = await mkdtemp(join(tmpdir(), 'judge-counters-'));
    folders.set(version, folder);
    const judge = await start(version, folder);
    if (typeof judge === 'string') {
      await Promise.all([...judges.values()].map((j) => j.close()));
      await cleanUp();
      return judge;
    }
    judges.set(version, judge);
  }
  const finish = async (): Promise<Block[]> => {
    await Promise.all([...judges.values()].map((j) => j.close()));
    try {
      return (await Promise.all([...folders].map(([version, folder]) => blocksOf(folder, version)))).flat();
    } finally {
      await cleanUp();
    }
  };
  const of = (version: PlaneVersion): Judge => {
    const judge = judges.get(version);
    if (judge === undefined) throw new Error(`no judge for ${version}`);
    return judge;
  };
  return { judges: { '1.36': of('1.36'), '1.35': of('1.35') }, finish };
}
