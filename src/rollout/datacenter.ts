/**
 * One DatacenterAuditConfig, the control planes that it concerns, and the time: what is to be done? Pure. Its content is
 * published under its digest before anybody takes it, so that a control plane knows what it was told even when the
 * datacenter is gone: absence removes nothing. Only a datacenter that is deleted in order leaves, wave by wave.
 */
import type { Condition, Moment, Verdict } from '../api/conditions.ts';
import { setCondition, withSummary } from '../api/conditions.ts';
import type { DatacenterAuditConfigSpec, DatacenterAuditConfigStatus } from '../api/datacenterauditconfig.ts';
import type { Minor } from '../api/versions.ts';
import { conflictsOf, contentDigest, contentOf } from '../config/datacenter.ts';
import { exemptionChangesIn, exemptionPhase } from '../config/selection.ts';
import type { Datacenter, DatacenterContent } from '../config/types.ts';
import { pinned } from '../render/pins.ts';
import type { RenderPolicy } from '../render/policy-memo.ts';
import type { Reference } from '../render/references.ts';
import { acceptDatacenter } from './accept-datacenter.ts';
import type { AcceptedDatacenter } from './accept-datacenter.ts';
import { FLEET_DEFAULTS, planFleet } from './fleet.ts';
import type { FleetRules, Member, Plan } from './fleet.ts';
import { timestamp } from './turn.ts';

/** An AuditConfig that this datacenter governs, or that still has something of it. */
export type MemberFact = Omit<Member, 'wants'> & {
  /** Selected, and not exempt. */
  readonly governed: boolean;
  readonly exempt: boolean;
  /** Why it failed, where it did. */
  readonly failure?: { readonly reason: string; readonly message: string };
};

export type DatacenterFacts = {
  readonly meta: {
    readonly name: string;
    readonly generation: number;
    readonly deleting: boolean;
    readonly hasFinalizer: boolean;
  };
  readonly object: unknown;
  readonly status: DatacenterAuditConfigStatus;
  /** Only asked while deleting. `Leaving`: the CRD itself is being deleted, which is no wish of anybody's. */
  readonly definition?: 'Served' | 'Leaving' | 'Unknown';
  readonly members: readonly MemberFact[];
  readonly references: ReadonlyMap<string, Reference>;
  /** Other datacenters that govern one of the members. */
  readonly neighbours: readonly Datacenter[];
  readonly versions: readonly Minor[];
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Remembers policies that were rendered before. */
  readonly renderPolicy?: RenderPolicy;
};

export type DatacenterDecision = {
  readonly finalizer: 'Keep' | 'Add' | 'Remove';
  readonly publish?: { readonly name: string; readonly content: DatacenterContent };
  /** Its content refers to objects: they are kept beside it as they are now, before it is published. */
  readonly keep?: { readonly digest: string; readonly content: DatacenterContent };
  readonly status?: DatacenterAuditConfigStatus;
  /** AuditConfigs that may take what it says now; all others keep what they have of it. */
  readonly admit: readonly string[];
  /** Digest of what those are to have; null: nothing of it. */
  readonly takes?: ReadonlyMap<string, string | null>;
  /** Everybody has what it says: what it said before may go. */
  readonly settled?: true;
  readonly requeueAfterMs?: number;
};

export const contentName = (digest: string): string => `auditconfig-datacenter-${digest.slice(0, 16)}`;

const DEFINITION_RETRY_MS = 10_000;
const MAX_FAILURES_TOLD = 20;

export function decideDatacenter(facts: DatacenterFacts): DatacenterDecision {
  const { meta, now } = facts;
  if (meta.deleting && (!meta.hasFinalizer || facts.definition === 'Leaving'))
    return { finalizer: meta.hasFinalizer ? 'Remove' : 'Keep', admit: [] };
  if (meta.deleting && facts.definition !== 'Served')
    return { finalizer: 'Keep', admit: [], requeueAfterMs: DEFINITION_RETRY_MS };
  const accepted = acceptDatacenter({ ...facts, name: meta.name });
  const content =
    accepted.verdict.status === 'True' && accepted.spec !== undefined
      ? pinned(contentOf(accepted.spec), facts.references)
      : undefined;
  const digest = content === undefined ? facts.status.content?.digest : contentDigest(content);
  // Where nothing that it said was ever valid (it was made anew, or came back without its status) nobody leaves for that.
  const members = facts.members.map((m): Member => ({
    ...m,
    wants: m.governed && !meta.deleting ? (digest ?? m.has) : null,
  }));
  const plan = planFleet(members, rulesOf(accepted.spec), now);
  if (meta.deleting && members.every((m) => m.has === null)) return { finalizer: 'Remove', admit: plan.admit };
  const admitted = new Set(plan.admit);
  const takes = new Map(members.filter((m) => admitted.has(m.key)).map((m) => [m.key, m.wants]));
  const status = statusOf(facts, accepted, { digest, members, plan });
  if (!meta.hasFinalizer && !meta.deleting)
    return { finalizer: 'Add', admit: [], status: { ...status, content: undefined } };
  const isNew = content !== undefined && digest !== undefined && digest !== facts.status.content?.digest;
  const later = [plan.afterMs, ...exemptionTimes(accepted.spec, now)].filter((ms) => ms !== undefined);
  return {
    finalizer: 'Keep',
    ...(isNew ? { publish: { name: contentName(digest), content } } : {}),
    ...(content?.references === undefined || digest === undefined ? {} : { keep: { digest, content } }),
    status,
    admit: plan.admit,
    takes,
    ...(plan.phase === 'Complete' && !isNew ? { settled: true as const } : {}),
    ...(later.length === 0 ? {} : { requeueAfterMs: Math.min(...later) }),
  };
}

const rulesOf = (spec: DatacenterAuditConfigSpec | undefined): FleetRules => ({
  maxUnavailable: spec?.rollout?.maxUnavailable ?? FLEET_DEFAULTS.maxUnavailable,
  maxFailures: spec?.rollout?.maxFailures ?? FLEET_DEFAULTS.maxFailures,
  paused: spec?.rollout?.paused ?? FLEET_DEFAULTS.paused,
  soakMs: (spec?.rollout?.canary?.soakSeconds ?? FLEET_DEFAULTS.soakSeconds) * 1000,
});

/** The longest wait that a timer can hold is 24 days; nobody minds being asked once a day. */
const DAY = 86_400_000;
const exemptionTimes = (spec: DatacenterAuditConfigSpec | undefined, now: number): readonly number[] =>
  (spec?.exemptions ?? []).flatMap((e) => {
    const ms = exemptionChangesIn(e, now, spec?.maxExemptionDays);
    return ms === undefined ? [] : [Math.min(ms + 1, DAY)];
  });

type Work = { readonly digest: string | undefined; readonly members: readonly Member[]; readonly plan: Plan };

function statusOf(facts: DatacenterFacts, accepted: AcceptedDatacenter, work: Work): DatacenterAuditConfigStatus {
  const { meta, now } = facts;
  const { digest } = work;
  const counts = countsOf(facts, work);
  const moment: Moment = { now: timestamp(now), generation: meta.generation };
  const verdicts: readonly Verdict[] = [
    accepted.verdict,
    rolledOut(work, counts, meta.deleting),
    conflicting(facts, accepted),
  ];
  const before: readonly Condition[] = facts.status.conditions ?? [];
  const set = verdicts.reduce((list, verdict) => setCondition(list, verdict, moment), before);
  const exemptions = (accepted.spec?.exemptions ?? []).map((e) => ({
    namespace: e.namespace,
    ...(e.name === undefined ? {} : { name: e.name }),
    phase: exemptionPhase(e, now, accepted.spec?.maxExemptionDays),
    expirationTime: e.expirationTime,
  }));
  return {
    observedGeneration: meta.generation,
    ...(digest === undefined ? {} : { content: { name: contentName(digest), digest } }),
    controlPlanes: counts,
    ...(exemptions.length === 0 ? {} : { exemptions }),
    conditions: [...withSummary(set, moment)],
  };
}

type Counts = NonNullable<DatacenterAuditConfigStatus['controlPlanes']>;

function countsOf({ members: facts }: DatacenterFacts, { members, plan }: Work): Counts {
  const there = members.filter((m) => m.has === m.wants && m.wants !== null);
  const selected = facts.filter((m) => m.governed).length;
  const ready = there.filter((m) => m.state === 'Ready').length;
  const failures = plan.failed.slice(0, MAX_FAILURES_TOLD).map((key) => {
    const { reason = 'Failed', message } = facts.find((m) => m.key === key)?.failure ?? {};
    return { name: key, reason, ...(message === undefined ? {} : { message: message.slice(0, 1024) }) };
  });
  return {
    selected,
    updated: there.length,
    ready,
    failed: plan.failed.length,
    exempt: facts.filter((m) => m.exempt).length,
    summary: `${ready}/${selected}`,
    ...(failures.length === 0 ? {} : { failures }),
  };
}

/** Whom the rest waits for: one that never comes is somebody's to look at. */
function whoIsNext({ members, plan }: Work): string {
  if (plan.admit.length > 0) return `next: ${plan.admit.slice(0, 5).join(', ')}`;
  const busy = members.filter((m) => m.state === 'Busy' || m.state === 'Failed').map((m) => m.key);
  const more = busy.length > 5 ? ` and ${busy.length - 5} more` : '';
  return `the rest waits for those on their way: ${busy.sort().slice(0, 5).join(', ')}${more}`;
}

function rolledOut(work: Work, c: Counts, deleting: boolean): Verdict<'RolledOut'> {
  const { plan } = work;
  const say = (
    status: 'True' | 'False',
    reason: Verdict<'RolledOut'>['reason'],
    message: string,
  ): Verdict<'RolledOut'> => ({ type: 'RolledOut', status, reason, message });
  const progress = deleting
    ? 'it is deleted, and leaves control planes wave by wave'
    : `${c.updated} of ${c.selected} control planes have it`;
  switch (plan.phase) {
    case 'Complete':
      if (c.selected === 0) return say('True', 'NoControlPlanes', 'it selects no AuditConfig');
      if (c.ready === c.updated) return say('True', 'Complete', `all ${c.selected} control planes have it, and run it`);
      return plan.failed.length > 0
        ? say('False', 'ControlPlaneFailed', `${progress}; failed: ${plan.failed.slice(0, 5).join(', ')}`)
        : say('False', 'Progressing', `${progress}, and ${c.ready} run it`);
    case 'Progressing':
    case 'Canary':
      return say('False', 'Progressing', `${progress}; ${whoIsNext(work)}`);
    case 'Soaking':
      return say('False', 'Soaking', `${progress}; the canaries have not been ready for long enough`);
    case 'Paused':
      return say('False', 'Paused', `${progress}; rollout.paused holds back the rest`);
    case 'Stopped':
      return say(
        'False',
        'ControlPlaneFailed',
        `${progress}; the rest waits, since these failed: ${plan.failed.slice(0, 5).join(', ')}`,
      );
  }
}

function conflicting({ meta, neighbours }: DatacenterFacts, { spec }: AcceptedDatacenter): Verdict<'Conflicting'> {
  const own = spec === undefined ? [] : [{ name: meta.name, content: contentOf(spec) }];
  const found = neighbours
    .flatMap((other) => conflictsOf([...own, other]))
    .map((c) => `${c.path} (${c.set} counts, ${c.over} does not)`);
  if (found.length === 0)
    return {
      type: 'Conflicting',
      status: 'False',
      reason: 'NoConflict',
      message: 'no other datacenter says otherwise',
    };
  const more = found.length > 8 ? ` and ${found.length - 8} more` : '';
  const message = `datacenters enforce different values: ${[...new Set(found)].slice(0, 8).join(', ')}${more}`;
  return { type: 'Conflicting', status: 'True', reason: 'FieldsDiffer', message };
}
