/**
 * What ends up in the log that should not, and what does not that should: bodies with secrets, and stages that are
 * left out. Which level leaks which body: requests hold what is written, answers hold what is read.
 */
import type { Policy, Rule, Stage } from '../../api/audit.ts';
import { info, quote, warning } from './types.ts';
import type { PolicyCheck, Remark, RuleCheck } from './types.ts';
import { isResourceRule } from '../match.ts';
import { SENSITIVE, sensitiveParts } from '../redact.ts';
import type { Sensitive } from '../redact.ts';

const WRITES = ['create', 'update', 'patch'];

/** Only the answer holds the secret, so that level Request does not leak it. */
const ANSWERS_ONLY = ['serviceaccounts/token', 'imagestreams/secrets'];

/** The sensitive resources of which the rule logs a body: a watch has none, and a read has none in the request. */
function leakedBy(rule: Rule): readonly Sensitive[] {
  const verbs = rule.verbs.filter((v) => v !== 'watch');
  if (rule.verbs.length > 0 && verbs.length === 0) return [];
  if (rule.level === 'RequestResponse') return SENSITIVE;
  if (rule.level !== 'Request' || (verbs.length > 0 && !verbs.some((v) => WRITES.includes(v)))) return [];
  return SENSITIVE.map((s) => ({ ...s, resources: s.resources.filter((r) => !ANSWERS_ONLY.includes(r)) }));
}

/** Built-in ones by name; what only OpenShift has is summed up. */
function namesOf(entries: readonly { readonly group: string; readonly resources: readonly string[] }[]): string {
  const openshift = entries.filter((e) => e.group.endsWith('.openshift.io'));
  const names = entries
    .filter((e) => !openshift.includes(e))
    .flatMap((e) => e.resources.map((r) => r.replace(/\/\*$/, '')));
  const more = openshift.length === 0 ? [] : [names.length === 0 ? 'credentials of OpenShift' : "OpenShift's own"];
  return [...new Set(names), ...more].join(', ');
}

export const sensitiveBodies: PolicyCheck = ({ policy }) =>
  sensitiveParts(policy, leakedBy).map(({ rule, entries }) => {
    const level = policy.rules[rule]?.level ?? '';
    const message = `level ${level} logs bodies of ${namesOf(entries)}; put a rule with level Metadata for them before this one`;
    return warning('SensitiveBodiesLogged', `rules[${rule}].level`, message);
  });

const HIDES = 'without ResponseStarted there is no event of a request that is refused with 401: it has no other stage';

const omits = (stages: readonly Stage[], stage: Stage): boolean => stages.includes(stage);
const pathOfStage = (path: string, stages: readonly Stage[], stage: Stage): string =>
  `${path}[${stages.indexOf(stage)}]`;

export const omittedResponseStarted: PolicyCheck = ({ policy }) =>
  omits(policy.omitStages, 'ResponseStarted')
    ? [warning('ResponseStartedOmitted', pathOfStage('omitStages', policy.omitStages, 'ResponseStarted'), HIDES)]
    : [];

/** Only where the rule can meet a request without a user, which is what a 401 is. */
export const omittedResponseStartedInRule: RuleCheck = ({ policy, rule, path }) => {
  if (rule.level === 'None' || rule.users.length > 0 || rule.userGroups.length > 0) return [];
  if (!omits(rule.omitStages, 'ResponseStarted') || omits(policy.omitStages, 'ResponseStarted')) return [];
  return [
    warning('ResponseStartedOmitted', pathOfStage(`${path}.omitStages`, rule.omitStages, 'ResponseStarted'), HIDES),
  ];
};

const leavesNothing = (policy: Policy, rule: Rule): boolean => {
  const all = [...policy.omitStages, ...rule.omitStages];
  return omits(all, 'RequestReceived') && omits(all, 'ResponseComplete');
};

/** An ordinary request has two stages; a rule that omits both logs none of it. */
export const noStageLeft: RuleCheck = ({ policy, rule, path }) => {
  if (rule.level === 'None' || !leavesNothing(policy, rule)) return [];
  const message = 'RequestReceived and ResponseComplete are both omitted: ordinary requests leave no event';
  return [warning('NoStageLeft', rule.omitStages.length > 0 ? `${path}.omitStages` : 'omitStages', message)];
};

/** Requests for URLs never have bodies in the log. */
export const bodiesOfUrls: RuleCheck = ({ rule, path }): Remark[] =>
  isResourceRule(rule) || rule.nonResourceURLs.length === 0 || !rule.level.startsWith('Request')
    ? []
    : [info('NoBodiesForURLs', `${path}.level`, `level ${quote(rule.level)} logs no more than Metadata for URLs`)];
