/**
 * Do requests to a hosted API server wait for its webhook? A request that the policy records is held against one that it does
 * not record: where the first waits and the second is answered, it is the recording that waits. A dead etcd, a network that is
 * cut, an authentication that hangs make both wait or fail. Where the policy records all, there is nothing to hold it against, and
 * that nothing is answered, by a server that takes connections, must do. Pure; called by src/controllers/hosted/serving.ts.
 */
import type { Decision, RequestAttributes } from '../api/audit.ts';
import { HOSTED_PROBES } from './hosted-proof.ts';
import { WHO_AM_I, chooseProbe, expectedOf } from './proof.ts';
import type { Probe, Who } from './proof.ts';

/** All of them say that etcd answers, too. */
const CONTROLS = ['/readyz', '/livez', '/healthz'] as const;
export type Control = (typeof CONTROLS)[number];

export type ServingRequests = {
  readonly probe: Probe;
  /** A path that is not recorded; undefined where each is. */
  readonly control: Control | undefined;
};

type Decide = (r: RequestAttributes) => Decision;

const isRecorded = (decide: Decide, path: Control, who: Who): boolean =>
  expectedOf(decide({ kind: 'NonResource', verb: 'get', path, ...who })) !== undefined;

/** Undefined where the policy records nothing that may be asked without harm: then nobody could tell. */
export function servingRequests(decide: Decide, who: Who): ServingRequests | undefined {
  const chosen = chooseProbe(decide, who, HOSTED_PROBES);
  if (chosen === undefined) return undefined;
  return { probe: chosen.probe, control: CONTROLS.find((path) => !isRecorded(decide, path, who)) };
}

const STRANGER: Who = { user: '', groups: ['system:authenticated'] };

/** Before it is known as whom one asks: that is learned so, and nearly every policy records it. */
export const introduction = (decide: Decide): ServingRequests => ({
  probe: WHO_AM_I,
  control: CONTROLS.find((path) => !isRecorded(decide, path, STRANGER)),
});

/** What was answered to the request that is not recorded: with success, not at all, or it was not asked. */
export type Compared = 'Answered' | 'Silent' | 'None';

/**
 * Does the recording keep the first request waiting? `answer`: to the request that is recorded. `isStrict`: BlockingStrict
 * refuses, with 500, what could not be recorded.
 */
export function isHeldUp(
  answer: { readonly is: 'Serves' | 'Waits' | 'Fails' | 'Away'; readonly why?: string },
  isStrict: boolean,
  compared: Compared,
): boolean {
  // 502 to 504 are of whoever stands in front of it.
  const isRefused = isStrict && answer.is === 'Fails' && answer.why === 'ServerError';
  return (answer.is === 'Waits' || isRefused) && compared !== 'Silent';
}
