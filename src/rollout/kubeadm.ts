/**
 * What is to become of the ConfigMap kube-system/kubeadm-config (docs/decisions/0007): it names a revision only when every
 * node runs it, and is set back before the first node is asked to remove anything, so that at no moment kubeadm renders
 * files that are not there. Pure. Called by decide.ts.
 */
import type { Reasons, Verdict } from '../api/conditions.ts';
import type { Finding } from '../api/findings.ts';
import type { Revision } from '../render/types.ts';
import { DEFAULT_LAYOUT } from '../targets/host-layout.ts';
import { kubeadmRecord, planKubeadmConfig } from '../targets/kubeadm-config.ts';
import type { KubeadmConfig, KubeadmOwner, KubeadmPlan } from '../targets/kubeadm-config.ts';

export type KubeadmFact =
  /** It may not be read, or was not yet. */
  | { readonly state: 'Unknown' }
  | { readonly state: 'Absent' }
  | (KubeadmConfig & {
      readonly state: 'There';
      readonly resourceVersion: string;
      readonly hasAnnotations: boolean;
      /** The AuditConfig that it follows is another one, which is still there. */
      readonly taken?: string;
    });

/** A write of this controller: who undoes it again and again is not fought. */
export type KubeadmWrite = { readonly digest: string; readonly at: number };

export type KubeadmPatch = {
  readonly resourceVersion: string;
  readonly hasAnnotations: boolean;
  /** Absent where it stays. */
  readonly text?: string;
  /** null: it goes. */
  readonly annotation: string | null;
  /** The revision that is named from now on; absent where ours is taken out. */
  readonly digest?: string;
};

export type KubeadmStep = {
  readonly patch?: KubeadmPatch;
  /** `Keep`: as it is. `None`: kubeadm-config is none of our business. */
  readonly verdict: Verdict<'KubeadmConfigSynced'> | 'Keep' | 'None';
  /** Why nothing may be removed from a node yet. */
  readonly holds?: string;
  readonly requeueAfterMs?: number;
};

export type KubeadmQuestion = {
  readonly owner: KubeadmOwner;
  readonly fact: KubeadmFact;
  /** `Keep`: the spec is not accepted, so nothing is known about what it wants. null: ours is to go. */
  readonly want: Revision | null | 'Keep';
  /** Every node runs it. */
  readonly done: boolean;
  /** What was said before, of this or an earlier generation: the only memory where the ConfigMap cannot be read. */
  readonly saidBefore: boolean;
  readonly writes: readonly KubeadmWrite[];
  /** Milliseconds since the epoch. */
  readonly now: number;
};

const FIGHT_MS = 3_600_000;
/** Writes of the same revision in that time, the first one included. */
const FIGHT_WRITES = 4;

type Reason = Reasons['KubeadmConfigSynced'];
const verdict = (
  status: 'True' | 'False' | 'Unknown',
  reason: Reason,
  message: string,
): Verdict<'KubeadmConfigSynced'> => ({ type: 'KubeadmConfigSynced', status, reason, message });

const short = (digest: string): string => digest.slice(0, 16);
const sentence = (findings: readonly Finding[]): string => findings.map((f) => `${f.message} (${f.code})`).join('; ');

function refusedAs(findings: readonly Finding[]): Reason {
  const codes = findings.map((f) => f.code);
  if (codes.includes('KubeadmConfigVersion')) return 'UnknownVersion';
  return codes.includes('KubeadmConfigUnreadable') ? 'Unreadable' : 'Refused';
}

type There = Extract<KubeadmFact, { state: 'There' }>;

function patchOf(fact: There, plan: Extract<KubeadmPlan, { kind: 'Write' }>, digest?: string): KubeadmPatch {
  const { resourceVersion, hasAnnotations } = fact;
  return {
    resourceVersion,
    hasAnnotations,
    ...(plan.text === fact.text ? {} : { text: plan.text }),
    annotation: plan.annotation,
    ...(digest === undefined ? {} : { digest }),
  };
}

/** Which revision kubeadm renders now, where that is ours to say. */
export function namedByKubeadm(fact: KubeadmFact): string | undefined {
  if (fact.state !== 'There') return undefined;
  const record = kubeadmRecord(fact.annotation);
  return typeof record === 'string' ? undefined : record.digest;
}

/** Ours is in there: the record says so, or where that is spoilt, our own memory. */
function isMine(fact: There, q: KubeadmQuestion): boolean {
  const record = kubeadmRecord(fact.annotation);
  if (record === 'None') return false;
  return record === 'Unreadable' ? q.saidBefore : record.owner.uid === q.owner.uid;
}

function setBack(q: KubeadmQuestion): KubeadmStep {
  const { fact } = q;
  if (fact.state === 'Unknown')
    return q.saidBefore
      ? {
          verdict: 'Keep',
          holds: 'kubeadm-config still has our flags, and cannot be read: may the controller list and watch it?',
        }
      : { verdict: 'None' };
  if (fact.state === 'Absent' || !isMine(fact, q)) return { verdict: 'None' };
  const plan = planKubeadmConfig(null, { now: fact, owner: q.owner, layout: DEFAULT_LAYOUT });
  switch (plan.kind) {
    case 'Same':
      return { verdict: 'None' };
    case 'Write':
      return { verdict: 'None', patch: patchOf(fact, plan) };
    case 'Refused': {
      const why = `${sentence(plan.findings)}; take our audit flags and volumes out of kubeadm-config, and its annotation auditconfig.dev/kubeadm-config, then it goes on`;
      return { verdict: verdict('False', refusedAs(plan.findings), why), holds: why };
    }
  }
}

/** When the oldest of too many writes is too old to count; undefined where there are not too many. */
function foughtFor(q: KubeadmQuestion, digest: string): number | undefined {
  const recent = q.writes.filter((w) => w.digest === digest && q.now - w.at < FIGHT_MS).map((w) => w.at);
  return recent.length < FIGHT_WRITES ? undefined : Math.min(...recent) + FIGHT_MS - q.now;
}

function follow(q: KubeadmQuestion, to: Revision): KubeadmStep {
  const { fact } = q;
  if (fact.state === 'Unknown')
    return {
      verdict: verdict(
        'Unknown',
        'NotReadable',
        'kubeadm-config could not be read yet: may the controller list and watch it?',
      ),
    };
  if (fact.state === 'Absent')
    return {
      verdict: verdict(
        'Unknown',
        'NoKubeadmConfig',
        'there is no ConfigMap kube-system/kubeadm-config: kubeadm did not make this cluster',
      ),
    };
  if (fact.taken !== undefined)
    return {
      verdict: verdict(
        'False',
        'OtherOwner',
        `kubeadm-config follows AuditConfig ${fact.taken}, and there is only one`,
      ),
    };
  const plan = planKubeadmConfig(to, { now: fact, owner: q.owner, layout: DEFAULT_LAYOUT });
  const synced = verdict('True', 'Synced', `kubeadm renders revision ${short(to.digest)}`);
  switch (plan.kind) {
    case 'Same':
      return { verdict: synced };
    case 'Refused':
      return { verdict: verdict('False', refusedAs(plan.findings), sentence(plan.findings)) };
    case 'Write': {
      const named = namedByKubeadm(fact);
      if (!q.done && named !== to.digest) return { verdict: waiting(to, named) };
      const requeueAfterMs = foughtFor(q, to.digest);
      if (requeueAfterMs === undefined) return { verdict: synced, patch: patchOf(fact, plan, to.digest) };
      const message =
        'somebody else writes kubeadm-config again and again, without our flags; it is left alone for an hour';
      return { verdict: verdict('False', 'Fight', message), requeueAfterMs };
    }
  }
}

function waiting(to: Revision, named: string | undefined): Verdict<'KubeadmConfigSynced'> {
  const until = named === undefined ? 'no audit flags of ours' : `revision ${short(named)}`;
  const message = `revision ${short(to.digest)} is written when every node runs it; until then kubeadm renders ${until}`;
  return verdict('Unknown', 'Waiting', message);
}

export function kubeadmStep(q: KubeadmQuestion): KubeadmStep {
  if (q.want === 'Keep') return { verdict: 'Keep' };
  return q.want === null ? setBack(q) : follow(q, q.want);
}
