/**
 * `auditconfig explain`: which rule of a policy decides about a request, and why the rules before it do not. The request
 * comes from flags, or from standard input: a request as `evaluate` reads it, or a recorded audit event.
 */
import type { RequestAttributes, Rule } from '../api/audit.ts';
import type { Minor } from '../api/versions.ts';
import { explain, mismatchText } from '../policy/explain.ts';
import type { Explanation } from '../policy/explain.ts';
import { lintPolicy } from '../policy/lint.ts';
import { looksLikeEvent, requestOfEvent } from '../policy/request-event.ts';
import { isRequest, parseRequestLine } from '../policy/request.ts';
import { command, runCommand } from './parse.ts';
import { printable } from './printable.ts';
import { findingText, isResult, policyFrom, readInput, unreadableInput, usage, versionOf } from './policy-input.ts';
import type { PolicyFile } from './policy-input.ts';
import type { CommandModule, CommandResult, Io } from './types.ts';

const EXAMPLES = `
Without flags for the request it is read from standard input: one JSON object, either a request in the shape of a
SubjectAccessReview spec, or an event out of an audit log.

Examples:
  auditconfig explain --policy audit-policy.yaml --user alice --group system:authenticated --verb get \\
    --resource deployments --api-group apps --namespace default --name web
  auditconfig explain --policy audit-policy.yaml --user alice --verb create --resource pods/exec -n default --name web
  auditconfig explain --policy audit-policy.yaml --verb get --path /healthz
  tail -n 1 audit.log | auditconfig explain --policy audit-policy.yaml
`;

type Options = {
  readonly policy?: string;
  readonly kubernetesVersion?: string;
  readonly output: string;
  readonly user?: string;
  readonly group: readonly string[];
  readonly verb?: string;
  readonly apiGroup?: string;
  readonly resource?: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly path?: string;
};

const hasRequestFlags = (o: Options): boolean =>
  [o.user, o.verb, o.apiGroup, o.resource, o.namespace, o.name, o.path].some((v) => v !== undefined) ||
  o.group.length > 0;

function requestOfFlags(o: Options): RequestAttributes | CommandResult {
  if (o.verb === undefined) return usage('--verb is required for a request from flags');
  if ((o.resource === undefined) === (o.path === undefined)) return usage('give either --resource or --path');
  const who = { ...(o.user === undefined ? {} : { user: o.user }), groups: o.group, verb: o.verb };
  if (o.path !== undefined && !o.path.startsWith('/')) return usage(`--path must begin with /, not '${o.path}'`);
  if (o.path !== undefined) return { kind: 'NonResource', ...who, path: o.path };
  const [resource = '', ...subresource] = (o.resource ?? '').split('/');
  return {
    kind: 'Resource',
    ...who,
    group: o.apiGroup ?? '',
    version: '',
    resource,
    subresource: subresource.join('/'),
    namespace: o.namespace ?? '',
    name: o.name ?? '',
  };
}

async function requestOfInput(io: Io): Promise<RequestAttributes | CommandResult> {
  const input = await readInput('-', io);
  if ('unreadable' in input) return unreadableInput(input.unreadable);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(input.bytes));
  } catch (e) {
    const message = printable(e instanceof Error ? e.message : String(e));
    const instead = 'one JSON object is expected where no flag says which request is meant (see --help)';
    return { code: 1, stderr: `<stdin>: error RequestNotJson: ${instead}: ${message}\n` };
  }
  const request = looksLikeEvent(value) ? requestOfEvent(value) : parseRequestLine(value);
  return isRequest(request) ? request : { code: 1, stderr: `${findingText('-', request)}\n` };
}

function asJson({ policy }: PolicyFile, e: Explanation): string {
  const earlier = e.earlier.map(({ rule, mismatch }) => {
    const of = policy.rules[rule];
    return { rule, code: mismatch.code, message: of === undefined ? '' : mismatchText(mismatch, of) };
  });
  return `${JSON.stringify({ ...e.decision, events: e.events, earlier }, null, 2)}\n`;
}

const bodies = (e: Explanation['events'][number]): string =>
  [e.requestObject ? 'request body' : '', e.responseObject ? 'response body' : '']
    .filter((b) => b !== '')
    .join(' and ');

function asText(path: string, { policy, positions }: PolicyFile, e: Explanation): string {
  const place = (rule: number): string => {
    const at = positions.get(`rules[${rule}]`);
    return at === undefined ? '' : ` (${path}:${at.line}:${at.column})`;
  };
  const { decision } = e;
  const events = e.events.map((v) => `  ${v.stage}${bodies(v) === '' ? '' : ` with ${bodies(v)}`}`);
  const earlier = e.earlier.map(({ rule, mismatch }) => {
    const of = policy.rules[rule];
    return `  rules[${rule}]${place(rule)}: ${mismatch.code}: ${of === undefined ? '' : mismatchText(mismatch, of)}`;
  });
  return [
    decision.rule === null
      ? 'No rule matches: level None'
      : `rules[${decision.rule}]${place(decision.rule)} decides: level ${decision.level}`,
    events.length === 0 ? 'No events.' : 'Events:',
    ...events,
    ...(events.length > 0 && decision.omitManagedFields ? ['Managed fields are left out of bodies.'] : []),
    ...(earlier.length === 0 ? [] : ['Rules before it do not match:', ...earlier]),
  ]
    .map((l) => `${l}\n`)
    .join('');
}

/** What lint says of the words of a request: `deployments` without --api-group apps would be explained as another resource. */
function remarksOn(r: RequestAttributes, version: Minor): string {
  const rule: Rule = {
    level: 'Metadata',
    users: r.user === undefined ? [] : [r.user],
    userGroups: r.groups,
    verbs: [r.verb],
    resources:
      r.kind === 'NonResource'
        ? []
        : [{ group: r.group, resources: [[r.resource, r.subresource].filter(Boolean).join('/')], resourceNames: [] }],
    namespaces: [],
    nonResourceURLs: r.kind === 'NonResource' ? [r.path] : [],
    omitStages: [],
  };
  const policy = { rules: [rule], omitStages: [], omitManagedFields: false };
  return lintPolicy({ policy, findings: [], positions: new Map() }, version)
    .filter((f) => f.path !== 'rules[0]')
    .map((f) => `note: ${f.code}: ${printable(f.message)}\n`)
    .join('');
}

async function explainRequest(o: Options, io: Io): Promise<CommandResult> {
  if (o.policy === undefined) return usage('--policy FILE is required (see --help)');
  if (o.output !== 'text' && o.output !== 'json') return usage(`--output must be text or json, not '${o.output}'`);
  if (o.policy === '-' && !hasRequestFlags(o)) return usage('policy and request cannot both come from standard input');
  const version = versionOf(o.kubernetesVersion);
  if (isResult(version)) return version;
  const file = await policyFrom(o.policy, version, io);
  if (isResult(file)) return file;
  const request = hasRequestFlags(o) ? requestOfFlags(o) : await requestOfInput(io);
  if (isResult(request)) return request;
  const explanation = explain(file.policy, request);
  const stdout = o.output === 'json' ? asJson(file, explanation) : asText(o.policy, file, explanation);
  return { code: 0, stdout, stderr: hasRequestFlags(o) ? remarksOn(request, version) : '' };
}

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];

export const run: CommandModule['run'] = (args, io) => {
  const program = command('explain', 'which rule decides about a request, and why earlier ones do not')
    .option('--policy <file>', 'the audit policy')
    .option('--kubernetes-version <version>', 'version whose rules apply (1.26 to 1.36, which is the default)')
    .option('-o, --output <format>', 'text or json', 'text')
    .option('--user <name>', 'user name; without it there is no user information')
    .option('--group <name>', "one of the user's groups (repeat)", collect, [])
    .option('--verb <verb>', 'such as get, list, create; the HTTP method in lower case for --path')
    .option('--api-group <group>', 'API group of the resource (default: the core group)')
    .option('--resource <resource>', 'such as pods or pods/log')
    .option('-n, --namespace <namespace>', 'namespace of the resource')
    .option('--name <name>', 'name of the object')
    .option('--path <path>', 'path of a request that is not for a resource')
    .allowExcessArguments(false)
    .addHelpText('after', EXAMPLES);
  return runCommand(program, args, (p) => explainRequest(p.opts<Options>(), io));
};
