/**
 * `auditconfig explain-config`: which resource set each field that counts for an AuditConfig, what an enforced field
 * overrode, and which fields of it do not count. Reads AuditConfigs, DatacenterAuditConfigs and one Namespace, or files;
 * no Secret, so that it shows references and never what they hold.
 */
import { stringify } from 'yaml';
import { explainConfig } from '../config/explain.ts';
import type { Explanation } from '../config/explain.ts';
import { fromCluster, fromFiles } from './explain-config-input.ts';
import type { Concerned, ConfigInput } from './explain-config-input.ts';
import { choice, command, runCommand } from './parse.ts';
import { usage } from './policy-input.ts';
import { printable } from './printable.ts';
import { table } from './table.ts';
import type { CommandModule, CommandResult, Io } from './types.ts';

const OUTPUTS = ['table', 'json', 'yaml'] as const;

type Options = {
  readonly filename?: string[];
  readonly namespace?: string;
  readonly output?: (typeof OUTPUTS)[number];
  readonly all?: boolean;
  readonly kubeconfig?: string;
  readonly context?: string;
};

const EXAMPLES = `
Examples:
  auditconfig explain-config -n auditconfig-system control-plane
  auditconfig explain-config -f auditconfig.yaml -f datacenter.yaml
  auditconfig explain-config -n auditconfig-system control-plane -o json | jq '.fields[] | select(.setBy | startswith("Datacenter"))'
`;

const valueText = (value: unknown): string =>
  typeof value === 'string' ? value : value === undefined ? '-' : JSON.stringify(value);

function text(
  { fields, rules, ignored, conflicts }: Explanation,
  datacenters: readonly Concerned[],
  all: boolean,
): string {
  const rows = fields
    .filter((f) => all || f.setBy !== 'BuiltIn')
    .map((f) => {
      const overrode = f.overrode.filter((o) => all || o.by !== 'BuiltIn');
      const said = overrode.map((o) => `${valueText(o.value)} (${o.by})`.replace(/^- /, ''));
      return [f.path, valueText(f.value), f.setBy, said.join(', ')];
    });
  const part = (title: string, lines: readonly string[]): string =>
    lines.length === 0 ? '' : `\n${title}\n${lines.map((l) => `  ${printable(l)}\n`).join('')}`;
  return [
    rows.length === 0 ? 'every field has its built-in default (--all shows them)\n' : '',
    rows.length === 0 ? '' : table([['FIELD', 'VALUE', 'SET BY', 'OVERRODE'], ...rows]),
    part(
      'Own rules, the first that matches counts:',
      rules.map((r) => `${r.count} of ${r.by}${r.front ? ', in front of everything' : ''}`),
    ),
    part(
      'Does not count:',
      ignored.map((i) => `spec.${i.path}: ${valueText(i.value)} (${i.by})`),
    ),
    part(
      'Datacenters that differ:',
      conflicts.map((c) => `${c.path}: ${c.set} counts, ${c.over} does not`),
    ),
    part(
      'Datacenters:',
      datacenters.map((d) => `${d.name}: ${d.why}`),
    ),
  ].join('');
}

function printed({ config, datacenters }: ConfigInput, o: Options): string {
  const { target: _target, ...own } = config.spec;
  const counting = datacenters.filter((d) => d.counts).map(({ name, content }) => ({ name, content }));
  const explanation = explainConfig(own, counting);
  const output = o.output ?? 'table';
  if (output === 'table') return text(explanation, datacenters, o.all === true);
  const { namespace = '', name } = config.metadata;
  const told = datacenters.map(({ name: of, counts, why }) => ({ name: of, counts, why }));
  const document = { auditConfig: { namespace, name }, datacenters: told, ...explanation };
  return output === 'json'
    ? `${JSON.stringify(document, null, 2)}\n`
    : stringify(document, { lineWidth: 0, aliasDuplicateObjects: false });
}

async function explain(name: string | undefined, o: Options, io: Io): Promise<CommandResult> {
  const now = Date.now();
  if (o.filename === undefined && name === undefined) return usage('give the name of an AuditConfig, or files with -f');
  if (o.filename !== undefined && (o.kubeconfig ?? o.context) !== undefined)
    return usage('--kubeconfig and --context are for a cluster, -f is for files: give one of them');
  const where = {
    namespace: o.namespace ?? 'auditconfig-system',
    ...(o.kubeconfig === undefined ? {} : { kubeconfig: o.kubeconfig }),
    ...(o.context === undefined ? {} : { context: o.context }),
  };
  const input =
    o.filename === undefined
      ? await fromCluster({ ...where, name: name ?? '' }, io, now)
      : await fromFiles({ files: o.filename, namespace: o.namespace, name }, io, now);
  if ('errors' in input) return { code: 1, stderr: input.errors };
  const stderr = input.notes.map((n) => `note: ${n}\n`).join('');
  return { code: 0, stdout: printed(input, o), ...(stderr === '' ? {} : { stderr }) };
}

export const run: CommandModule['run'] = (args, io) => {
  const collect = (value: string, before: string[] = []): string[] => [...before, value];
  const program = command('explain-config', 'which resource set each field of an AuditConfig, and what it overrode')
    .argument('[name]', 'the AuditConfig')
    .option('-f, --filename <file>', "files instead of a cluster; repeatable; '-' is standard input", collect)
    .option('-n, --namespace <name>', 'namespace of the AuditConfig (default: auditconfig-system; with -f any)')
    .option('-o, --output <format>', 'table, json or yaml', choice(OUTPUTS))
    .option('--all', 'built-in defaults too')
    .option('--kubeconfig <file>', 'how to reach the API server (default: KUBECONFIG, ~/.kube/config)')
    .option('--context <name>', 'context of the kubeconfig')
    .addHelpText('after', EXAMPLES);
  return runCommand(program, args, (p) => explain(p.args[0], p.opts<Options>(), io));
};
