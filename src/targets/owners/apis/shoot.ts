/**
 * Shoot of Gardener (core.gardener.cloud/v1beta1): the policy comes from a ConfigMap of the Shoot's namespace, key `policy`, that
 * spec.kubernetes.kubeAPIServer.auditConfig names. Nothing else of auditing is in its API: the log and a webhook belong to
 * Gardener's extensions. Refused: all of that, and a policy that came from a Secret, since a ConfigMap would show it.
 *
 * Gardener refuses a ConfigMap that is not there, and writes its version beside the name.
 */
import { bundleName } from '../../../render/bundle/names.ts';
import type { Revision } from '../../../render/types.ts';
import { at } from '../../hosted/workload.ts';
import { refusal } from '../../refusal.ts';
import { writtenAt } from '../made.ts';
import type { Inexpressible, Owner, OwnerObject, RolloutState, Slots } from '../types.ts';

const REFERENCE = ['spec', 'kubernetes', 'kubeAPIServer', 'auditConfig', 'auditPolicy', 'configMapRef'];

const SLOTS: Slots = {
  policy: {
    as: 'Whole',
    at: REFERENCE,
    settings: (v) => [[[...REFERENCE, 'name'].join('.'), String(at(v, 'name') ?? '')]],
  },
};

/** Its own key, and so an object of its own. */
const policyMap = (to: Revision): OwnerObject => ({
  kind: 'ConfigMap',
  name: `${bundleName(to.digest)}-policy`,
  data: { policy: to.policy },
});

/**
 * A Shoot with `confineSpecUpdateRollout` gets no new generation by a new spec: Gardener comes in the maintenance window, and
 * only its last operation's time tells that it was there since the policy's name was written, by whom ever.
 */
function awaitsWindow(object: unknown): boolean {
  if (at(object, 'spec', 'maintenance', 'confineSpecUpdateRollout') !== true) return false;
  const ended = Date.parse(String(at(object, 'status', 'lastOperation', 'lastUpdateTime') ?? ''));
  // Both in whole seconds: an operation that ended in the second of the edit has not seen it for certain.
  return Number.isNaN(ended) || ended <= (writtenAt(object, REFERENCE) ?? -Infinity);
}

const IGNORE = 'shoot.gardener.cloud/ignore';
const GIVEN_UP = ['Failed', 'Aborted'];

function rollout(object: unknown): RolloutState {
  const generation = Number(at(object, 'metadata', 'generation') ?? 0);
  const isSeen = Number(at(object, 'status', 'observedGeneration') ?? 0) >= generation;
  const last = at(object, 'status', 'lastOperation');
  const state = String(at(last, 'state') ?? '');
  const said = String(at(last, 'description') ?? '').slice(0, 512);
  const awaits = awaitsWindow(object);
  if (isSeen && state === 'Succeeded' && !awaits) return { state: 'Complete' };
  // Not every gardenlet heeds it: one that does not has been there all the same.
  if (at(object, 'metadata', 'annotations', IGNORE) === 'true')
    return { state: 'Paused', message: `the annotation ${IGNORE} is set` };
  if (!isSeen) return { state: 'Progressing', message: 'Gardener has not seen the change yet' };
  if (awaits && (state === 'Succeeded' || GIVEN_UP.includes(state)))
    return { state: 'Paused', message: 'Gardener brings it in the maintenance window (confineSpecUpdateRollout)' };
  // What Gardener itself gives up; an Error is one that it tries again.
  if (GIVEN_UP.includes(state)) return { state: 'Failed', message: `Gardener gave up: ${said}` };
  return { state: 'Progressing', message: `Gardener's last operation is ${state === '' ? 'none' : state}: ${said}` };
}

const ELSEWHERE = "Gardener's extensions decide that, and the Shoot has no field for it";
const CANNOT: readonly Inexpressible[] = [
  { path: 'log', why: ELSEWHERE },
  { path: 'webhook', why: `${ELSEWHERE}: use an extension for audit logs` },
  { path: 'shipping', why: `${ELSEWHERE}: use an extension for audit logs` },
  { path: 'kubeadmConfig', why: 'no kubeadm made this cluster', isFine: (v) => v === 'Ignore' },
];

export const shoot: Owner = {
  kind: 'Shoot',
  api: { group: 'core.gardener.cloud', plural: 'shoots', versions: ['v1beta1'] },
  slots: () => SLOTS,
  refuse: () => undefined,
  judge: (to) =>
    to.confidential
      ? [
          refusal(
            'OwnerCannotExpress',
            'spec.policy.secretRef has no place in a Shoot: Gardener reads policies from ConfigMaps, where others see them. Use policy.configMapRef.',
            'spec.policy.secretRef',
          ),
        ]
      : [],
  objects: (to) => [policyMap(to)],
  wanted: (to) => ({ ours: { policy: { name: policyMap(to).name } }, findings: [] }),
  isIn: (_settings, recorded) => recorded,
  kubernetes: (object) => String(at(object, 'spec', 'kubernetes', 'version') ?? ''),
  hostNetwork: false,
  rollout,
  // A reconciliation of all of a Shoot; more than one may be on its way.
  timeoutSeconds: (_object, set) => set ?? 1_800,
  secretsOnly: false,
  cannot: CANNOT,
};
