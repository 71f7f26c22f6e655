/** Policies and flags with which an API server does not start, or audits nothing. Variants of one count once. */
import { dirname } from 'node:path';
import { inOwnNamespace } from './lab.ts';
import { brokenPolicy, forged, installUnchecked, policyOf, publish, tell, webhookTo } from './by-hand.ts';
import type { Lab } from './lab.ts';
import type { Breakage } from './types.ts';

const POLICY = 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n';
/** Each stops a kube-apiserver that starts with it. */
const UNLOADABLE: Readonly<Record<string, string>> = {
  'unknown-level': `${POLICY}- level: Everything\n`,
  'no-rules': `${POLICY.trimEnd()} []\n`,
  'nothing-at-all': '# to be written\n',
  v1beta1: POLICY.replace('/v1', '/v1beta1') + '- level: Metadata\n',
  tab: `${POLICY}-\tlevel: Metadata\n\tusers: [a]\n`,
  'first-document-empty': `---\n---\n${POLICY}- level: Metadata\n`,
};

/** Each stops a kube-apiserver that starts with it, or has it run what the kubeconfig names. */
const WEBHOOKS: Readonly<Record<string, string>> = {
  empty: '',
  'no-context': JSON.stringify({ clusters: [{ name: 'a', cluster: { server: 'https://127.0.0.1:9' } }] }),
  'files-of-a-laptop': webhookTo({ server: 'https://127.0.0.1:9', 'certificate-authority': '/home/me/ca.pem' }),
  'no-certificate': webhookTo({
    server: 'https://127.0.0.1:9',
    'certificate-authority-data': 'bm90IGEgY2VydGlmaWNhdGU=',
  }),
};

async function refusedPolicy(lab: Lab, name: string, text: string): Promise<void> {
  await lab.apply(inOwnNamespace('ConfigMap', name, { 'policy.yaml': text }));
  await lab.begin({ policy: { configMapRef: { name } } });
  await lab.untilNotAccepted('InvalidPolicy');
}

/** The controller is away, and somebody has the agent run what no controller would publish. */
async function refusedByAgent(lab: Lab, of: ReturnType<typeof forged>, code: string): Promise<void> {
  await lab.killController();
  await publish(lab, of);
  await tell(lab, lab.first, of);
  await lab.untilNodeRefused(lab.first, code);
  lab.startController();
  await lab.untilCondition('Ready', 'True');
}

const kind = 'policy and flags';

export const POLICY_AND_FLAGS: readonly Breakage[] = [
  {
    id: 'policy-does-not-load',
    kind,
    title: `a policy's ConfigMap is edited to what no API server loads (${Object.keys(UNLOADABLE).join(', ')})`,
    nodes: 1,
    expect: 'refused',
    run: async (lab) => {
      for (const [name, text] of Object.entries(UNLOADABLE)) await refusedPolicy(lab, name, text);
    },
  },
  {
    id: 'policy-without-end',
    kind,
    title: 'a policy that fits into a ConfigMap, and not into one any more when it is rendered',
    nodes: 1,
    expect: 'refused',
    run: async (lab) => {
      await refusedPolicy(lab, 'huge', `${POLICY}- level: Metadata\n  verbs: [${'a,'.repeat(250_000)}a]\n`);
    },
  },
  {
    id: 'bad-policy-published-by-hand',
    kind,
    title: 'a policy that does not load is published by hand with a matching digest, past all admission',
    nodes: 1,
    expect: 'refused',
    run: (lab) => refusedByAgent(lab, brokenPolicy('by-hand'), 'InvalidPolicy'),
  },
  {
    id: 'bad-flags-published-by-hand',
    kind,
    title: 'flags that stop an API server, published by hand (unknown flag, unknown mode, negative size)',
    nodes: 1,
    expect: 'refused',
    run: async (lab) => {
      const all = { '--audit-log-mode': 'sideways', '--audit-log-maxsize': '-1', '--audit-webhook-nonsense': 'yes' };
      for (const [flag, value] of Object.entries(all)) {
        const policy = policyOf([{ level: 'Metadata', users: [flag] }]);
        await refusedByAgent(lab, forged({ policy, flags: { [flag]: value } }), 'BundleFlag');
      }
    },
  },
  {
    id: 'bad-policy-past-all-checks',
    kind,
    title: 'a policy that does not load reaches the manifest, past every check: the API server crash-loops',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      await lab.first.killAgent();
      await installUnchecked(lab.first, brokenPolicy('past-all-checks'));
      lab.first.startAgent();
      const message = await lab.untilRolledBack(lab.first, 'CrashLoop');
      if (!message.includes('Everything')) throw new Error(`the reason is not the API server's own: ${message}`);
      await lab.untilHealed();
    },
  },
  {
    id: 'log-among-the-manifests',
    kind,
    title: "the log is to lie where it breaks something else (the kubelet's manifests, etcd's data, the host's /etc)",
    nodes: 1,
    expect: 'refused',
    run: async (lab) => {
      for (const folder of ['/etc/kubernetes/manifests', '/var/lib/etcd', '/etc']) {
        const log = { type: 'File', file: { path: `${folder}/audit.log` } };
        await lab.begin({ log });
        await lab.untilNotAccepted('InvalidSettings');
      }
    },
  },
  {
    id: 'retention-beyond-the-disk',
    kind,
    title: 'the log may grow to more than its disk has room for',
    nodes: 1,
    expect: 'refused',
    run: async (lab) => {
      await lab.begin({ log: { type: 'File', retention: { maxAgeDays: 30, maxBackups: 10, maxSize: '100Mi' } } });
      await lab.untilNodeRefused(lab.first, 'NoRoomForLog');
    },
  },
  {
    id: 'webhook-does-not-load',
    kind,
    title: `a webhook's kubeconfig with which no API server starts (${Object.keys(WEBHOOKS).join(', ')})`,
    nodes: 1,
    expect: 'refused',
    run: async (lab) => {
      for (const [name, text] of Object.entries(WEBHOOKS)) {
        await lab.apply(inOwnNamespace('Secret', name, { 'webhook.yaml': text }));
        await lab.begin({ webhook: { secretRef: { name } } });
        await lab.untilNotAccepted('InvalidWebhook');
      }
    },
  },
  {
    id: 'webhook-that-blocks',
    kind,
    title: 'a webhook in mode Blocking: when its receiver dies, every request hangs and every health check is green',
    nodes: 1,
    expect: 'refused',
    run: async (lab) => {
      const kubeconfig = webhookTo({ server: 'https://127.0.0.1:9' });
      await lab.apply(inOwnNamespace('Secret', 'blocking', { 'webhook.yaml': kubeconfig }));
      await lab.begin({ webhook: { secretRef: { name: 'blocking' }, mode: 'Blocking' } });
      await lab.untilNotAccepted('NotPermitted');
    },
  },
  {
    id: 'flags-set-by-hand',
    kind,
    title: 'somebody misspells an audit flag in the manifest: the API server does not start any more',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      const manifest = await lab.first.manifest();
      await lab.first.writeManifest(manifest.replace(/--audit-log-mode=\S*?(?="?$)/m, '--audit-log-mode=blockign'));
      await lab.untilDriftIsGone(lab.first, manifest);
    },
  },
  {
    id: 'flags-taken-out-by-hand',
    kind,
    title: 'somebody takes every audit flag out of the manifest, and the API server restarts unaudited',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      const manifest = await lab.first.manifest();
      await lab.first.writeManifest(manifest.replace(/^ +- "?--audit-.*\n/gm, ''));
      await lab.untilDriftIsGone(lab.first, manifest);
    },
  },
  {
    id: 'mount-taken-out-by-hand',
    kind,
    title: 'somebody takes the mount of the policy out of the manifest: the API server finds no policy',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      const manifest = await lab.first.manifest();
      const folder = dirname(dirname((await lab.first.policyFile()).slice(lab.first.plane.root.length)));
      const mount = new RegExp(`^ +- mountPath: ${folder}\\n(?: {6}\\w.*\\n)+`, 'm');
      const broken = manifest.replace(mount, '');
      if (broken === manifest) throw new Error(`the manifest has no mount of ${folder}`);
      await lab.first.writeManifest(broken);
      await lab.untilDriftIsGone(lab.first, manifest);
    },
  },
];
