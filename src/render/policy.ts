/**
 * The policy of a revision: preset, own rules and a referenced policy, composed, with sensitive bodies capped, written
 * anew, and loaded again for every version before it counts. User bytes never reach an API server. Refuses whatever
 * one of the versions would not load, with the place in the user's own words.
 */
import type { Policy } from '../api/audit.ts';
import type { PresetName } from '../api/preset-names.ts';
import { hasErrors } from '../api/findings.ts';
import type { Finding, Position } from '../api/findings.ts';
import type { Minor } from '../api/versions.ts';
import { canonicalJson } from '../config/canonical.ts';
import type { LayerRules, PolicyReference, ResolvedPolicy } from '../config/types.ts';
import { composePolicy } from '../policy/compose.ts';
import { emitPolicy } from '../policy/emit.ts';
import { loadForVersions } from '../policy/load.ts';
import { presetPolicy } from '../policy/presets.ts';
import { redactSensitive } from '../policy/redact.ts';
import type { Loaded } from '../policy/types.ts';
import { advise, ownerOf } from './advice.ts';
import { MAX_BUNDLE_BYTES } from './bundle/names.ts';
import { error, warning } from './findings.ts';
import type { RenderFinding, Source } from './findings.ts';
import { POLICY_KEYS, readReference } from './references.ts';
import type { Reference } from './references.ts';
import { ruleOf } from './rules.ts';

export type PolicyInput = {
  readonly spec: ResolvedPolicy;
  readonly reference?: Reference;
  readonly versions: readonly Minor[];
};
export type RenderedPolicy = { readonly bytes?: Uint8Array; readonly findings: readonly RenderFinding[] };

/** `bytes` are there exactly when no finding is an error. */
export function renderPolicy(input: PolicyInput): RenderedPolicy {
  const { spec, versions } = input;
  const own = [...spec.front, ...spec.rules].flatMap((layer) => ownRuleFindings(layer, versions));
  const referenced = spec.reference === undefined ? undefined : loadReference(spec.reference, input);
  const findings = [own, referenced?.findings ?? [], unusedParameter(spec)].flat();
  if (hasErrors(findings)) return { findings };
  const front = frontOf(spec);
  const rest = compose(spec, referenced?.policy);
  const composed = joined(front, rest);
  const policy = joined(redacted(front, spec.enforced.sensitiveBodies), redacted(rest, spec.sensitiveBodies));
  const bytes = emitPolicy(policy);
  // Before any advice: that about a policy beyond all bounds takes seconds, and nobody would read it.
  if (bytes.length > MAX_BUNDLE_BYTES) return { findings: [...findings, tooLarge(bytes)] };
  // flat() and not push(...): a policy that fits may have more findings than a call may have arguments.
  const all = [findings, adviceFor(spec, composed, referenced, versions), judge(policy, bytes, versions)].flat();
  return hasErrors(all) ? { findings: all } : { bytes, findings: all };
}

const tooLarge = (bytes: Uint8Array): RenderFinding =>
  error(
    'PolicyTooLarge',
    'spec.policy',
    `spec.policy: the whole policy has ${bytes.length} bytes; a ConfigMap holds ${MAX_BUNDLE_BYTES}`,
  );

const redacted = (policy: Policy, bodies: 'Redact' | 'Allow'): Policy =>
  bodies === 'Redact' ? redactSensitive(policy) : policy;
const joined = (front: Policy, rest: Policy): Policy => ({ ...rest, rules: [...front.rules, ...rest.rules] });

/** Mandatory and enforced rules, composed and capped apart: no setting of an AuditConfig has a part in it. */
const frontOf = ({ front, enforced }: ResolvedPolicy): Policy => {
  const of = (isMandatory: boolean) =>
    front.filter((f) => isMandatoryPart(f) === isMandatory).flatMap(({ rules }) => rules.map(ruleOf));
  const { omitStages } = enforced;
  return composePolicy({ mandatory: of(true), rules: of(false), rulesPosition: 'Before', omitStages });
};
const isMandatoryPart = ({ layer }: LayerRules): boolean =>
  layer.from === 'Datacenter' && layer.part === 'mandatoryRules';

function compose(spec: ResolvedPolicy, referenced: Policy | undefined): Policy {
  const { enforced } = spec;
  // The rest is capped as a whole where it is capped at all: an owner who wants bodies does not get those of what is enforced.
  const capped = (policy: Policy, isEnforced: boolean): Policy =>
    isEnforced && spec.sensitiveBodies === 'Allow' ? redacted(policy, enforced.sensitiveBodies) : policy;
  return composePolicy({
    enforced,
    rules: spec.rules.flatMap((layer) => layer.rules.map(ruleOf)),
    rulesPosition: spec.rulesPosition,
    ...(referenced === undefined ? {} : { referenced: capped(referenced, enforced.reference) }),
    ...(spec.preset === undefined ? {} : { preset: capped(presetOf(spec.preset, spec), enforced.preset) }),
    omitStages: spec.omitStages,
    ...(spec.omitManagedFields === undefined ? {} : { omitManagedFields: spec.omitManagedFields }),
  });
}

/** Fewer system namespaces are less of what an enforced preset records. */
function presetOf(preset: PresetName, { enforced, ...own }: ResolvedPolicy): Policy {
  const { systemNamespaces } = enforced.preset ? enforced : own;
  return presetPolicy(preset, systemNamespaces === undefined ? {} : { systemNamespaces });
}

/** Loads the bytes for every version; a finding that several versions have is given once, with the first's words. */
function loadForAll(bytes: Uint8Array, versions: readonly Minor[]): Loaded {
  const seen = new Map<string, Finding>();
  let first: Loaded | undefined;
  for (const [i, loaded] of loadForVersions(bytes, versions).entries()) {
    const version = versions[i];
    first ??= loaded;
    for (const f of loaded.findings) {
      const same = `${f.severity} ${f.code} ${f.path} ${f.at?.offset ?? ''}`;
      const where = f.severity === 'error' && versions.length > 1 ? ` (Kubernetes ${version})` : '';
      if (!seen.has(same)) seen.set(same, { ...f, message: `${f.message}${where}` });
    }
  }
  return { ...(first ?? { positions: new Map() }), findings: [...seen.values()] };
}

/** Own rules are checked by themselves, so that a finding names the rule as its author counts. */
function ownRuleFindings({ layer, rules }: LayerRules, versions: readonly Minor[]): RenderFinding[] {
  const bytes = emitPolicy({ rules: rules.map(ruleOf), omitStages: [], omitManagedFields: false });
  const prefix = ownerOf(layer);
  // Their place in what was just written is of no use to anybody.
  return loadForAll(bytes, versions).findings.map(({ at: _at, ...f }) => ({
    ...f,
    path: `${prefix}.${f.path}`,
    message: `${prefix}: ${f.message}`,
  }));
}

function loadReference(reference: PolicyReference, { reference: object, versions }: PolicyInput): Referenced {
  const path = reference.kind === 'Secret' ? 'spec.policy.secretRef' : 'spec.policy.configMapRef';
  const keys = reference.key === undefined ? POLICY_KEYS : [reference.key];
  const { kind, name, namespace } = reference;
  const read = readReference(object, { kind, name, ...(namespace === undefined ? {} : { namespace }), keys, path });
  if ('finding' in read) return { findings: [read.finding] };
  const { policy, positions, findings } = loadForAll(read.bytes, versions);
  const inSource = (f: Finding): RenderFinding =>
    read.source.kind === 'Secret' ? concealed(f, path, read.source) : placed(f, path, read.source);
  return { ...(policy === undefined ? {} : { policy }), positions, inSource, findings: findings.map(inSource) };
}

type Referenced = {
  readonly policy?: Policy;
  readonly positions?: ReadonlyMap<string, Position>;
  /** A finding about that policy as one about the AuditConfig. */
  readonly inSource?: (f: Finding) => RenderFinding;
  readonly findings: readonly RenderFinding[];
};

function adviceFor(
  spec: ResolvedPolicy,
  policy: Policy,
  referenced: Referenced | undefined,
  versions: readonly Minor[],
): readonly RenderFinding[] {
  const { policy: foreign, positions = new Map(), inSource = (f: Finding): RenderFinding => f } = referenced ?? {};
  const newest = versions.at(-1);
  if (newest === undefined) return [];
  const rules = foreign === undefined ? {} : { referenced: { rules: foreign.rules.length, positions } };
  const advice = advise({ policy, spec, ...rules }, newest);
  return [...advice.own, ...advice.referenced.map(inSource)];
}

const nameOf = (s: Source): string => `${s.kind} ${s.name}, key ${s.key}`;
const lineOf = (f: Finding): string => (f.at === undefined ? '' : `, line ${f.at.line}, column ${f.at.column}`);

const placed = (f: Finding, path: string, source: Source): RenderFinding => ({
  ...f,
  path: f.path === '' ? path : `${path}.${f.path}`,
  message: `${nameOf(source)}${lineOf(f)}: ${f.message}`,
  source,
});

/** Findings quote what they found, and a Secret's content is not ours to quote: its place and the code must do. */
const concealed = (f: Finding, path: string, source: Source): RenderFinding => ({
  severity: f.severity,
  code: f.code,
  path,
  message: `${nameOf(source)}${lineOf(f)}: ${f.code} (what stands there is not shown, because it is in a Secret)`,
  ...(f.at === undefined ? {} : { at: f.at }),
  source,
});

const unusedParameter = (spec: ResolvedPolicy): RenderFinding[] =>
  spec.systemNamespaces === undefined || spec.preset === 'basic'
    ? []
    : [
        warning(
          'ParameterUnused',
          'spec.policy.systemNamespaces',
          "spec.policy.systemNamespaces: only the preset 'basic' has system namespaces",
        ),
      ];

/** The last gate: what was written must mean what was composed, to every version that runs. */
function judge(policy: Policy, bytes: Uint8Array, versions: readonly Minor[]): RenderFinding[] {
  const path = 'spec.policy';
  const wanted = canonicalJson(policy);
  const reads = new Map<Policy, string>();
  return loadForVersions(bytes, versions).flatMap((loaded, i) => {
    const version = versions[i];
    if (loaded.policy === undefined)
      return [
        error(
          'RenderedPolicyInvalid',
          path,
          `${path}: the composed policy does not load on Kubernetes ${version}: ${loaded.findings.map((f) => f.code).join(', ')}`,
        ),
      ];
    const read = reads.get(loaded.policy) ?? canonicalJson(loaded.policy);
    reads.set(loaded.policy, read);
    if (read === wanted) return [];
    return [
      error(
        'RenderedPolicyInvalid',
        path,
        `${path}: the composed policy reads differently on Kubernetes ${version}; please report this`,
      ),
    ];
  });
}
