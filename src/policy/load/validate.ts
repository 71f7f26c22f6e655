/**
 * Every rule of ValidatePolicy (k8s.io/apiserver pkg/apis/audit/validation), in its order, with its sentences. What it
 * does not look at (users, groups, verbs, resources, namespaces) is lint's business.
 */
import { LEVELS, STAGES } from '../../api/audit.ts';
import type { Finding, Position } from '../../api/findings.ts';
import { allowsGroupWildcard } from '../../api/versions.ts';
import type { Minor } from '../../api/versions.ts';
import { isLevel, isStage } from './policy.ts';
import type { RawPolicy, RawRule } from './policy.ts';
import { didYouMean } from '../suggest.ts';

type Context = { readonly version: Minor; readonly positions: ReadonlyMap<string, Position> };
type Report = (code: string, path: string, message: string) => void;

const SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const SUBDOMAIN_RULE =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const MAX_SUBDOMAIN = 253;

const quote = (text: string): string => JSON.stringify(text);
const list = (texts: readonly string[]): string => `[${texts.map(quote).join(',')}]`;

/** Findings of severity error, or none: then an API server of that version accepts the policy. */
export function validatePolicy(policy: RawPolicy, context: Context): readonly Finding[] {
  const findings: Finding[] = [];
  const report: Report = (code, path, message) => {
    const at = placeOf(path, context.positions);
    findings.push({ severity: 'error', code, message, path, ...(at === undefined ? {} : { at }) });
  };
  validateStages(policy.omitStages, 'omitStages', report);
  policy.rules.forEach((rule, i) => validateRule(rule, `rules[${i}]`, { version: context.version, report }));
  if (findings.length === 0 && policy.rules.length === 0) {
    report('NoRules', 'rules', 'loaded illegal policy with 0 rules');
  }
  return findings;
}

/** Where a path stands, or the nearest field around it that does, or the document. */
function placeOf(path: string, positions: ReadonlyMap<string, Position>): Position | undefined {
  for (let p = path; p !== ''; p = p.replace(/(?:^|\.|\[)[^.[]*$/, '')) {
    const at = positions.get(p);
    if (at !== undefined) return at;
  }
  return positions.get('');
}

function validateRule(rule: RawRule, path: string, { version, report }: { version: Minor; report: Report }): void {
  validateLevel(rule.level, `${path}.level`, report);
  validateUrls(rule.nonResourceURLs, `${path}.nonResourceURLs`, report);
  validateResources(rule, path, { version, report });
  validateStages(rule.omitStages, `${path}.omitStages`, report);
  if (rule.nonResourceURLs.length > 0 && (rule.resources.length > 0 || rule.namespaces.length > 0)) {
    const value = list(rule.nonResourceURLs);
    const message = `${path}.nonResourceURLs: Invalid value: ${value}: rules cannot apply to both regular resources and non-resource URLs`;
    report('RuleMixesResourcesAndURLs', `${path}.nonResourceURLs`, message);
  }
}

function validateLevel(level: string, path: string, report: Report): void {
  if (level === '') report('LevelRequired', path, `${path}: Required value`);
  else if (!isLevel(level)) {
    const levels = LEVELS.map(quote).join(', ');
    const hint = didYouMean(level, LEVELS);
    report('LevelUnknown', path, `${path}: Unsupported value: ${quote(level)}: supported values: ${levels}${hint}`);
  }
}

function validateStages(stages: readonly string[], path: string, report: Report): void {
  stages.forEach((stage, i) => {
    if (isStage(stage)) return;
    const at = `${path}[${i}]`;
    const hint = didYouMean(stage, STAGES);
    report('StageUnknown', at, `${at}: Invalid value: ${quote(stage)}: allowed stages are ${STAGES.join(',')}${hint}`);
  });
}

function validateUrls(urls: readonly string[], path: string, report: Report): void {
  urls.forEach((url, i) => {
    if (url === '*') return;
    const at = `${path}[${i}]`;
    const invalid = (reason: string): void => {
      report('NonResourceURLInvalid', at, `${at}: Invalid value: ${quote(url)}: ${reason}`);
    };
    if (!url.startsWith('/')) invalid("non-resource URL rules must begin with a '/' character");
    if (url.slice(0, -1).includes('*')) {
      invalid("non-resource URL wildcards '*' must be the final character of the rule");
    }
  });
}

function validateResources(rule: RawRule, path: string, { version, report }: { version: Minor; report: Report }): void {
  rule.resources.forEach(({ group, resources, resourceNames }, i) => {
    const at = `${path}.resources[${i}]`;
    // The API server's own sentence leaves the index out.
    const shown = `${path}.resources`;
    if (group === '*' && !allowsGroupWildcard(version)) {
      const message = `${shown}.group: Invalid value: "*": ${SUBDOMAIN_RULE}; '*' is allowed from Kubernetes 1.36 on`;
      report('GroupWildcardUnsupported', `${at}.group`, message);
    } else if (group !== '' && group !== '*') {
      const reason = subdomainProblem(group);
      if (reason !== '')
        report('GroupInvalid', `${at}.group`, `${shown}.group: Invalid value: ${quote(group)}: ${reason}`);
    }
    if (resourceNames.length > 0 && resources.length === 0) {
      const value = list(resourceNames);
      const message = `${shown}.resourceNames: Invalid value: ${value}: using resourceNames requires at least one resource`;
      report('ResourceNamesWithoutResources', `${at}.resourceNames`, message);
    }
  });
}

/** IsDNS1123Subdomain of k8s.io/apimachinery; the length is in bytes, but only ASCII can pass. */
function subdomainProblem(group: string): string {
  if (group.length > MAX_SUBDOMAIN) return `must be no more than ${MAX_SUBDOMAIN} characters`;
  return SUBDOMAIN.test(group) ? '' : SUBDOMAIN_RULE;
}
