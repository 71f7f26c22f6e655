/**
 * What a kube-apiserver would accept in silence and nobody means, in the rules that somebody wrote (not in presets):
 * above all own rules that something in front of them makes unreachable. Only warnings: a revision is rendered all the
 * same. Called when a policy has been composed, since only then is it known what stands in front of what.
 */
import type { Policy } from '../api/audit.ts';
import type { Finding, Position } from '../api/findings.ts';
import type { Minor } from '../api/versions.ts';
import type { Layer, LayerRules, ResolvedPolicy } from '../config/types.ts';
import { layerName } from '../config/merge.ts';
import { lintPolicy } from '../policy/lint.ts';

export type Composed = {
  /** Before sensitive bodies are capped: that inserts rules which nobody wrote. */
  readonly policy: Policy;
  readonly spec: ResolvedPolicy;
  /** The referenced policy's rules, and where each field of them stands. */
  readonly referenced?: { readonly rules: number; readonly positions: ReadonlyMap<string, Position> };
};
/** `referenced` findings have the path and the place of the referenced policy. */
export type Advice = { readonly own: readonly Finding[]; readonly referenced: readonly Finding[] };

const COUNTED = 'as counted in the whole policy, which `auditconfig render -o policy` prints';

/** Rules to look at beyond this many would make every reconcile slow. */
const MAX_RULES = 100;

/** Whose rules these are, as findings begin: `spec.policy` of the AuditConfig, or a datacenter's. */
export function ownerOf(layer: Layer): string {
  if (layer.from === 'AuditConfig') return 'spec.policy';
  const mandatory = layer.from === 'Datacenter' && layer.part === 'mandatoryRules';
  return `${layerName(layer)}${mandatory ? '' : ': policy'}`;
}

const presetUnreachable = (preset: string): Finding => ({
  severity: 'warning',
  code: 'PresetUnreachable',
  path: 'spec.policy.preset',
  message: `spec.policy.preset: nothing is left for the preset ${preset}: a rule in front of it takes every request. Take that rule out, or set the preset to ""`,
});

export function advise({ policy, spec, referenced }: Composed, version: Minor): Advice {
  if (policy.rules.length > MAX_RULES) return { own: [], referenced: [] };
  const ownersOf = (all: readonly LayerRules[]): readonly string[] =>
    all.flatMap(({ layer, rules }) => rules.map((_, i) => `${ownerOf(layer)}.rules[${i}]`));
  const front = ownersOf(spec.front);
  const owners = ownersOf(spec.rules);
  const foreign = referenced?.rules ?? 0;
  const before = spec.rulesPosition === 'Before';
  const ownFrom = before ? front.length : policy.rules.length - owners.length;
  const foreignFrom = front.length + (before ? owners.length : 0);
  const advice: { own: Finding[]; referenced: Finding[] } = { own: [], referenced: [] };
  const all = lintPolicy({ policy, findings: [], positions: new Map() }, version);
  const presetFrom = foreignFrom + foreign;
  const presetEnd = before ? policy.rules.length : ownFrom;
  const isDead = (i: number): boolean => all.some((f) => f.code === 'RuleAfterCatchAll' && f.path === `rules[${i}]`);
  // The first of them behind a catch-all means all of them; which a datacenter's own words may mean to be so.
  if (spec.preset !== undefined && presetFrom < presetEnd && isDead(presetFrom) && !isDead(front.length))
    advice.own.push(presetUnreachable(spec.preset));
  for (const found of all) {
    const f = /\brules\[/.test(found.message) ? { ...found, message: `${found.message} (${COUNTED})` } : found;
    const m = /^rules\[(\d+)\](.*)$/.exec(f.path);
    if (m === null || (f.code === 'SensitiveBodiesLogged' && spec.sensitiveBodies === 'Redact')) continue;
    const index = Number(m[1]);
    const owner = front[index] ?? owners[index - ownFrom];
    const rest = m[2] ?? '';
    if (owner !== undefined) advice.own.push({ ...f, path: `${owner}${rest}`, message: `${owner}: ${f.message}` });
    else if (index >= foreignFrom && index < foreignFrom + foreign) {
      const path = `rules[${index - foreignFrom}]`;
      const at = referenced?.positions.get(`${path}${rest}`) ?? referenced?.positions.get(path);
      advice.referenced.push({ ...f, path: `${path}${rest}`, ...(at === undefined ? {} : { at }) });
    }
  }
  return advice;
}
