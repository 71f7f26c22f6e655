/**
 * HostedCluster of HyperShift (hypershift.openshift.io/v1beta1): spec.configuration.apiServer.audit takes the name of a profile, and
 * spec.auditWebhook a Secret with the kubeconfig of a webhook. OpenShift has the policies, the log and all flags. Refused: every
 * policy that is none of its profiles, and all that it fixes. The same policy and webhook are given to OpenShift's other
 * API servers of that cluster.
 *
 * What runs lies in a namespace of its own (NAMESPACE-NAME). HyperShift copies the Secret's one key there, and the reference
 * into a HostedControlPlane, and leaves both there when the reference is gone from the HostedCluster: the webhook would be sent
 * to for ever. So ours is taken out there too (Owner.made).
 */
import { canonicalJson, sha256 } from '../../../config/canonical.ts';
import type { Revision } from '../../../render/types.ts';
import { credentialsDigest } from '../../../render/webhook/credentials.ts';
import { withCredentialsInside } from '../../../render/webhook/inline.ts';
import type { PatchOp } from '../../hosted/patch.ts';
import { rolloutOf } from '../../hosted/rollout.ts';
import { at } from '../../hosted/workload.ts';
import type { Json } from '../../hosted/workload.ts';
import { fixedLog, plainWebhook } from '../fixed-log.ts';
import { configMap, deployment, writtenAt } from '../made.ts';
import { judgePreset, ownPreset } from '../presets.ts';
import type {
  FlagText,
  Inexpressible,
  Made,
  Owner,
  OwnerObject,
  OwnerPlace,
  OwnPresets,
  RolloutState,
  Slots,
  Wanted,
} from '../types.ts';

/** OpenShift's own, by the names that both have for the same policy. */
const PROFILES: OwnPresets = new Map([
  ['default', 'Default'],
  ['write-request-bodies', 'WriteRequestBodies'],
  ['all-request-bodies', 'AllRequestBodies'],
  ['none', 'None'],
]);
/** What counts where nothing is said. */
const UNSAID = 'Default';

const AUDIT = ['spec', 'configuration', 'apiServer', 'audit'];
const WEBHOOK = ['spec', 'auditWebhook'];
const DEPLOYMENT = 'kube-apiserver';
const VOLUME = 'kas-audit-webhook';
const KEY = 'webhook-kubeconfig';

const whole = (at: readonly string[], text: (v: Json) => string): Slots[string] => ({
  as: 'Whole',
  at,
  settings: (v): readonly FlagText[] => [[at.join('.'), text(v)]],
});
const nameIn = (v: Json): string => String(at(v, 'name') ?? '');

/** Rules for groups are a slot too, although none is ever ours: a profile is all of the policy only without them. */
const SLOTS: Slots = {
  profile: whole([...AUDIT, 'profile'], String),
  customRules: whole([...AUDIT, 'customRules'], canonicalJson),
  webhook: whole(WEBHOOK, nameIn),
};

/** Certificate and token stand inside, and so other ones are another Secret; undefined without a webhook. */
function secretName(to: Revision): string | undefined {
  if (to.webhook === undefined) return undefined;
  const credentials = to.credentials?.reveal();
  const content = [to.digest, credentials === undefined ? '' : credentialsDigest(credentials)];
  return `auditconfig-${sha256(canonicalJson(content)).slice(0, 16)}-hypershift`;
}
function secretOf(to: Revision): readonly OwnerObject[] {
  const [name, kubeconfig] = [secretName(to), to.webhook?.reveal()];
  if (name === undefined || kubeconfig === undefined) return [];
  const data = { [KEY]: withCredentialsInside(kubeconfig, to.credentials?.reveal() ?? {}) };
  return [{ kind: 'Secret', name, data }];
}
const OURS = /^auditconfig-[0-9a-f]{16}-hypershift$/;

function wanted(to: Revision): Wanted {
  const [profile, name] = [ownPreset(to, PROFILES), secretName(to)];
  return {
    ours: {
      ...(profile === undefined ? {} : { profile }),
      ...(name === undefined ? {} : { webhook: { name } }),
    },
    findings: [],
  };
}

/** As HyperShift's own function of that name has it. */
const controlPlaneNamespace = ({ namespace, name }: OwnerPlace): string => `${namespace}-${name.replaceAll('.', '-')}`;

const listAt = (object: unknown, ...path: readonly string[]): readonly Json[] => {
  const found = at(object, ...path);
  return Array.isArray(found) ? (found as readonly Json[]) : [];
};
const webhookOf = (object: unknown): string => nameIn(at(object, ...WEBHOOK) ?? null);
const profileOf = (object: unknown): Json => at(object, ...AUDIT, 'profile') ?? UNSAID;
const policyOf = (object: unknown): string =>
  canonicalJson([profileOf(object), listAt(object, ...AUDIT, 'customRules')]);

/** Somebody's webhook that was taken out before us stays where HyperShift left it. */
function isCarried(object: unknown, controlPlane: unknown): boolean {
  const [is, has] = [webhookOf(object), webhookOf(controlPlane)];
  return policyOf(object) === policyOf(controlPlane) && (is === has || (is === '' && !OURS.test(has)));
}

function isPaused(object: unknown): boolean {
  const active = listAt(object, 'status', 'conditions').find((c) => at(c, 'type') === 'ReconciliationActive');
  return /^true$/i.test(String(at(object, 'spec', 'pausedUntil') ?? '')) || at(active, 'status') === 'False';
}

const NOT_YET: RolloutState = { state: 'Progressing', message: 'HyperShift has not brought it to its Deployment yet' };

/**
 * Three steps, each after the one before: the HostedControlPlane says the same, the policy's ConfigMap has the profile, and the
 * Deployment was written after that (its template holds a hash over all that its pods mount).
 */
function rollout(object: unknown, { controlPlane, policy, deployment: made }: Made): RolloutState {
  if (isPaused(object)) return { state: 'Paused', message: 'HyperShift leaves it alone (spec.pausedUntil)' };
  if ((made ?? null) === null || (controlPlane ?? null) === null || !isCarried(object, controlPlane)) return NOT_YET;
  const has = at(policy, 'data', 'profile');
  if (has !== undefined && has !== profileOf(object)) return NOT_YET;
  const volume = listAt(made, 'spec', 'template', 'spec', 'volumes').find((v) => nameIn(v) === VOLUME);
  if (String(at(volume, 'secret', 'secretName') ?? '') !== webhookOf(controlPlane)) return NOT_YET;
  const [told, carried] = [writtenAt(policy, ['data']), writtenAt(made, ['spec', 'template'])];
  if (told !== undefined && carried !== undefined && carried < told) return NOT_YET;
  return rolloutOf(made, 'Deployment');
}

/** A reference of ours that the HostedCluster has not any more. */
function stale(object: unknown, controlPlane: unknown): readonly PatchOp[] {
  const reference = at(controlPlane, ...WEBHOOK);
  if (reference === undefined || !OURS.test(nameIn(reference)) || webhookOf(object) !== '') return [];
  const path = `/${WEBHOOK.join('/')}`;
  return [
    { op: 'test', path, value: reference },
    { op: 'remove', path },
  ];
}

/** OpenShift 4.19 is Kubernetes 1.32, and so on. */
const AHEAD = 13;
function kubernetes(object: unknown): string {
  const done = listAt(object, 'status', 'version', 'history').find((h) => at(h, 'state') === 'Completed');
  const [, minor] = /^4\.(\d+)\./.exec(String(at(done, 'version') ?? '')) ?? [];
  return minor === undefined ? '' : `v1.${Number(minor) + AHEAD}.0`;
}

const CANNOT: readonly Inexpressible[] = [
  ...fixedLog('HyperShift', { path: '/var/log/kube-apiserver/audit.log', maxBackups: 1, maxSize: '10Mi' }),
  ...plainWebhook('HyperShift', 'Elsewhere'),
  {
    path: 'webhook.initialBackoffSeconds',
    why: 'HyperShift takes the kubeconfig of a webhook, and no such flag beside it',
    isFine: (v) => v === 5,
  },
  {
    path: 'shipping',
    why: 'HyperShift takes no container of ours: it prints the log as the container audit-logs of its own, for a collector of yours',
  },
  { path: 'kubeadmConfig', why: 'no kubeadm made this cluster', isFine: (v) => v === 'Ignore' },
];

export const hostedCluster: Owner = {
  kind: 'HostedCluster',
  api: { group: 'hypershift.openshift.io', plural: 'hostedclusters', versions: ['v1beta1'] },
  slots: () => SLOTS,
  refuse: () => undefined,
  judge: (to) =>
    judgePreset(to, PROFILES, {
      kind: 'HostedCluster',
      instead:
        'OpenShift takes no other policy. Its profiles log some bodies that policy.sensitiveBodies: Redact would cut, so that they need Allow.',
    }),
  objects: secretOf,
  wanted,
  isIn: (_settings, recorded) => recorded,
  kubernetes,
  hostNetwork: false,
  rollout,
  made: {
    objects: (of) => {
      const namespace = controlPlaneNamespace(of);
      return {
        controlPlane: {
          group: 'hypershift.openshift.io',
          version: 'v1beta1',
          plural: 'hostedcontrolplanes',
          kind: 'HostedControlPlane',
          namespace,
          name: of.name,
        },
        policy: configMap({ namespace, name: 'kas-audit-config' }),
        deployment: deployment({ namespace, name: DEPLOYMENT }),
      };
    },
    isSilent: true,
    leaves: { in: 'controlPlane', stale, hasOurs: (made) => OURS.test(webhookOf(made)) },
  },
  // All replicas, one after the other, and what depends on them.
  timeoutSeconds: (_object, set) => set ?? 900,
  secretsOnly: false,
  cannot: CANNOT,
};
