/**
 * Can this DatacenterAuditConfig be acted upon? Judged alone, over an AuditConfig that says nothing: its rules load, its
 * references are there, its settings go together. A False one changes no control plane: what it said before counts on.
 * Called by datacenter.ts and without a cluster.
 */
import { unsupportedFields } from '../api/auditconfig-unsupported.ts';
import type { Verdict } from '../api/conditions.ts';
import type { DatacenterAuditConfigSpec } from '../api/datacenterauditconfig.ts';
import type { Finding } from '../api/findings.ts';
import { hasErrors } from '../api/findings.ts';
import type { Minor } from '../api/versions.ts';
import { contentOf, mergeDatacenters } from '../config/datacenter.ts';
import { parseDatacenter } from '../config/parse.ts';
import { exemptionPhase } from '../config/selection.ts';
import type { EffectiveConfig } from '../config/types.ts';
import type { Reference, References } from '../render/references.ts';
import type { RenderPolicy } from '../render/policy-memo.ts';
import { buildRevision } from '../render/revision.ts';
import { reasonOf, sentence, valid } from './accept.ts';
import { referenceKey } from './facts.ts';

export type DatacenterInput = {
  readonly name: string;
  readonly object: unknown;
  readonly references: ReadonlyMap<string, Reference>;
  readonly versions: readonly Minor[];
  readonly now: number;
  /** Remembers policies that were rendered before. */
  readonly renderPolicy?: RenderPolicy;
};
export type AcceptedDatacenter = {
  readonly verdict: Verdict<'Accepted'>;
  /** There where it can be read. */
  readonly spec?: DatacenterAuditConfigSpec;
  readonly findings: readonly Finding[];
};

const unsupported = (spec: DatacenterAuditConfigSpec): readonly Finding[] => [
  ...(['defaults', 'enforced'] as const).flatMap((part) =>
    unsupportedFields({ ...spec[part], target: { type: 'StaticPod' } }).map((f) => ({
      ...f,
      path: f.path.replace(/^spec/, `spec.${part}`),
      message: f.message.replace(/^spec/, `spec.${part}`),
    })),
  ),
];

/** What an effective config refers to, where all of it is a datacenter's. */
export function theirReferences({ spec }: EffectiveConfig, all: ReadonlyMap<string, Reference>): References {
  const of = (kind: string, ref: { readonly namespace?: string; readonly name: string } | undefined) =>
    ref === undefined ? undefined : all.get(referenceKey(kind, ref.namespace ?? '', ref.name));
  const { reference } = spec.policy;
  const policy = of(reference?.kind ?? '', reference);
  const webhook = of('Secret', spec.webhook?.secretRef);
  return { ...(policy === undefined ? {} : { policy }), ...(webhook === undefined ? {} : { webhook }) };
}

export function acceptDatacenter(input: DatacenterInput): AcceptedDatacenter {
  const { datacenter, findings } = parseDatacenter(input.object);
  const refuse = (reason: Verdict<'Accepted'>['reason'], why: readonly Finding[]): AcceptedDatacenter => ({
    verdict: { type: 'Accepted', status: 'False', reason, message: sentence(why) },
    ...(datacenter === undefined ? {} : { spec: datacenter.spec }),
    findings: why,
  });
  if (datacenter === undefined) return refuse('InvalidSpec', findings);
  const { spec } = datacenter;
  const not = unsupported(spec);
  if (not.length > 0) return refuse('Unsupported', not);
  const content = contentOf(spec);
  // What is switched off is judged too: it is switched on again some day.
  const on = { ...content, enforced: { ...content.enforced, state: 'Enabled' as const } };
  const effective = mergeDatacenters({}, [{ name: input.name, content: on }]);
  const { versions, now, renderPolicy } = input;
  const rendered = buildRevision({
    effective,
    references: theirReferences(effective, input.references),
    versions,
    now,
    ...(renderPolicy === undefined ? {} : { renderPolicy }),
  });
  if (hasErrors(rendered.findings)) return refuse(reasonOf(rendered.findings), rendered.findings);
  const all = [...rendered.findings, ...exemptionFindings(spec, now)];
  return { verdict: valid(`valid for Kubernetes ${versions.join(', ')}`, all), spec, findings: all };
}

const exemptionFindings = (spec: DatacenterAuditConfigSpec, now: number): readonly Finding[] =>
  (spec.exemptions ?? []).flatMap((e, i): Finding[] => {
    const path = `spec.exemptions[${i}]`;
    if (exemptionPhase(e, now, spec.maxExemptionDays) !== 'TooLong') return [];
    const message = `${path}: ends at ${e.expirationTime}, more than maxExemptionDays ahead, and does not count`;
    return [{ severity: 'warning', code: 'ExemptionTooLong', path, message }];
  });
