/**
 * What an AuditConfig's status says of its acceptance, whatever its target: what counts and who set it, and what is said
 * when a step was refused. Pure; decide.ts and hosted.ts add what became of it.
 */
import type { AuditConfigStatus } from '../api/auditconfig.ts';
import { setCondition, withSummary } from '../api/conditions.ts';
import type { Condition, Moment, Verdict } from '../api/conditions.ts';
import { binds, contentDigest } from '../config/datacenter.ts';
import { layerName } from '../config/merge.ts';
import type { DatacenterEffect } from '../config/types.ts';
import { bundleName } from '../render/bundle/names.ts';
import { keptName } from '../render/last-valid.ts';
import type { Revision } from '../render/types.ts';
import type { Accepted } from './accept.ts';
import type { Facts } from './facts.ts';
import { timestamp } from './turn.ts';

const MAX_LISTED = 64;

/** The part of a status that says what counts, whatever the target. */
export function acceptedStatus(facts: Facts, accepted: Accepted): AuditConfigStatus {
  const { revision, effective } = accepted;
  const shown =
    revision === undefined ? facts.status.revision : { name: bundleName(revision.digest), digest: revision.digest };
  return {
    observedGeneration: facts.meta.generation,
    ...(shown === undefined ? {} : { revision: shown }),
    ...(effective === undefined ? keptEffective(facts) : effectiveOf(effective, revision)),
    ...governedOf(facts, accepted),
  };
}

function effectiveOf(
  effective: DatacenterEffect,
  revision: Revision | undefined,
): Pick<AuditConfigStatus, 'effective'> {
  if (revision === undefined) return {};
  const layers = new Set<string>(['BuiltIn']);
  for (const origin of Object.values(effective.provenance)) layers.add(layerName(origin.set));
  for (const { layer } of effective.spec.policy.front) layers.add(layerName(layer));
  const { preset } = effective.spec.policy;
  const fields = Object.entries(effective.provenance)
    .filter(([, { set }]) => set.from === 'Datacenter')
    .map(([path, { set, overrode }]) => {
      const theirs = overrode.filter((l) => l.from !== 'BuiltIn').map(layerName);
      return { path, set: layerName(set), ...(theirs.length === 0 ? {} : { overrode: theirs }) };
    });
  const ignored = effective.ignored.map(({ path, by }) => ({ path, by: layerName(by) }));
  return {
    effective: {
      digest: revision.digest,
      ...(preset === undefined ? {} : { preset }),
      layers: [...layers].slice(0, MAX_LISTED),
      ...(fields.length === 0 ? {} : { fields: fields.slice(0, MAX_LISTED) }),
      ...(ignored.length === 0 ? {} : { ignored: ignored.slice(0, MAX_LISTED) }),
    },
  };
}

/** The datacenters that count, and where the owner's last valid settings are kept. */
function governedOf(facts: Facts, accepted: Accepted): Pick<AuditConfigStatus, 'datacenters' | 'lastValid'> {
  const { governed, status } = facts;
  const had = status.lastValid === undefined ? {} : { lastValid: status.lastValid };
  if (governed === undefined) return had;
  // What is not in effect must not be called so.
  const inEffect = accepted.verdict.status === 'True' || accepted.keeps !== undefined;
  const datacenters = inEffect
    ? governed.datacenters.map((d) => ({ name: d.name, digest: contentDigest(d.content), binding: binds(d.content) }))
    : (status.datacenters ?? []);
  return {
    ...(datacenters.length === 0 ? {} : { datacenters: datacenters.slice(0, MAX_LISTED) }),
    ...(accepted.own === undefined ? had : { lastValid: { name: keptName(facts.meta.uid, accepted.own) } }),
  };
}

const KEPT: Readonly<Record<NonNullable<Accepted['keeps']>, string>> = {
  LastValid: 'the last valid one counts meanwhile',
  Nothing: 'no valid one is known, so that only what datacenters say counts meanwhile',
};

export const keptVerdict = ({ keeps }: Accepted): Verdict | undefined =>
  keeps === undefined
    ? undefined
    : { type: 'Degraded', status: 'True', reason: 'LastValidKept', message: `spec is not accepted; ${KEPT[keeps]}` };

/** What to say when a step before the status was refused: nothing of it is claimed to be done. */
export function blocked(
  facts: Facts,
  decision: { readonly status?: AuditConfigStatus },
  why: string,
): AuditConfigStatus | undefined {
  const { status } = decision;
  if (status === undefined) return undefined;
  const moment: Moment = { now: timestamp(facts.now), generation: facts.meta.generation };
  const verdict: Verdict = {
    type: 'RolledOut',
    status: 'False',
    reason: 'Blocked',
    message: `${why}; it is tried again`,
  };
  const { revision: _unpublished, ...rest } = status;
  return {
    ...rest,
    ...(facts.status.revision === undefined ? {} : { revision: facts.status.revision }),
    conditions: [...withSummary(setCondition(rolledOutBefore(facts, status), verdict, moment), moment)],
  };
}

/** The new conditions, with RolledOut as it was: a step that stays refused must not move its transition time. */
function rolledOutBefore(facts: Facts, status: AuditConfigStatus): readonly Condition[] {
  const old = facts.status.conditions?.find((c) => c.type === 'RolledOut');
  return (status.conditions ?? []).flatMap((c) => (c.type !== 'RolledOut' ? [c] : old === undefined ? [] : [old]));
}

const keptEffective = (facts: Facts): Pick<AuditConfigStatus, 'effective'> =>
  facts.status.effective === undefined ? {} : { effective: facts.status.effective };
