/**
 * A kubelet that was started while its API server was away deletes no pod ("sources aren't ready yet"): the pod of a bad
 * manifest stays, and the one of the restored manifest waits for its end, for as long as there is no API; which only
 * that pod could bring back. But a kubelet changes a pod in place when a manifest names the pod's own UID. So the restored
 * manifest borrows the bad pod's UID until the API server is back, and is put back as it was then: one restart more,
 * and no right that the guard does not have. Called by follow.ts and facts.ts.
 */
import type { PodName } from '../host/pod-logs.ts';
import { ownUid, withoutUid, withUid } from '../targets/static-pod/borrowed-uid.ts';
import { serverView } from '../targets/static-pod/server.ts';
import type { NodeHost } from './host.ts';
import type { Journal } from './state-file.ts';

const uidOf = (folder: string): string => folder.slice(folder.lastIndexOf('_') + 1);

/** UIDs of the pods of this name that have processes. */
export async function livingPods(host: NodeHost, pod: PodName): Promise<readonly string[]> {
  return host.livingPods((await host.logFolders(pod)).map(uidOf));
}

/**
 * The UID of the pod of this name that has processes and did not when the change began; null where there is none, or more
 * than one. The pod of before may stand too, and even without a process: a kubelet that was started in mid-change takes
 * nothing away. That one is the restored manifest's own.
 */
export async function podInTheWay(host: NodeHost, pod: PodName, journal: Journal): Promise<string | null> {
  const before = new Set(journal.pods ?? journal.knownLogs.map(uidOf));
  const [only, ...others] = (await livingPods(host, pod)).filter((uid) => !before.has(uid));
  return only === undefined || others.length > 0 ? null : only;
}

/** The restored manifest under the UID of the pod that is in its way; null where that is not possible. */
export async function borrowed(host: NodeHost, journal: Journal): Promise<string | null> {
  const { before } = journal;
  const runs = before === null ? undefined : serverView(new TextEncoder().encode(before))?.runs;
  if (before === null || runs?.in !== 'Pod') return null;
  const uid = await podInTheWay(host, runs, journal);
  return uid === null ? null : withUid(before, uid);
}

/** Also where someone has edited it since. */
export const isBorrowed = (text: string, { borrowed }: Journal): boolean =>
  borrowed !== undefined && (text === borrowed || ownUid(text) === ownUid(borrowed));

/** What the manifest is to be again, once the API server is back. */
export const returned = (text: string, journal: Journal): string | null =>
  text === journal.borrowed ? journal.before : (withoutUid(text) ?? journal.before);
