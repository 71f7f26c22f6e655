/**
 * Can this AuditConfig be acted upon? An ordered array of small checks; the first that fails is the verdict, and then
 * no node is touched: what ran keeps running. The last check renders, so that an accepted spec always has a revision
 * (or is a removal). Called by decide.ts; `render` and `lint` say the same through the same rooms.
 */
import { isNodeTarget } from '../api/auditconfig-target.ts';
import { unsupportedFields } from '../api/auditconfig-unsupported.ts';
import type { AuditConfig } from '../api/auditconfig.ts';
import type { Reasons, Verdict } from '../api/conditions.ts';
import type { Finding } from '../api/findings.ts';
import { hasErrors } from '../api/findings.ts';
import { minorNumber, parseMinor } from '../api/versions.ts';
import type { Minor } from '../api/versions.ts';
import { binds, mergeDatacenters, withoutOwnWebhook } from '../config/datacenter.ts';
import { isEnforced, layerName } from '../config/merge.ts';
import { parseAuditConfig } from '../config/parse.ts';
import type { DatacenterEffect, EffectiveConfig } from '../config/types.ts';
import type { Reference, References } from '../render/references.ts';
import { buildRevision } from '../render/revision.ts';
import { Secret } from '../render/types.ts';
import type { Revision, Shipping } from '../render/types.ts';
import type { HostedView } from '../targets/hosted.ts';
import { managedView, ownerFor, shipsInPodOf } from '../targets/managed.ts';
import { refusedBlocking } from './blocking-mode.ts';
import { saltedFor } from './carried.ts';
import { referenceKey } from './facts.ts';
import type { Facts, WorkloadFact } from './facts.ts';
import { planFor } from './hosted/plan.ts';
import { isKeepable } from '../render/last-valid.ts';
import type { Own } from '../render/last-valid.ts';

export type Accepted = {
  readonly verdict: Verdict<'Accepted'>;
  /** There where the verdict is True. */
  readonly effective?: DatacenterEffect;
  /** There where the verdict is True and state is Enabled. */
  readonly revision?: Revision;
  /** What is shipped; of a hosted control plane it is a part of the revision too. */
  readonly shipping?: Shipping;
  readonly findings: readonly Finding[];
  /** Not accepted, and rolled out nevertheless, for a datacenter's sake: over the owner's last valid settings, or none. */
  readonly keeps?: 'LastValid' | 'Nothing';
  /** What was decided without the owner's last valid settings, which are to be had. */
  readonly needsLastValid?: boolean;
  /** Valid settings to be kept for later. */
  readonly own?: Own;
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
  const hosted = hostedViewOf(facts);
  if (hosted !== undefined)
    return [parseMinor(/:(v?1\.[^@/:]+)(?:@.*)?$/.exec(hosted.image)?.[1] ?? '') ?? facts.serverVersion];
  const reported = facts.nodes.flatMap((n) => parseMinor(n.auditNode?.status.kubernetesVersion ?? '') ?? []);
  const all = new Set(reported.length === 0 ? [facts.serverVersion] : reported);
  return [...all].sort((a, b) => minorNumber(a) - minorNumber(b));
}

type Check = (config: AuditConfig, facts: Facts) => Accepted | undefined;

const supported: Check = (config) => {
  const findings = unsupportedFields(config.spec);
  return findings.length === 0 ? undefined : refuse('Unsupported', sentence(findings), findings);
};

/** A decision asks several times, and all of a workload is hashed for it. Facts are never changed. */
const VIEWS = new WeakMap<WorkloadFact, { readonly view: HostedView | undefined }>();

/** What a hosted target's workload says; undefined for others, and for one that is not there or is refused. */
export function hostedViewOf({ workload }: Facts): HostedView | undefined {
  if (workload === undefined) return undefined;
  const known = VIEWS.get(workload);
  if (known !== undefined) return known.view;
  const seen = managedView({ workload: workload.object }, workload.spec);
  const view = 'ok' in seen ? seen.ok : undefined;
  VIEWS.set(workload, { view });
  return view;
}

const inOperatorNamespace: Check = (config, { meta, settings }) =>
  meta.namespace === settings.operatorNamespace || !isNodeTarget(config.spec.target.type)
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

const noRivalForWorkload: Check = (_config, { meta, workload }) =>
  workload === undefined || workload.claimant.uid === meta.uid
    ? undefined
    : refuse(
        'TargetConflict',
        `${workload.spec.kind} ${workload.name} is configured by the older AuditConfig ${workload.claimant.key}; delete one of them`,
      );

const inHome: Check = (_config, { meta, workload }) => {
  const home = workload === undefined ? undefined : ownerFor(workload.spec.kind)?.api.home?.(workload.name);
  return workload === undefined || home === undefined || home === meta.namespace
    ? undefined
    : refuse(
        'NamespaceNotAllowed',
        `what configures ${workload.spec.kind} ${workload.name} belongs into its own namespace '${home}'; this AuditConfig is in '${meta.namespace}'`,
      );
};

const CHECKS: readonly Check[] = [supported, inOperatorNamespace, inHome, noRival, noRivalForWorkload];

/** Which reason a finding of rendering stands for, by its code; the first row that has it counts. */
const REASONS: readonly (readonly [RegExp, Reasons['Accepted']])[] = [
  [/^Reference(NotFound|KeyNotFound)$/, 'ReferenceNotFound'],
  [/^ReferenceForbidden$/, 'ReferenceForbidden'],
  [/^Reference/, 'ReferenceUnreadable'],
  [/^OwnerCannotExpress$/, 'Unsupported'],
];

export function reasonOf(findings: readonly Finding[]): Reasons['Accepted'] {
  const first = findings.find((f) => f.severity === 'error');
  if (first === undefined) return 'InvalidSettings';
  const row = REASONS.find(([code]) => code.test(first.code));
  if (row !== undefined) return row[1];
  if (first.path.startsWith('spec.policy') || first.path.startsWith('policy')) return 'InvalidPolicy';
  return first.path.startsWith('spec.webhook') || first.path.startsWith('webhook')
    ? 'InvalidWebhook'
    : 'InvalidSettings';
}

/** What an effective config refers to: a datacenter's objects have a namespace, the AuditConfig's are its own. */
function referencesOf({ spec }: EffectiveConfig, own: References, { governed }: Facts): References {
  const { reference } = spec.policy;
  const hook = spec.webhook?.secretRef;
  const theirs = (kind: string, namespace: string, name: string): Reference | undefined =>
    governed?.references.get(referenceKey(kind, namespace, name));
  const policy =
    reference?.namespace === undefined ? own.policy : theirs(reference.kind, reference.namespace, reference.name);
  const webhook = hook?.namespace === undefined ? own.webhook : theirs('Secret', hook.namespace, hook.name);
  return { ...(policy === undefined ? {} : { policy }), ...(webhook === undefined ? {} : { webhook }) };
}

/** Pods resolve names of the cluster; nodes, and pods on a node's network, do not. */
const networkOf = (facts: Facts): { network?: 'Pod' } =>
  facts.workload !== undefined && hostedViewOf(facts)?.hostNetwork !== true ? { network: 'Pod' } : {};

const rememberedOf = ({ renderPolicy }: Facts['settings']): Pick<Facts['settings'], 'renderPolicy'> =>
  renderPolicy === undefined ? {} : { renderPolicy };

const DESTINATION = 'WebhookDestination';

/** A webhook that sends to where a datacenter does not let it is left out, as a field is that is not allowed. */
function rendered(own: Own, facts: Facts): Accepted {
  const datacenters = facts.governed?.datacenters ?? [];
  const first = renderedFrom(mergeDatacenters(own.spec, datacenters), own, facts);
  const refused = first.findings.filter((f) => f.code === DESTINATION);
  const without = refused.length === 0 ? undefined : withoutOwnWebhook(own.spec, datacenters);
  if (without === undefined) return first;
  return renderedFrom(
    without,
    own,
    facts,
    refused.map((f) => ({ ...f, severity: 'warning' })),
  );
}

/** Before its digest is said anywhere. */
function withSalt(revision: Revision, { credentialsKey }: Facts['settings']): Revision {
  const { credentials, webhook } = revision;
  if (credentials === undefined || webhook === undefined || credentialsKey === undefined) return revision;
  // Of the kubeconfig, not of the revision: another policy changes no Secret that pods read.
  return { ...revision, credentials: new Secret(saltedFor(credentials.reveal(), webhook, { credentialsKey })) };
}

function renderedFrom(effective: DatacenterEffect, own: Own, facts: Facts, said: readonly Finding[] = []): Accepted {
  if (effective.spec.state === 'Disabled') {
    const by = effective.provenance['state']?.set.from === 'AuditConfig' ? 'spec.state' : 'a datacenter';
    return { verdict: valid(`auditing is disabled by ${by}`, []), effective, findings: [] };
  }
  const unfit = inexpressible(effective, facts);
  if (hasErrors(unfit)) return refuse(reasonOf(unfit), sentence(unfit), unfit);
  const blocking = refusedBlocking(effective, facts);
  if (blocking !== undefined) return refuse(blocking.reason, sentence([blocking.finding]), [blocking.finding]);
  const versions = versionsOf(facts);
  const input = {
    effective,
    references: referencesOf(effective, own.references, facts),
    versions,
    now: facts.now,
    ...rememberedOf(facts.settings),
    ...networkOf(facts),
    ...(facts.workload !== undefined && shipsInPodOf(facts.workload.spec) ? { shipper: 'InPod' as const } : {}),
  };
  const built = buildRevision(input);
  const { shipping, changesAt } = built;
  const revision = built.revision === undefined ? undefined : withSalt(built.revision, facts.settings);
  const owner = facts.workload === undefined ? undefined : ownerFor(facts.workload.spec.kind);
  const unsaid = revision === undefined ? [] : (owner?.judge?.(revision) ?? []);
  const findings = [...said, ...built.findings, ...unsaid];
  const later = changesAt === undefined ? {} : { changesAt };
  if (revision === undefined || hasErrors(findings))
    return { ...refuse(reasonOf(findings), sentence(findings), findings), ...later };
  const all = [...unfit, ...findings];
  const verdict = valid(`valid for Kubernetes ${versions.join(', ')}${notCounting(effective)}`, all);
  const ships = shipping === undefined ? {} : { shipping };
  return { verdict, effective, revision, ...ships, findings: all, ...later };
}

/** What an owner's API has no place for. A datacenter's defaults are for all control planes: there it is only said. */
function inexpressible({ spec, provenance }: EffectiveConfig, { workload }: Facts): readonly Finding[] {
  const owner = workload === undefined ? undefined : ownerFor(workload.spec.kind);
  return (owner?.cannot ?? []).flatMap(({ path, why, isFine }): Finding[] => {
    const hit = Object.keys(provenance).find((p) => {
      const isBuiltIn = provenance[p]?.set.from === 'BuiltIn';
      return !isBuiltIn && (p === path || p.startsWith(`${path}.`)) && isFine?.(valueAt(spec, path)) !== true;
    });
    const by = hit === undefined ? undefined : provenance[hit]?.set;
    if (hit === undefined || by === undefined || workload === undefined) return [];
    const message = `spec.${hit} has no place in a ${workload.spec.kind}: ${why}`;
    const isDefault = by.from === 'Datacenter' && by.part === 'defaults';
    return [{ severity: isDefault ? 'warning' : 'error', code: 'OwnerCannotExpress', path: `spec.${hit}`, message }];
  });
}

const valueAt = (v: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((o, k) => (typeof o === 'object' && o !== null ? Reflect.get(o, k) : undefined), v);

/** What the owner wrote and does not count is said where the owner looks. */
function notCounting({ ignored, provenance }: DatacenterEffect): string {
  const overridden = Object.entries(provenance).flatMap(([path, { set, overrode }]) =>
    isEnforced(set) && overrode.some((l) => l.from === 'AuditConfig') ? [{ path, by: set }] : [],
  );
  const all = [...ignored, ...overridden].map(({ path, by }) => `spec.${path} (${layerName(by)})`);
  if (all.length === 0) return '';
  const more = all.length > 8 ? ` and ${all.length - 8} more` : '';
  return `; datacenters leave no effect to ${all.slice(0, 8).join(', ')}${more}`;
}

/** Warnings do not refuse, but they are said: nobody runs `lint` on what `kubectl apply` took. */
export function valid(what: string, findings: readonly Finding[]): Verdict<'Accepted'> {
  const warnings = findings.filter((f) => f.severity === 'warning');
  const told = warnings.slice(0, 3).map((f) => `${f.message} (${f.code})`);
  const more = warnings.length > 3 ? ` and ${warnings.length - 3} more` : '';
  const message = warnings.length === 0 ? what : `${what}; warnings: ${told.join('; ')}${more}`;
  return { type: 'Accepted', status: 'True', reason: 'Valid', message };
}

const NOTHING: Own = { spec: {}, references: {} };

function judge(config: AuditConfig, facts: Facts): Accepted {
  for (const check of CHECKS) {
    const refused = check(config, facts);
    if (refused !== undefined) return refused;
  }
  const { target: _target, ...spec } = config.spec;
  const own: Own = { spec, references: facts.references };
  const { governed } = facts;
  // An owner's pause holds back what the owner changes, and nothing that a datacenter does.
  const held = spec.rollout?.paused === true && isBound(facts);
  if (held) return { ...rendered(lastValidOf(facts) ?? own, facts), needsLastValid: isUnread(facts) };
  const judged = rendered(own, facts);
  return judged.verdict.status === 'True' && governed !== undefined && isKeepable(own) ? { ...judged, own } : judged;
}

const isBound = ({ governed }: Facts): boolean => governed?.datacenters.some((d) => binds(d.content)) ?? false;

const lastValidOf = ({ governed }: Facts): Own | undefined =>
  governed?.lastValid === 'Lost' ? undefined : governed?.lastValid;
/** It is kept somewhere, and has not been read. */
const isUnread = ({ governed, status }: Facts): boolean =>
  governed?.lastValid === undefined && status.lastValid !== undefined;

/** Why the workload takes nothing of a revision that would render; nothing where it is no workload to begin with. */
function untaken({ revision }: Accepted, facts: Facts): readonly Finding[] {
  const { workload } = facts;
  if (revision === undefined || workload === undefined || hostedViewOf(facts) === undefined) return [];
  const plan = planFor(revision, workload);
  return 'refused' in plan ? plan.refused : [];
}

/** Settings that load, and that the workload does not take, hold a datacenter's back no more than others: unless it takes none. */
function takenBy(judged: Accepted, facts: Facts): Accepted {
  const why = untaken(judged, facts);
  if (why.length === 0) return judged;
  const instead = kept(refuse('InvalidSettings', sentence(why), why), facts);
  return instead.keeps === undefined || untaken(instead, facts).length > 0 ? judged : instead;
}

/** Refusals that are about whose nodes these are, not about what is set for them. */
const NOT_SETTINGS: ReadonlySet<string> = new Set<Reasons['Accepted']>(['TargetConflict', 'NamespaceNotAllowed']);

/**
 * What a datacenter wants does not wait for an owner who wrote something that does not do: the owner's last valid
 * settings stay, or none of them. Where not even that does, nothing changes.
 */
function kept(refused: Accepted, facts: Facts): Accepted {
  const lastValid = lastValidOf(facts);
  const again = lastValid === undefined ? undefined : rendered(lastValid, facts);
  const isUsable = again?.verdict.status === 'True' && untaken(again, facts).length === 0;
  const usable = again !== undefined && isUsable ? again : rendered(NOTHING, facts);
  if (usable.verdict.status !== 'True') return refused;
  const keeps = usable === again ? 'LastValid' : 'Nothing';
  return { ...usable, verdict: refused.verdict, findings: refused.findings, keeps, needsLastValid: isUnread(facts) };
}

export function accept(facts: Facts): Accepted {
  const [lost] = facts.governed?.unreadable ?? [];
  if (lost !== undefined)
    return refuse(
      'DatacenterUnreadable',
      `what DatacenterAuditConfig ${lost} said counts, and cannot be read; make it anew, and delete it where it is to go`,
    );
  const { config, findings } = parseAuditConfig(facts.object);
  const judged = config === undefined ? refuse('InvalidSpec', sentence(findings), findings) : judge(config, facts);
  const { status, reason } = judged.verdict;
  if (NOT_SETTINGS.has(reason) || !isBound(facts)) return judged;
  return status === 'True' ? takenBy(judged, facts) : kept(judged, facts);
}
