/**
 * Which events a decision is worth: one for each condition that came to say something else, and one for each node that
 * is told to change. Derived from old and new status, so that a repeated reconcile says nothing twice.
 */
import type { AuditConfigStatus } from '../api/auditconfig.ts';
import type { Decision } from '../rollout/decide.ts';

export type Note = {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly action: string;
  readonly note: string;
};

/** The bad answer of each condition that people want to hear of. Ready repeats what others say. */
const BAD: Readonly<Record<string, 'True' | 'False'>> = {
  Accepted: 'False',
  RolledOut: 'False',
  Degraded: 'True',
  EgressPermitted: 'False',
  KubeadmConfigSynced: 'False',
};
/** It goes on by itself. */
const QUIET: ReadonlySet<string> = new Set(['Progressing', 'Waiting', 'OutsideWindow']);
const ACTION: Readonly<Record<string, string>> = {
  Accepted: 'Validate',
  RolledOut: 'RollOut',
  Degraded: 'RollOut',
  EgressPermitted: 'PermitEgress',
  KubeadmConfigSynced: 'SyncKubeadmConfig',
};

export function notesOf(
  before: AuditConfigStatus,
  decision: Pick<Decision, 'status' | 'assign' | 'kubeadm'>,
): readonly Note[] {
  const changed = (decision.status?.conditions ?? []).flatMap((c): Note[] => {
    const bad = BAD[c.type];
    if (bad === undefined) return [];
    const old = before.conditions?.find((o) => o.type === c.type);
    if (old?.status === c.status && old.reason === c.reason) return [];
    // Nothing was wrong, and nothing is.
    if (old === undefined && c.type === 'Degraded' && c.status !== bad) return [];
    // That it is in step is said by whoever wrote it.
    if (c.type === 'KubeadmConfigSynced' && c.status !== bad) return [];
    const quiet = c.status !== bad || QUIET.has(c.reason);
    return [
      { type: quiet ? 'Normal' : 'Warning', reason: c.reason, action: ACTION[c.type] ?? c.type, note: c.message },
    ];
  });
  const { assign } = decision;
  const said = [...changed, ...kubeadmNote(decision)];
  if (assign === undefined) return said;
  const what = assign.spec.desired.revision?.digest.slice(0, 16);
  const note =
    what === undefined ? `node ${assign.node}: remove what was added` : `node ${assign.node}: install revision ${what}`;
  return [...said, { type: 'Normal', reason: 'NodeAssigned', action: 'RollOut', note }];
}

function kubeadmNote({ kubeadm }: Pick<Decision, 'kubeadm'>): readonly Note[] {
  if (kubeadm === undefined) return [];
  const note = (reason: string, text: string): readonly Note[] => [
    { type: 'Normal', reason, action: 'SyncKubeadmConfig', note: text },
  ];
  return kubeadm.digest === undefined
    ? note('KubeadmConfigSetBack', 'our flags and volumes are out of kube-system/kubeadm-config')
    : note(
        'KubeadmConfigWritten',
        `kube-system/kubeadm-config names revision ${kubeadm.digest.slice(0, 16)}; a control-plane node that joins needs auditconfig prestage first`,
      );
}
