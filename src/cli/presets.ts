/**
 * `auditconfig presets [NAME]`: the policies that ship here, what each can see and what it would leak; with a name, the
 * policy itself, ready for `--audit-policy-file`. Counted by the policy engine, not written down.
 */
import { InvalidArgumentError } from 'commander';
import { stringify } from 'yaml';
import type { Policy } from '../api/audit.ts';
import { DETECTIONS, coverage } from '../analysis/detections.ts';
import { bodiesLeaked } from '../analysis/leaks.ts';
import { emitPolicyText } from '../policy/emit.ts';
import { PRESETS, PRESET_NAMES, presetPolicy } from '../policy/presets.ts';
import type { Preset } from '../policy/presets.ts';
import { didYouMean } from '../policy/suggest.ts';
import { choice, command, runCommand } from './parse.ts';
import { table } from './table.ts';
import type { CommandModule, CommandResult } from './types.ts';

const OUTPUTS = ['table', 'json', 'yaml'] as const;
type Output = (typeof OUTPUTS)[number];

const EXAMPLES = `
SEES counts the attack patterns of docs/presets.md that the preset's log could show. LEAKS names resources whose
bodies hold secrets and would be in the log.

Examples:
  auditconfig presets
  auditconfig presets balanced > /etc/kubernetes/audit-policy.yaml
  auditconfig presets -o json
  auditconfig presets basic --system-namespaces kube-system,d8-system,d8-monitoring
`;

/** One preset as it is listed. */
export type PresetRow = {
  readonly name: string;
  readonly version: number;
  readonly summary: string;
  readonly origin: string;
  readonly rules: number;
  readonly detections: { readonly seen: number; readonly of: number; readonly missed: readonly string[] };
  /** `group/resource`, the core group without a slash. */
  readonly leaks: readonly string[];
};

export function presetRow(preset: Preset, policy: Policy = presetPolicy(preset.name)): PresetRow {
  const missed = coverage(policy).flatMap((c) => (c.seen ? [] : [c.detection.id]));
  const leaked = bodiesLeaked(policy).map((l) => (l.group === '' ? l.resource : `${l.group}/${l.resource}`));
  const { name, version, summary, origin } = preset;
  return {
    ...{ name, version, summary, origin },
    rules: policy.rules.length,
    detections: { seen: DETECTIONS.length - missed.length, of: DETECTIONS.length, missed },
    leaks: [...new Set(leaked)],
  };
}

const leaksText = (leaks: readonly string[]): string =>
  leaks.length === 0 ? '-' : leaks.map((l) => (l.includes('.') ? l.slice(l.indexOf('/') + 1) : l)).join(',');

const cells = (rows: readonly PresetRow[]): readonly (readonly string[])[] => [
  ['NAME', 'VERSION', 'RULES', 'SEES', 'LEAKS', 'SUMMARY'],
  ...rows.map((r) => [
    r.name,
    String(r.version),
    String(r.rules),
    `${r.detections.seen}/${r.detections.of}`,
    leaksText(r.leaks),
    r.summary,
  ]),
];

function list(output: Output): string {
  const rows = PRESETS.map((p) => presetRow(p));
  switch (output) {
    case 'table':
      return table(cells(rows));
    case 'json':
      return `${JSON.stringify({ presets: rows }, null, 2)}\n`;
    case 'yaml':
      return stringify({ presets: rows });
  }
}

type Options = { readonly output?: Output; readonly systemNamespaces?: readonly string[] };

const wrongUsage = (message: string): CommandResult => ({ code: 2, stderr: `error: ${message}\n` });

/** The policy with a parameter: its comments are gone, since it is no longer the text of the file. */
function withParameter(preset: Preset, systemNamespaces: readonly string[]): string {
  const head = `# preset: ${preset.name}\n# version: ${preset.version}\n# systemNamespaces: ${systemNamespaces.join(', ')}\n`;
  return head + emitPolicyText(presetPolicy(preset.name, { systemNamespaces }));
}

function show(preset: Preset, { output, systemNamespaces }: Options): CommandResult {
  if (systemNamespaces !== undefined && preset.name !== 'basic')
    return wrongUsage(`only the preset 'basic' has system namespaces`);
  const params = systemNamespaces === undefined ? {} : { systemNamespaces };
  if (output === 'json') {
    const policy = presetPolicy(preset.name, params);
    return { code: 0, stdout: `${JSON.stringify({ ...presetRow(preset, policy), policy }, null, 2)}\n` };
  }
  return { code: 0, stdout: systemNamespaces === undefined ? preset.source : withParameter(preset, systemNamespaces) };
}

function presets(name: string | undefined, options: Options): CommandResult {
  if (name !== undefined) {
    const preset = PRESETS.find((p) => p.name === name);
    if (preset !== undefined) return show(preset, options);
    return wrongUsage(`no preset is called '${name}': ${PRESET_NAMES.join(', ')}${didYouMean(name, PRESET_NAMES)}`);
  }
  if (options.systemNamespaces !== undefined)
    return wrongUsage('--system-namespaces needs the name of a preset: basic');
  return { code: 0, stdout: list(options.output ?? 'table') };
}

/** DNS labels: anything else is no namespace, and `d8-*` would match nothing. */
function namespaces(v: string): readonly string[] {
  const names = v.split(',').filter((n) => n !== '');
  const odd = names.find((n) => !/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(n));
  if (odd !== undefined) throw new InvalidArgumentError(`'${odd}' is no namespace; there are no wildcards.`);
  return names;
}

export const run: CommandModule['run'] = (args) => {
  const program = command('presets', 'list the policies that ship here, or print one')
    .argument('[name]', 'print this preset as YAML')
    .option('-o, --output <format>', 'table, json or yaml', choice(OUTPUTS))
    .option('--system-namespaces <names>', 'for basic: all system namespaces, comma-separated, in full', namespaces)
    .addHelpText('after', EXAMPLES);
  return runCommand(program, args, (p) => Promise.resolve(presets(p.args[0], p.opts<Options>())));
};
