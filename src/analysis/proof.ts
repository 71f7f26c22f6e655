/**
 * Proof that events arrive: which harmless request to send, what the policy says must be recorded of it, and what
 * follows from what was found in the log. A request that the policy does not record proves nothing, so it is never
 * chosen. Pure; src/agent/proof.ts sends and looks.
 */
import type { Decision, Level, RequestAttributes, Stage } from '../api/audit.ts';
import type { ProofResult } from '../api/auditnode.ts';
import { parseAuditEvent } from './events.ts';

/** As the API server authenticates the agent. */
export type Who = { readonly user: string; readonly groups: readonly string[] };

export type Probe = {
  readonly name: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly attributes: (who: Who) => RequestAttributes;
};

export type Expected = { readonly level: Level; readonly stages: readonly Stage[] };

type ResourceOf = Partial<Omit<Extract<RequestAttributes, { kind: 'Resource' }>, 'user' | 'groups' | 'kind'>>;
const resource =
  (of: ResourceOf): Probe['attributes'] =>
  (who) => ({
    kind: 'Resource',
    verb: 'get',
    group: '',
    version: 'v1',
    resource: '',
    subresource: '',
    namespace: '',
    name: '',
    ...of,
    ...who,
  });

/** Answers who we are, and is allowed to everybody who is authenticated (system:basic-user). */
export const WHO_AM_I: Probe = {
  name: 'SelfSubjectReview',
  method: 'POST',
  path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
  body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
  attributes: resource({ verb: 'create', group: 'authentication.k8s.io', resource: 'selfsubjectreviews' }),
};

/** Nobody makes it; asking for it is answered with 404. */
const ABSENT = 'auditconfig-proof';

export const absentIn = (plural: string, namespace: string): Probe => ({
  name: `get ${plural}`,
  method: 'GET',
  path: `/api/v1/namespaces/${namespace}/${plural}/${ABSENT}`,
  attributes: resource({ resource: plural, namespace, name: ABSENT }),
});

export const GET_VERSION: Probe = {
  name: '/version',
  method: 'GET',
  path: '/version',
  attributes: (who) => ({ kind: 'NonResource', verb: 'get', path: '/version', ...who }),
};

const fieldsOf = (v: unknown): Readonly<Record<string, unknown>> =>
  typeof v === 'object' && v !== null ? (v as Readonly<Record<string, unknown>>) : {};

/** Who the API server takes us for, from its answer to a SelfSubjectReview; undefined where it does not say. */
export function whoIn(value: unknown): Who | undefined {
  const { username, groups } = fieldsOf(fieldsOf(fieldsOf(value)['status'])['userInfo']);
  if (typeof username !== 'string' || username === '') return undefined;
  return { user: username, groups: Array.isArray(groups) ? groups.filter((g) => typeof g === 'string') : [] };
}

/**
 * All that may be sent, the best first. Each changes nothing and is allowed to the agent by deploy/, so that none looks
 * like an attempted break-in. `bundles` is the namespace whose objects the agent may get.
 */
export function probesFor(node: string, bundles: string | undefined): readonly Probe[] {
  return [
    WHO_AM_I,
    ...(bundles === undefined ? [] : [absentIn('secrets', bundles), absentIn('configmaps', bundles)]),
    {
      name: 'list auditnodes',
      method: 'GET',
      path: '/apis/auditconfig.dev/v1alpha1/auditnodes',
      query: { fieldSelector: `metadata.name=${node}` },
      attributes: resource({
        verb: 'list',
        group: 'auditconfig.dev',
        version: 'v1alpha1',
        resource: 'auditnodes',
        name: node,
      }),
    },
    GET_VERSION,
  ];
}

/** The stages of a request that is answered at once. */
const STAGES_OF_A_REQUEST: readonly Stage[] = ['RequestReceived', 'ResponseComplete'];

/** Undefined where nothing of the request is recorded. */
export function expectedOf(decision: Decision): Expected | undefined {
  const stages = STAGES_OF_A_REQUEST.filter((s) => !decision.omitStages.includes(s));
  return decision.level === 'None' || stages.length === 0 ? undefined : { level: decision.level, stages };
}

export type Chosen = { readonly probe: Probe; readonly expected: Expected };

/** The first request that the policy records; undefined where there is none: nothing can be observed. */
export function chooseProbe(
  decide: (r: RequestAttributes) => Decision,
  who: Who,
  probes: readonly Probe[],
): Chosen | undefined {
  for (const probe of probes) {
    const expected = expectedOf(decide(probe.attributes(who)));
    if (expected !== undefined) return { probe, expected };
  }
  return undefined;
}

/** `level` is absent in the Legacy format, which does not tell it. */
export type SeenEvent = { readonly level?: Level; readonly stage?: Stage };

const jsonOf = (line: string): unknown => {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
};

/** The event with this ID in a line of the log. The ID in another field (a name, a user agent) is not it. */
export function eventIn(line: string, auditID: string): SeenEvent | undefined {
  const parsed = parseAuditEvent(jsonOf(line));
  if ('event' in parsed)
    return parsed.event.auditID === auditID ? { level: parsed.event.level, stage: parsed.event.stage } : undefined;
  return / AUDIT: id="([^"]*)"/.exec(line)?.[1] === auditID ? {} : undefined;
}

export type Observation =
  | { readonly kind: 'Seen'; readonly event: SeenEvent }
  /** `log`: is there a file where the API server is told to write? `TooBusy`: it grew faster than it was read. */
  | { readonly kind: 'NotSeen'; readonly log: 'Present' | 'Absent' | 'TooBusy' }
  /** The node's own API server did not answer, or the log cannot be read; `why` is a sentence. */
  | { readonly kind: 'NoAnswer'; readonly why: string };

export type Judged = { readonly result: ProofResult; readonly message: string };

export function judgeProof({ probe, expected }: Chosen, seen: Observation, path: string): Judged {
  switch (seen.kind) {
    case 'NoAnswer':
      return { result: 'NoAnswer', message: seen.why };
    case 'NotSeen':
      return notSeen(`${probe.name}, which the policy records at ${expected.level},`, seen.log, path);
    case 'Seen': {
      const { level } = seen.event;
      if (level !== undefined && level !== expected.level)
        return {
          result: 'WrongLevel',
          message: `${probe.name} was recorded at ${level} in ${path}, and the policy says ${expected.level}: does another policy run?`,
        };
      return { result: 'EventFound', message: `${probe.name} was recorded at ${expected.level} in ${path}` };
    }
  }
}

function notSeen(what: string, log: 'Present' | 'Absent' | 'TooBusy', path: string): Judged {
  switch (log) {
    case 'Absent':
      return {
        result: 'LogMissing',
        message: `${what} was not recorded: ${path} is not there (a kube-apiserver whose log was deleted writes on into the deleted file until it is restarted or rotates)`,
      };
    case 'TooBusy':
      return { result: 'TooBusy', message: `${path} grows faster than it is read; it is tried again` };
    case 'Present':
      return { result: 'EventMissing', message: `${what} is not in ${path}` };
  }
}

/** Where nothing is sent. */
export const nothingToObserve = (why: 'Policy' | 'Stdout' | 'NoLog'): Judged => ({
  result: 'NothingToObserve',
  message: {
    Policy: 'the policy records no request that the agent may send without harm',
    Stdout: "the log goes to the API server's standard output, which is not looked into",
    NoLog: 'there is no log on the node',
  }[why],
});
