/**
 * Why a request is logged as it is: the rule that decides, for each earlier rule the first reason why it does not, and
 * the events that follow. Data with codes; the sentences are made by `mismatchText`. It decides as the engine does
 * (tests hold them together) and is made for one request at a time.
 */
import { STAGES } from '../api/audit.ts';
import type { Decision, Policy, RequestAttributes, Rule, Stage } from '../api/audit.ts';
import { compilePolicy } from './evaluate.ts';
import { matchesGroup, mismatch } from './match.ts';
import type { Mismatch } from './match.ts';

/** An event that the request makes, and which bodies are in it. */
export type ExpectedEvent = {
  readonly stage: Stage;
  readonly requestObject: boolean;
  readonly responseObject: boolean;
};

export type Explanation = {
  readonly decision: Decision;
  /** Every rule before the one that decides, in order; all of them where none decides. */
  readonly earlier: readonly { readonly rule: number; readonly mismatch: Mismatch }[];
  /** Without a panic, whose event comes instead of the last one. */
  readonly events: readonly ExpectedEvent[];
};

/** Subresources and verbs of requests that last: their answer starts long before it is complete. */
const LASTING = ['attach', 'exec', 'proxy', 'log', 'portforward'];
const isLasting = (r: RequestAttributes): boolean =>
  r.verb === 'watch' || r.verb === 'proxy' || (r.kind === 'Resource' && LASTING.includes(r.subresource));

/** Requests without a body. */
const READS = ['get', 'list', 'watch'];

/** What a request that is decided so leaves in the log; a panic is not foreseen. */
export function expectedEvents(d: Decision, r: RequestAttributes): ExpectedEvent[] {
  if (d.level === 'None') return [];
  const made = STAGES.filter((s) => s !== 'Panic' && (s !== 'ResponseStarted' || isLasting(r)));
  const request = r.kind === 'Resource' && d.level !== 'Metadata' && !READS.includes(r.verb);
  const response = r.kind === 'Resource' && d.level === 'RequestResponse' && !isLasting(r);
  return made
    .filter((s) => !d.omitStages.includes(s))
    .map((stage) => ({
      stage,
      // The body has not been read yet when the first event is made, and nothing is answered before the last.
      requestObject: request && stage !== 'RequestReceived',
      responseObject: response && stage === 'ResponseComplete',
    }));
}

export function explain(policy: Policy, request: RequestAttributes): Explanation {
  const decision = compilePolicy(policy).decide(request);
  const earlier = policy.rules.slice(0, decision.rule ?? undefined).flatMap((rule, i) => {
    const why = mismatch(rule, request);
    return why === undefined ? [] : [{ rule: i, mismatch: why }];
  });
  return { decision, earlier, events: expectedEvents(decision, request) };
}

const quote = (s: string): string => JSON.stringify(s);

function listed(values: readonly string[]): string {
  const shown = values.slice(0, 6).map(quote).join(', ');
  return values.length > 6 ? `${shown} and ${values.length - 6} more` : shown;
}

type EntryList = 'resources' | 'resourceNames';

/** Of the entries for that group: the others did not come into question. */
const ofGroup = (rule: Rule, group: string, list: EntryList): string[] => [
  ...new Set(rule.resources.filter((e) => matchesGroup(e.group, group)).flatMap((e) => e[list])),
];

/** One sentence for a mismatch of `rule`. */
export function mismatchText(m: Mismatch, rule: Rule): string {
  switch (m.code) {
    case 'NoUser':
      return 'the rule asks for a user, and the request has none';
    case 'User':
      return `user ${quote(m.value)} is not one of ${listed(rule.users)}`;
    case 'UserGroups':
      return `none of the user's groups (${listed(m.value) || 'none'}) is one of ${listed(rule.userGroups)}`;
    case 'Verb':
      return `verb ${quote(m.value)} is not one of ${listed(rule.verbs)}`;
    case 'NotAResourceRequest':
      return 'the rule is for resources, and the request is for a URL';
    case 'Namespace':
      return `namespace ${quote(m.value)} is not one of ${listed(rule.namespaces)}`;
    case 'Group':
      return `API group ${quote(m.value)} is not one of ${listed([...new Set(rule.resources.map((e) => e.group))])}`;
    case 'Resource':
      return `resource ${quote(m.value)} is not one of ${listed(ofGroup(rule, m.group, 'resources'))}`;
    case 'ResourceName':
      return m.value === ''
        ? `the request names no object, and the rule is for ${listed(ofGroup(rule, m.group, 'resourceNames'))}`
        : `name ${quote(m.value)} is not one of ${listed(ofGroup(rule, m.group, 'resourceNames'))}`;
    case 'AResourceRequest':
      return 'the rule is for URLs, and the request is for a resource';
    case 'Path':
      return `path ${quote(m.value)} does not match ${listed(rule.nonResourceURLs)}`;
  }
}
