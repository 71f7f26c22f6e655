/**
 * The policies that ship here, by name. Each is a YAML file that a person can read (presets/*.yaml): its first lines say
 * what it is called, which version it has and what it does, and every rule has a comment. They are loaded as an API
 * server loads them, for the oldest version that is supported, so that one text serves all.
 * Refused: text substitution. The parameter of `basic` is put into the loaded policy.
 * Used by the config room (an AuditConfig's `policy.preset`), `auditconfig presets`, and the documentation's test.
 */
import type { Policy, Rule } from '../api/audit.ts';
import { PRESET_NAMES } from '../api/preset-names.ts';
import type { PresetName } from '../api/preset-names.ts';
import { OLDEST } from '../api/versions.ts';
import { loadPolicy } from './load.ts';
import allRequestBodies from './presets/all-request-bodies.yaml';
import balanced from './presets/balanced.yaml';
import basic from './presets/basic.yaml';
import defaultProfile from './presets/default.yaml';
import metadata from './presets/metadata.yaml';
import minimal from './presets/minimal.yaml';
import none from './presets/none.yaml';
import recommended from './presets/recommended.yaml';
import sample from './presets/sample.yaml';
import writeRequestBodies from './presets/write-request-bodies.yaml';

export { PRESET_NAMES } from '../api/preset-names.ts';
export type { PresetName } from '../api/preset-names.ts';

const SOURCES: Readonly<Record<PresetName, string>> = {
  balanced,
  metadata,
  minimal,
  recommended,
  basic,
  sample,
  default: defaultProfile,
  'write-request-bodies': writeRequestBodies,
  'all-request-bodies': allRequestBodies,
  none,
};

/** `version` grows whenever a decision of the preset changes; `source` is the file's text. */
export type Preset = {
  readonly name: PresetName;
  readonly version: number;
  readonly summary: string;
  readonly origin: string;
  readonly source: string;
};

/** A line `# field: value` of the file's head. */
function headerOf(source: string, field: string): string {
  const m = new RegExp(`^# ${field}: (.+)$`, 'm').exec(source);
  if (m?.[1] === undefined) throw new Error(`a preset has no line '# ${field}: ...'`);
  return m[1];
}

export const PRESETS: readonly Preset[] = PRESET_NAMES.map((name) => ({
  name,
  version: Number(headerOf(SOURCES[name], 'version')),
  summary: headerOf(SOURCES[name], 'summary'),
  origin: headerOf(SOURCES[name], 'origin'),
  source: SOURCES[name],
}));

export const isPresetName = (name: string): name is PresetName => PRESET_NAMES.some((n) => n === name);

/** The YAML text of a preset, comments and all. */
export const presetSource = (name: PresetName): string => SOURCES[name];

export type PresetParams = {
  /**
   * For `basic`: all system namespaces, by their full names, instead of those in its file. A policy has no wildcard for
   * namespaces. Empty: no namespace is a system namespace. The other presets have no parameters.
   */
  readonly systemNamespaces?: readonly string[];
};

const accountsOf = (namespace: string): string => `system:serviceaccounts:${namespace}`;

/** The rules of `basic` that take the parameter are those that name kube-system; without a name such a rule is gone. */
function withSystemNamespaces(rule: Rule, namespaces: readonly string[]): readonly Rule[] {
  const byAccounts = rule.userGroups.includes(accountsOf('kube-system'));
  const byNamespace = rule.namespaces.includes('kube-system');
  if (!byAccounts && !byNamespace) return [rule];
  // An empty list would match everything.
  if (namespaces.length === 0) return [];
  return [
    {
      ...rule,
      ...(byAccounts ? { userGroups: namespaces.map(accountsOf) } : {}),
      ...(byNamespace ? { namespaces } : {}),
    },
  ];
}

/** A preset as policy data. Throws only if a file that ships here does not load, which a test rules out. */
export function presetPolicy(name: PresetName, params: PresetParams = {}): Policy {
  const { policy, findings } = loadPolicy(new TextEncoder().encode(SOURCES[name]), OLDEST);
  if (policy === undefined) throw new Error(`preset ${name}: ${findings.map((f) => f.message).join('; ')}`);
  if (name !== 'basic' || params.systemNamespaces === undefined) return policy;
  const namespaces = [...new Set(params.systemNamespaces)];
  return { ...policy, rules: policy.rules.flatMap((r) => withSystemNamespaces(r, namespaces)) };
}
