/**
 * Verbs that no request has. The API server compares them as they stand: no wildcard, no upper case, and an HTTP method
 * only where the request is not for a resource. What it accepts in silence makes a rule narrower than it reads.
 */
import type { Rule } from '../../api/audit.ts';
import { aboutEach, quote, warning } from './types.ts';
import type { Remark, RuleCheck } from './types.ts';
import { isResourceRule } from '../match.ts';
import { NON_RESOURCE_VERBS, RESOURCE_VERBS } from '../suggest-words.ts';
import { didYouMean } from '../suggest.ts';

/** What people write who think of HTTP, by what the API server says. */
const SAID_AS: Readonly<Record<string, string>> = { post: 'create', put: 'update', head: 'get', read: 'get' };

const includes = (list: readonly string[], v: string): boolean => list.includes(v);

/** The verbs of requests that a rule can match at all. */
function possibleVerbs(rule: Rule): readonly string[] {
  if (isResourceRule(rule)) return RESOURCE_VERBS;
  if (rule.nonResourceURLs.length > 0) return NON_RESOURCE_VERBS;
  return [...RESOURCE_VERBS, ...NON_RESOURCE_VERBS];
}

/** True where a verb comes with a request that the rule could match. */
export const isPossibleVerb = (rule: Rule, verb: string): boolean => includes(possibleVerbs(rule), verb);

function unknownVerb(rule: Rule, verb: string, path: string): Remark {
  const possible = possibleVerbs(rule);
  const said = SAID_AS[verb.toLowerCase()];
  if (isResourceRule(rule) && said !== undefined)
    return warning('VerbUnknown', path, `no request for a resource has the verb ${quote(verb)}: it is ${quote(said)}`);
  if (rule.nonResourceURLs.length > 0 && includes(RESOURCE_VERBS, verb)) {
    const message = `requests for a URL have the HTTP method in lower case as their verb, never ${quote(verb)}`;
    return warning('VerbUnknown', path, message);
  }
  return warning('VerbUnknown', path, `no request has the verb ${quote(verb)}${didYouMean(verb, possible)}`);
}

/** `verbs: ["*"]` matches nothing: leaving `verbs` out is what matches every verb. */
export const wildcardVerbs: RuleCheck = ({ rule, path }) =>
  aboutEach(rule.verbs, `${path}.verbs`, (verb, at) =>
    verb.includes('*')
      ? warning('VerbWildcard', at, `${quote(verb)} matches no verb: verbs have no wildcards; leave verbs out for all`)
      : undefined,
  );

export const unknownVerbs: RuleCheck = ({ rule, path }) =>
  aboutEach(rule.verbs, `${path}.verbs`, (verb, at) =>
    verb.includes('*') || isPossibleVerb(rule, verb) ? undefined : unknownVerb(rule, verb, at),
  );

/** A list, a create and a deletecollection carry no name in their URL. */
const NAMELESS: Readonly<Record<string, string>> = {
  create: 'the name of a new object is in the body, where no policy looks',
  deletecollection: 'it names no object',
  list: 'it has a name only with the field selector metadata.name',
};

/** `resourceNames` with verbs whose requests have no name; creating a subresource has one. */
export const namelessVerbs: RuleCheck = ({ rule, path }) => {
  const entry = rule.resources.findIndex((e) => e.resourceNames.length > 0);
  const named = rule.resources[entry];
  if (named === undefined) return [];
  const subresources = named.resources.some((r) => r.includes('/') || r === '*');
  return aboutEach(rule.verbs, `${path}.verbs`, (verb, at) => {
    const why = NAMELESS[verb];
    if (why === undefined || (subresources && verb === 'create')) return undefined;
    const names = `${path}.resources[${entry}].resourceNames`;
    return warning('ResourceNamesNeverMatch', at, `${quote(verb)} does not match together with ${names}: ${why}`);
  });
};
