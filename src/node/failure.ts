/**
 * What is said of a revision that this node goes back from: why, with the API server's own last words, and whether there
 * is a doubt that the revision was the cause (rules: src/rollout/blame.ts). Called by follow.ts.
 */
import { doubtOf } from '../rollout/blame.ts';
import type { Doubt } from '../rollout/node-state.ts';
import type { Reason, Step } from '../rollout/node-state.ts';
import type { Digest } from '../render/types.ts';
import type { ServerView } from '../targets/server.ts';
import type { NodeHost } from './host.ts';
import { wordsOf } from './running.ts';
import type { Failure, Journal } from './state-file.ts';

const HEADS: Readonly<Record<Reason, string>> = {
  CrashLoop: 'kube-apiserver does not stay up',
  NotHealthyInTime: 'kube-apiserver did not become ready in time',
  OutOfMemory: 'kube-apiserver ran out of memory',
  DiskError: 'a file could not be written',
};

const DOUBTS: Readonly<Record<Doubt, string>> = {
  StorageAway: 'Its storage did not answer, which may be why: the revision is tried once more.',
  Rebooted: 'The node was rebooted in the middle of the change, which may be why: the revision is tried once more.',
};

/** Of a confidential revision the words are not repeated. */
function messageOf(why: Reason, words: readonly string[], { confidential }: Journal): string {
  const head = HEADS[why];
  if (confidential) return `${head}. Its last lines are in its log on the node; they may hold parts of a Secret.`;
  return words.length === 0 ? `${head}.` : `${head}:\n${words.join('\n')}`;
}

export type Fallen = {
  readonly bad: Digest | null;
  readonly why: Reason;
  readonly journal: Journal;
  /** What runs with our edit; null where the files do not say. */
  readonly server: ServerView | null;
};

/** When a rollback begins: the API server that failed has just said its last words. */
export async function failureNow(
  host: NodeHost,
  { bad, why, journal, server }: Fallen,
  signal: AbortSignal,
): Promise<{ readonly failure: Failure; readonly doubt: Doubt | null }> {
  const words = server === null ? [] : await wordsOf(host, server, journal.knownLogs, signal);
  const { boot, doubted = false } = journal;
  const rebooted = boot !== null && ((await host.processes())?.bootId ?? boot.id) !== boot.id;
  const failure = { digest: bad, reason: why, message: messageOf(why, words, journal), time: host.now() };
  return { failure, doubt: doubtOf({ why, rebooted, doubted, words }) };
}

/** When it has ended: with the verdict. A revision that was doubted once remains so, whatever comes between. */
export function judged(
  failure: Failure | null,
  { verdict, doubt }: Extract<Step, { do: 'EndRollBack' }>,
  { doubted }: Journal,
): Failure | null {
  if (failure === null) return null;
  const message = doubt === undefined ? failure.message : `${DOUBTS[doubt]} ${failure.message}`;
  return {
    ...failure,
    reason: verdict,
    message,
    ...(doubt !== undefined || doubted === true ? { doubted: true } : {}),
  };
}
