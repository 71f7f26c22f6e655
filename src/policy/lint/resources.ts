/**
 * Groups and resources that no API server serves, and patterns that match nothing. Custom resources cannot be known
 * here, so that only what is closed is judged: the built-in groups, and groups that no custom resource may have.
 */
import type { GroupResources, Rule } from '../../api/audit.ts';
import { aboutEach, quote, warning } from './types.ts';
import type { Remark, RuleCheck } from './types.ts';
import { GROUPS, groupsOf, RESOURCES_BY_GROUP, SUBRESOURCES } from '../suggest-words.ts';
import { didYouMean, editDistance, suggest } from '../suggest.ts';

/** `*`, `name`, `name/sub`, `name/*` and `*` before a subresource are all the patterns that there are. */
const PATTERN = /^(?:\*|[^*/]+|[^*/]+\/(?:\*|[^*/]+)|\*\/[^*/]+)$/;

/** True where a string of `resources` can match a request at all. */
export const isPossiblePattern = (pattern: string): boolean => PATTERN.test(pattern);

function whyImpossible(pattern: string): string {
  if (pattern === '') return 'it is empty';
  if (pattern === '*/*') return 'write "*", which takes in all subresources';
  if (pattern.endsWith('/'))
    return `write ${quote(pattern.slice(0, -1))}, or ${quote(`${pattern}*`)} with all subresources`;
  if (pattern.split('/').length > 2) return 'a resource has one subresource at most';
  if (pattern.startsWith('/')) return 'the resource before the slash is missing';
  return 'a star stands for a whole name only, before or after the slash';
}

const pathOf = (rulePath: string, entry: number): string => `${rulePath}.resources[${entry}]`;

const aboutEntries = (rule: Rule, say: (e: GroupResources, i: number) => readonly Remark[]): Remark[] =>
  rule.resources.flatMap((e, i) => say(e, i));

/** `po*`, `pods/`, `*` on both sides of a slash: accepted in silence, and never equal to anything. */
export const impossiblePatterns: RuleCheck = ({ rule, path }) =>
  aboutEntries(rule, (e, i) =>
    aboutEach(e.resources, `${pathOf(path, i)}.resources`, (pattern, at) =>
      isPossiblePattern(pattern)
        ? undefined
        : warning('ResourcePatternMatchesNothing', at, `${quote(pattern)} matches nothing: ${whyImpossible(pattern)}`),
    ),
  );

/** Groups of custom resources have a dot; without one, a group is built in or a mistake. */
function unknownGroup(group: string): string | undefined {
  if (group === '*' || GROUPS.includes(group)) return undefined;
  if (group === 'core') return 'the core group is written ""';
  if (group === 'extensions') return 'no API server has served it since Kubernetes 1.22';
  const near = suggest(group, GROUPS);
  if (!group.includes('.')) return `there is no such group${didYouMean(group, GROUPS)}`;
  // Many groups end in the same words: only a slip of the finger counts.
  if (near === undefined || editDistance(group, near, 2) > 2) return undefined;
  return `there is no such built-in group; did you mean ${quote(near)}?`;
}

export const unknownGroups: RuleCheck = ({ rule, path }) =>
  aboutEntries(rule, (e, i) => {
    const why = unknownGroup(e.group);
    return why === undefined
      ? []
      : [warning('GroupUnknown', `${pathOf(path, i)}.group`, `group ${quote(e.group)}: ${why}`)];
  });

const nameOf = (group: string): string => (group === '' ? 'the core group ("")' : quote(group));

/** What is wrong with a resource name in a built-in group; custom resources cannot be in one. */
function wrongResource(group: string, name: string, at: string): Remark | undefined {
  const known = RESOURCES_BY_GROUP[group];
  if (known === undefined || known.includes(name)) return undefined;
  const elsewhere = groupsOf(name);
  if (elsewhere.length > 0) {
    const message = `${nameOf(group)} has no ${name}: they are in ${elsewhere.map(nameOf).join(' and ')}`;
    return warning('ResourceInOtherGroup', at, message);
  }
  const inGroup = suggest(name, known);
  const anywhere =
    inGroup ??
    suggest(
      name,
      GROUPS.flatMap((g) => RESOURCES_BY_GROUP[g] ?? []),
    );
  const where =
    anywhere === undefined || inGroup !== undefined ? '' : ` (in ${groupsOf(anywhere).map(nameOf).join(' and ')})`;
  const hint = anywhere === undefined ? '' : `; did you mean ${quote(anywhere)}${where}?`;
  return warning('ResourceUnknown', at, `${nameOf(group)} has no resource ${quote(name)}${hint}`);
}

function wrongSubresource(resource: string, subresource: string, at: string): Remark | undefined {
  const known = SUBRESOURCES[resource];
  if (known === undefined || known.includes(subresource)) return undefined;
  const hint = didYouMean(subresource, known);
  return warning('SubresourceUnknown', at, `${resource} has no subresource ${quote(subresource)}${hint}`);
}

/** Resources that the group does not have: `deployments` without a group, `pod`, `pods/logs`. */
export const wrongResources: RuleCheck = ({ rule, path }) =>
  aboutEntries(rule, (e, i) =>
    aboutEach(e.resources, `${pathOf(path, i)}.resources`, (pattern, at) => {
      const [name = '', subresource] = pattern.split('/');
      if (!isPossiblePattern(pattern) || name === '*') return undefined;
      const wrong = wrongResource(e.group, name, at);
      if (wrong !== undefined || subresource === undefined || subresource === '*') return wrong;
      return RESOURCES_BY_GROUP[e.group] === undefined ? undefined : wrongSubresource(name, subresource, at);
    }),
  );

/**
 * Built-in resources without a namespace. `namespaces` is not among them: a request for the namespace x counts as one
 * in x. Node and Namespace events are in a namespace too.
 */
const CLUSTER_SCOPED = new Set(
  [
    'nodes persistentvolumes componentstatuses clusterroles clusterrolebindings tokenreviews selfsubjectreviews',
    'subjectaccessreviews selfsubjectaccessreviews selfsubjectrulesreviews certificatesigningrequests clustertrustbundles',
    'ingressclasses ipaddresses servicecidrs storageclasses volumeattachments csidrivers csinodes volumeattributesclasses',
    'storageversionmigrations mutatingwebhookconfigurations validatingwebhookconfigurations validatingadmissionpolicies',
    'validatingadmissionpolicybindings mutatingadmissionpolicies mutatingadmissionpolicybindings',
    'customresourcedefinitions apiservices flowschemas prioritylevelconfigurations runtimeclasses priorityclasses',
    'resourceslices deviceclasses devicetaintrules storageversions',
  ].flatMap((line) => line.split(' ')),
);

function isClusterScoped(e: GroupResources): boolean {
  const known = RESOURCES_BY_GROUP[e.group] ?? [];
  return (
    e.resources.length > 0 &&
    // metrics.k8s.io serves nodes too.
    e.resources.map((p) => p.split('/')[0] ?? '').every((name) => known.includes(name) && CLUSTER_SCOPED.has(name))
  );
}

/** `namespaces` together with resources that are in none. */
export const clusterScopedInNamespaces: RuleCheck = ({ rule, path }) => {
  if (rule.namespaces.length === 0 || rule.namespaces.includes('') || rule.resources.length === 0) return [];
  if (!rule.resources.every(isClusterScoped)) return [];
  const names = rule.resources.flatMap((e) => e.resources).join(', ');
  const message = `the rule matches nothing: ${names} have no namespace; leave namespaces out, or add ""`;
  return [warning('NamespacesOfClusterScoped', `${path}.namespaces`, message)];
};
