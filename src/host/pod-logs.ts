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

/** `known`: folders that were there before the change; only a pod that came since is of interest. */
export async function readLastWords(disk: Disk, pod: PodName, known: ReadonlySet<string>): Promise<LastWords | null> {
  const root = '/var/log/pods';
  const folders = await podFolders(disk, pod);
  const fresh = folders.filter((f) => !known.has(f));
  let best: LastWords | null = null;
  for (const folder of fresh) {
    const dir = `${root}/${folder}/${pod.container}`;
    const last = Math.max(-1, ...((await disk.list(dir)) ?? []).map(numberOf));
    if (last < 0) continue;
    const bytes = await disk.read(`${dir}/${last}.log`);
    const before = last > 0 ? await disk.read(`${dir}/${last - 1}.log`) : null;
    const text = [before, bytes].map((b) => (b === null ? '' : new TextDecoder().decode(b))).join('');
    if (best === null || last + 1 > best.starts) best = { starts: last + 1, lines: tellingLines(text.split('\n')) };
  }
  return best;
}

/** The folders of a static pod's instances: one for each UID that the kubelet has not cleaned up. */
export async function podFolders(disk: Disk, pod: PodName): Promise<readonly string[]> {
  return ((await disk.list('/var/log/pods')) ?? []).filter((n) => n.startsWith(`${pod.namespace}_${pod.name}-`));
}
