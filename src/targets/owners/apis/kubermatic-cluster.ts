/**
 * Cluster of Kubermatic KKP (kubermatic.k8c.io/v1): spec.auditLogging says that there is auditing, the name of a policy that
 * KKP has, and a webhook's Secret. KKP writes the policy itself (ConfigMap audit-config), and fixes flags, log and sidecar.
 * Refused: every policy that is not one of its presets, and all that it fixes. The Cluster has no namespace; what it runs
 * lies in one of its own, and there our Secret must lie too, since its pods mount it.
 *
 * Its sidecar's settings (auditLogging.sidecar) are its owner's and stay as they are.
 */
import { canonicalJson, sha256 } from '../../../config/canonical.ts';
import type { Revision } from '../../../render/types.ts';
import { CREDENTIAL_FILES, credentialsDigest } from '../../../render/webhook/credentials.ts';
import { inEffect } from '../../audit-flags.ts';
import { rolloutOf } from '../../hosted/rollout.ts';
import { readFlags } from '../../hosted/words.ts';
import { at, readWorkload } from '../../hosted/workload.ts';
import type { Json } from '../../hosted/workload.ts';
import { fixedLog, plainWebhook } from '../fixed-log.ts';
import { configMap, deployment } from '../made.ts';
import { judgePreset, ownPreset } from '../presets.ts';
import type {
  FlagText,
  Inexpressible,
  Made,
  Owner,
  OwnerObject,
  OwnPresets,
  RolloutState,
  Slots,
  Wanted,
} from '../types.ts';

/** Ours are KKP's, but for the kinds that only its clusters have. */
const PRESETS: OwnPresets = new Map(
  (['metadata', 'minimal', 'recommended'] as const).map((name): [typeof name, string] => [name, name]),
);

const AUDIT = ['spec', 'auditLogging'];
const BACKEND = [...AUDIT, 'webhookBackend'];
const said =
  (...path: readonly string[]) =>
  (v: Json): readonly FlagText[] => [[path.join('.'), String(v)]];

const backend = (v: Json): readonly FlagText[] => [
  [[...BACKEND, 'auditWebhookConfig'].join('.'), String(at(v, 'auditWebhookConfig', 'name') ?? '')],
  [[...BACKEND, 'auditWebhookInitialBackoff'].join('.'), String(at(v, 'auditWebhookInitialBackoff') ?? '')],
];

const SLOTS: Slots = {
  enabled: { as: 'Whole', at: [...AUDIT, 'enabled'], settings: said(...AUDIT, 'enabled') },
  preset: { as: 'Whole', at: [...AUDIT, 'policyPreset'], settings: said(...AUDIT, 'policyPreset') },
  webhook: { as: 'Whole', at: BACKEND, settings: backend },
};

const home = (name: string): string => `cluster-${name}`;

/** Its pods mount the Secret as a folder: the kubeconfig, and beside it the files that it names. */
function secretOf(to: Revision): OwnerObject | undefined {
  const kubeconfig = to.webhook?.reveal();
  if (kubeconfig === undefined) return undefined;
  const credentials = to.credentials?.reveal();
  const beside = CREDENTIAL_FILES.flatMap((n) => {
    const bytes = credentials?.[n];
    return bytes === undefined ? [] : [[n, bytes] as const];
  });
  const content = [to.digest, credentials === undefined ? '' : credentialsDigest(credentials)];
  return {
    kind: 'Secret',
    name: `auditconfig-${sha256(canonicalJson(content)).slice(0, 16)}-backend`,
    data: { 'webhook.yaml': kubeconfig, ...Object.fromEntries(beside) },
  };
}

function wanted(to: Revision, name: string): Wanted {
  const secret = secretOf(to);
  const backoff = to.flags.find((f) => f.name === '--audit-webhook-initial-backoff')?.value;
  const reference = { name: secret?.name ?? '', namespace: home(name) };
  const preset = ownPreset(to, PRESETS);
  return {
    ours: {
      enabled: true,
      ...(preset === undefined ? {} : { preset }),
      ...(secret === undefined
        ? {}
        : {
            webhook: {
              auditWebhookConfig: reference,
              ...(typeof backoff === 'string' ? { auditWebhookInitialBackoff: backoff } : {}),
            },
          }),
    },
    findings: [],
  };
}

const NOT_YET: RolloutState = { state: 'Progressing', message: 'KKP has not brought it to its Deployment yet' };

/**
 * KKP writes the policy into this ConfigMap, its preset in a comment before it, and the ConfigMap's version into a label of
 * the pods that shall run it.
 */
const POLICY_MAP = 'audit-config';

function hasPreset(preset: string, labels: unknown, policy: unknown): boolean {
  const version = at(policy, 'metadata', 'resourceVersion');
  const [, written] = /^# policyPreset: (.*)$/m.exec(String(at(policy, 'data', 'policy.yaml') ?? '')) ?? [];
  if (version === undefined || (written !== undefined && written !== preset)) return false;
  return at(labels, `${POLICY_MAP}-configmap-revision`) === version;
}

function rollout(object: unknown, { deployment: made, policy }: Made): RolloutState {
  if (at(object, 'spec', 'pause') === true) return { state: 'Paused' };
  const read = readWorkload(made, { kind: 'Deployment', container: 'apiserver' });
  if ('refused' in read) return NOT_YET;
  const flags = readFlags(read.ok);
  if ('refused' in flags) return NOT_YET;
  const secret = at(object, ...BACKEND, 'auditWebhookConfig', 'name');
  const audits = at(object, ...AUDIT, 'enabled') === true || secret !== undefined;
  const has = inEffect(flags.ok.found);
  if (audits !== has.has('--audit-policy-file')) return NOT_YET;
  if ((secret !== undefined) !== has.has('--audit-webhook-config-file')) return NOT_YET;
  const preset = at(object, ...AUDIT, 'policyPreset');
  const labels = at(made, 'spec', 'template', 'metadata', 'labels');
  if (audits && typeof preset === 'string' && preset !== '' && !hasPreset(preset, labels, policy)) return NOT_YET;
  const mounted = (read.ok.volumes ?? []).some((v) => at(v, 'secret', 'secretName') === secret);
  if (secret !== undefined && !mounted) return NOT_YET;
  return rolloutOf(made, 'Deployment');
}

const CANNOT: readonly Inexpressible[] = [
  ...fixedLog('KKP', {
    path: '/var/log/kubernetes/audit/audit.log',
    maxAgeDays: 30,
    maxBackups: 3,
    maxSize: '100Mi',
  }),
  ...plainWebhook('KKP', 'InReach'),
  { path: 'shipping', why: 'KKP makes its own fluent-bit of spec.auditLogging.sidecar: set it there' },
  { path: 'kubeadmConfig', why: 'no kubeadm made this cluster', isFine: (v) => v === 'Ignore' },
];

export const kubermaticCluster: Owner = {
  kind: 'KubermaticCluster',
  api: { group: 'kubermatic.k8c.io', kind: 'Cluster', plural: 'clusters', versions: ['v1'], home },
  slots: () => SLOTS,
  refuse: () => undefined,
  judge: (to) =>
    judgePreset(to, PRESETS, {
      kind: 'KubermaticCluster',
      instead:
        "Set any other policy in ConfigMap audit-config of the cluster's namespace while policyPreset is unset (with one KKP writes it anew), or target its Deployment apiserver as Hosted with re-injection.",
    }),
  objects: (to) => {
    const secret = secretOf(to);
    return secret === undefined ? [] : [secret];
  },
  wanted: (to, _theirs, { name }) => wanted(to, name),
  isIn: (_settings, recorded) => recorded,
  kubernetes: (object) => String(at(object, 'spec', 'version') ?? ''),
  hostNetwork: false,
  rollout,
  made: {
    objects: ({ namespace }) => ({
      deployment: deployment({ namespace, name: 'apiserver' }),
      policy: configMap({ namespace, name: POLICY_MAP }),
    }),
    pods: 'deployment',
  },
  timeoutSeconds: (_object, set) => set ?? 600,
  secretsOnly: false,
  cannot: CANNOT,
};
