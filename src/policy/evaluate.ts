/**
 * Which rule of a policy a request meets, and what follows from it: the compiled form of kube-apiserver's policy
 * checker (k8s.io/apiserver pkg/audit/policy/checker.go), for millions of decisions a second. It decides exactly what
 * the plain reading of the rules (match.ts) decides, by classes of requests instead of one rule after the other; no request
 * is remembered. It does not validate: it takes what `loadPolicy` or `composePolicy` gave.
 */
import type { Decision, Policy, RequestAttributes, Rule, Stage } from '../api/audit.ts';
import { RULES_A_SEGMENT, Segment } from './engine/segment.ts';
import { ASK_GROUPS, ASK_NAME, ASK_NAMESPACE, ASK_USER, newQuery } from './engine/query.ts';
import type { Query } from './engine/query.ts';
import { NO_SUBRESOURCE, SymbolTables } from './engine/symbols.ts';

/** What every rule decides, and what is decided where none matches; made once, shared by all decisions. */
export type CompiledPolicy = {
  readonly decide: (r: RequestAttributes) => Decision;
  readonly tables: SymbolTables;
  /** Index into `decisions` for a request in numbers: the rule's, or the last one where no rule matches. */
  readonly find: (q: Query) => number;
  readonly decisions: readonly Decision[];
};

/** The union of both, sorted by name, as everything that prints a decision has it. */
export const joinStages = (a: readonly Stage[], b: readonly Stage[]): readonly Stage[] =>
  [...new Set([...a, ...b])].sort();

function decisionOf(policy: Policy, rule: Rule | undefined, index: number): Decision {
  return Object.freeze({
    level: rule?.level ?? 'None',
    rule: rule === undefined ? null : index,
    omitStages: Object.freeze(joinStages(policy.omitStages, rule?.omitStages ?? [])),
    omitManagedFields: rule?.omitManagedFields ?? policy.omitManagedFields,
  });
}

function segmentsOf(rules: readonly Rule[], tables: SymbolTables): Segment[] {
  const count = Math.ceil(rules.length / RULES_A_SEGMENT);
  return Array.from({ length: count }, (_, i) => {
    const first = i * RULES_A_SEGMENT;
    return new Segment(rules.slice(first, first + RULES_A_SEGMENT), first, tables);
  });
}

/** What every request is asked for, in numbers; the rest is looked up where a rule asks for it. */
function translate(r: RequestAttributes, t: SymbolTables, q: Query): void {
  q.userGroupCount = 0;
  q.user = 0;
  q.text = r;
  q.isResource = r.kind === 'Resource';
  q.verb = t.verb.of(r.verb);
  // Without a user there are no groups either, as in the API server.
  const who = r.user === undefined ? 0 : ASK_USER | ASK_GROUPS;
  if (r.kind === 'NonResource') {
    q.pending = who;
    q.path = r.path;
    return;
  }
  q.pending = who | ASK_NAMESPACE | ASK_NAME;
  q.group = t.group.of(r.group);
  q.resource = t.resource.of(r.resource);
  q.subresource = r.subresource === '' ? NO_SUBRESOURCE : t.subresource.of(r.subresource);
}

/**
 * Compiles a policy. Decisions are frozen and shared: the same rule gives the same object. Cost of `decide` hardly
 * grows with the number of rules up to 1,024, and by that much for each further 1,024.
 */
export function compilePolicy(policy: Policy): CompiledPolicy {
  const tables = new SymbolTables();
  const segments = segmentsOf(policy.rules, tables);
  const none = policy.rules.length;
  const decisions = [...policy.rules, undefined].map((rule, i) => decisionOf(policy, rule, i));
  const fallback = decisionOf(policy, undefined, none);
  const q = newQuery();
  const find = (query: Query): number => {
    for (const segment of segments) {
      const rule = segment.find(query);
      if (rule >= 0) return rule;
    }
    return none;
  };
  const decide = (r: RequestAttributes): Decision => {
    translate(r, tables, q);
    return decisions[find(q)] ?? fallback;
  };
  return { decide, tables, find, decisions };
}
