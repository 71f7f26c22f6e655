/**
 * The last words of a static pod's container and how often it was started, from the files that the kubelet keeps in
 * /var/log/pods: `NAMESPACE_NAME-NODE_UID/CONTAINER/N.log`, N being the number of restarts. Works without an API. Gives
 * null where there are no such files.
 */
import type { Disk } from './types.ts';

export type LastWords = {
  /** Starts of the newest pod of this name. */
  readonly starts: number;
  /** The lines that say why it ended, newest last; never more than a few. */
  readonly lines: readonly string[];
};

const MAX_LINES = 8;
const MAX_LENGTH = 400;

/** What the container runtime put around a line: time, stream, and F for a full line. */
const CRI = /^\S+ (?:stdout|stderr) [FP] /;
/** klog's errors and fatals, cobra's `Error:`, a panic. */
const TELLING = /^(?:[EF]\d{4} |Error: |panic: |fatal error: )/;

/** The lines of a log that tell why a program ended. */
export function tellingLines(lines: readonly string[]): readonly string[] {
  const said = lines.map((l) => l.replace(CRI, '').trim()).filter((l) => l !== '');
  const telling = said.filter((l) => TELLING.test(l));
  return (telling.length > 0 ? telling : said).slice(-MAX_LINES).map((l) => l.slice(0, MAX_LENGTH));
}

export type PodName = { readonly namespace: string; readonly name: string; readonly container: string };

const numberOf = (file: string): number => Number(/^(\d+)\.log$/.exec(file)?.[1] ?? -1);

type Instance = { readonly dir: string; readonly starts: number };

/** Of those that came since: the one that was started most often. `known`: folders that were there before the change. */
async function newest(disk: Disk, pod: PodName, known: ReadonlySet<string>): Promise<Instance | null> {
  let best: Instance | null = null;
  for (const folder of (await podFolders(disk, pod)).filter((f) => !known.has(f))) {
    const dir = `/var/log/pods/${folder}/${pod.container}`;
    const starts = Math.max(0, ...((await disk.list(dir)) ?? []).map((n) => numberOf(n) + 1));
    if (starts > (best?.starts ?? 0)) best = { dir, starts };
  }
  return best;
}

/** How often the newest pod's container was started, from names alone; null where no pod has come. */
export async function readStarts(disk: Disk, pod: PodName, known: ReadonlySet<string>): Promise<number | null> {
  return (await newest(disk, pod, known))?.starts ?? null;
}

/** What a program says last is at the end; a log may have 10 MiB, or more where nobody rotates it. */
const END_BYTES = 64 * 1024;

/** A line that began before what was read is none. */
async function endOf(disk: Disk, path: string): Promise<readonly string[]> {
  const bytes = await disk.readEnd(path, END_BYTES);
  const lines = bytes === null ? [] : new TextDecoder().decode(bytes).split('\n');
  return bytes?.length === END_BYTES ? lines.slice(1) : lines;
}

/** Of a pod that has come since; the last two starts of it are looked at. */
export async function readLastWords(disk: Disk, pod: PodName, known: ReadonlySet<string>): Promise<LastWords | null> {
  const found = await newest(disk, pod, known);
  if (found === null) return null;
  const { dir, starts } = found;
  const before = starts > 1 ? await endOf(disk, `${dir}/${starts - 2}.log`) : [];
  return { starts, lines: tellingLines([...before, ...(await endOf(disk, `${dir}/${starts - 1}.log`))]) };
}

/** The folders of a static pod's instances: one for each UID that the kubelet has not cleaned up. */
export async function podFolders(disk: Disk, pod: PodName): Promise<readonly string[]> {
  return ((await disk.list('/var/log/pods')) ?? []).filter((n) => n.startsWith(`${pod.namespace}_${pod.name}-`));
}
