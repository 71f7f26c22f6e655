/**
 * Can this AuditConfig be acted upon? An ordered array of small checks; the first that fails is the verdict, and then
 * no node is touched: what ran keeps running. The last check renders, so that an accepted spec always has a revision
 * (or is a removal). Called by decide.ts; `render` and `lint` say the same through the same rooms.
 */
import { unsupportedFields } from '../api/auditconfig-unsupported.ts';
import type { AuditConfig } from '../api/auditconfig.ts';
import type { Reasons, Verdict } from '../api/conditions.ts';
import type { Finding } from '../api/findings.ts';
import { hasErrors } from '../api/findings.ts';
import { minorNumber, parseMinor } from '../api/versions.ts';
import type { Minor } from '../api/versions.ts';
import { mergeLayers } from '../config/merge.ts';
import { parseAuditConfig } from '../config/parse.ts';
import type { EffectiveConfig } from '../config/types.ts';
import { buildRevision } from '../render/revision.ts';
import type { Revision } from '../render/types.ts';
import type { Facts } from './facts.ts';

export type Accepted = {
  readonly verdict: Verdict<'Accepted'>;
  /** There where the verdict is True. */
  readonly effective?: EffectiveConfig;
  /** There where the verdict is True and state is Enabled. */
  readonly revision?: Revision;
  readonly findings: readonly Finding[];
  /** When the same facts will be judged otherwise: a certificate ends. ms since the epoch. */
  readonly changesAt?: number;
};

const refuse = (reason: Reasons['Accepted'], message: string, findings: readonly Finding[] = []): Accepted => ({
  verdict: { type: 'Accepted', status: 'False', reason, message },
  findings,
});

/** What a person needs to go and mend it; findings about referenced objects name line and column. At most five. */
export function sentence(findings: readonly Finding[]): string {
  const errors = findings.filter((f) => f.severity === 'error');
  const told = errors.slice(0, 5).map((f) => `${f.message} (${f.code})`);
  return [...told, ...(errors.length > 5 ? [`and ${errors.length - 5} more`] : [])].join('; ');
}

/** Versions that run on this control plane, oldest first; the controller's own API server speaks for silent nodes. */
export function versionsOf(facts: Facts): readonly Minor[] {
  const reported = facts.nodes.flatMap((n) => parseMinor(n.auditNode?.status.kubernetesVersion ?? '') ?? []);
  const all = new Set(reported.length === 0 ? [facts.serverVersion] : reported);
  return [...all].sort((a, b) => minorNumber(a) - minorNumber(b));
}

type Check = (config: AuditConfig, facts: Facts) => Accepted | undefined;

const supported: Check = (config) => {
  const findings = unsupportedFields(config.spec);
  return findings.length === 0 ? undefined : refuse('Unsupported', sentence(findings), findings);
};

const inOperatorNamespace: Check = (_config, { meta, settings }) =>
  meta.namespace === settings.operatorNamespace
    ? undefined
    : refuse(
        'NamespaceNotAllowed',
        `targets on nodes belong into the operator's namespace '${settings.operatorNamespace}', where only its administrators can write; this AuditConfig is in '${meta.namespace}'`,
      );

const noRival: Check = (_config, { meta, nodes }) => {
  const taken = nodes.filter((n) => n.matches && n.claimant.uid !== meta.uid);
  const first = taken[0];
  if (first === undefined) return undefined;
  const more = taken.length === 1 ? '' : ` and ${taken.length - 1} more`;
  return refuse(
    'TargetConflict',
    `node ${first.name}${more} is configured by the older AuditConfig ${first.claimant.key}; delete that one, or choose other nodes with target.staticPod.nodeSelector`,
  );
};

const CHECKS: readonly Check[] = [supported, inOperatorNamespace, noRival];

/** Which reason a finding of rendering stands for, by its code; the first row that has it counts. */
const REASONS: readonly (readonly [RegExp, Reasons['Accepted']])[] = [
  [/^Reference(NotFound|KeyNotFound)$/, 'ReferenceNotFound'],
  [/^ReferenceForbidden$/, 'ReferenceForbidden'],
  [/^Reference/, 'ReferenceUnreadable'],
];

function reasonOf(findings: readonly Finding[]): Reasons['Accepted'] {
  const first = findings.find((f) => f.severity === 'error');
  if (first === undefined) return 'InvalidSettings';
  const row = REASONS.find(([code]) => code.test(first.code));
  if (row !== undefined) return row[1];
  if (first.path.startsWith('spec.policy') || first.path.startsWith('policy')) return 'InvalidPolicy';
  return first.path.startsWith('spec.webhook') || first.path.startsWith('webhook')
    ? 'InvalidWebhook'
    : 'InvalidSettings';
}

function rendered(config: AuditConfig, facts: Facts): Accepted {
  const { target: _target, ...spec } = config.spec;
  const effective = mergeLayers([{ layer: { from: 'AuditConfig' }, spec }]);
  if (effective.spec.state === 'Disabled')
    return { verdict: valid('auditing is disabled by spec.state', []), effective, findings: [] };
  const versions = versionsOf(facts);
  const input = { effective, references: facts.references, versions, now: facts.now };
  const { revision, findings, changesAt } = buildRevision(input);
  const later = changesAt === undefined ? {} : { changesAt };
  if (revision === undefined || hasErrors(findings))
    return { ...refuse(reasonOf(findings), sentence(findings), findings), ...later };
  const verdict = valid(`valid for Kubernetes ${versions.join(', ')}`, findings);
  return { verdict, effective, revision, findings, ...later };
}

/** Warnings do not refuse, but they are said: nobody runs `lint` on what `kubectl apply` took. */
function valid(what: string, findings: readonly Finding[]): Verdict<'Accepted'> {
  const warnings = findings.filter((f) => f.severity === 'warning');
  const told = warnings.slice(0, 3).map((f) => `${f.message} (${f.code})`);
  const more = warnings.length > 3 ? ` and ${warnings.length - 3} more` : '';
  const message = warnings.length === 0 ? what : `${what}; warnings: ${told.join('; ')}${more}`;
  return { type: 'Accepted', status: 'True', reason: 'Valid', message };
}

export function accept(facts: Facts): Accepted {
  const { config, findings } = parseAuditConfig(facts.object);
  if (config === undefined) return refuse('InvalidSpec', sentence(findings), findings);
  for (const check of CHECKS) {
    const refused = check(config, facts);
    if (refused !== undefined) return refused;
  }
  return rendered(config, facts);
}
