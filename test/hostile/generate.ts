/**
 * AuditConfigs and Secrets as nobody should write them, and as somebody will: made from good ones by a few seeded changes,
 * so that most of them get past the first check. Whatever is secret in them holds CANARY, which must never be seen again.
 */
import { Random } from '../judge/random.ts';
import type { Reference } from '../../src/render/references.ts';
import { Secret } from '../../src/render/types.ts';

/** Digits in it, so that it is no name of a field that a message may quote. */
export const CANARY = 'CNRY7f3a9';
/** As it is, and inside base64 at each of its three offsets. */
export const TRACES: readonly string[] = [
  CANARY,
  ...[0, 1, 2].map((pad) => {
    const encoded = Buffer.from(`${'x'.repeat(pad)}${CANARY}`).toString('base64');
    return encoded.slice(pad === 0 ? 0 : pad + 1, 10);
  }),
];

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const CONFIG: Json = {
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'main', namespace: 'auditconfig-system', uid: 'u1', generation: 1 },
  spec: {
    state: 'Enabled',
    target: { type: 'StaticPod', staticPod: { nodeSelector: { a: 'b' } } },
    policy: {
      preset: 'minimal',
      rules: [
        {
          level: 'Metadata',
          users: ['a'],
          verbs: ['get'],
          resources: [{ group: 'apps', resources: ['deployments/*'] }],
        },
        { level: 'None', nonResourceURLs: ['/healthz*'] },
      ],
      rulesPosition: 'Before',
      secretRef: { name: 'policy', key: 'policy.yaml' },
      omitStages: ['RequestReceived'],
      sensitiveBodies: 'Redact',
    },
    log: {
      type: 'File',
      file: { path: '/var/log/kube-audit/audit.log', readerGroup: 4 },
      retention: { maxAgeDays: 3, maxBackups: 4, maxSize: '10Mi', totalSize: '1Gi' },
      mode: 'Batch',
      batch: { bufferSize: 100, maxSize: 10, throttle: { qps: 10, burst: 20 } },
      truncate: { state: 'Enabled', maxEventSize: '1Mi', maxBatchSize: '2Mi' },
    },
    webhook: { secretRef: { name: 'webhook', key: 'webhook.yaml' }, initialBackoffSeconds: 5, mode: 'Batch' },
    rollout: { paused: false, minReadySeconds: 5, windows: [{ days: ['Mon'], start: '22:00', durationMinutes: 60 }] },
  },
};
const SHIPPING: Json = {
  type: 'FluentBit',
  fluentBit: {
    env: [{ name: 'TOKEN', value: `${CANARY}-env` }],
    filters: [{ Name: 'grep', Match: '*', Regex: 'user ^system' }],
    outputs: [{ Name: 'http', Match: '*', Host: 'logs.example.org', http_Passwd: `${CANARY}-output` }],
  },
};

const KUBECONFIG: Json = {
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'a',
  contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
  clusters: [{ name: 'a', cluster: { server: 'https://audit.example.org:8443/events', 'tls-server-name': 'audit' } }],
  users: [{ name: 'a', user: { token: `${CANARY}-token` } }],
};
const BASIC: Json = { username: 'u', password: `${CANARY}-password` };
const CERTIFICATE: Json = {
  'client-certificate-data': Buffer.from(`${CANARY}-certificate`).toString('base64'),
  'client-key-data': Buffer.from(`${CANARY}-key`).toString('base64'),
};
const EXEC: Json = {
  exec: { apiVersion: 'client.authentication.k8s.io/v1', command: `/bin/${CANARY}`, args: [CANARY] },
};

const POLICY = `apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: Metadata
  users: [${CANARY}-user]
  resources:
  - group: ""
    resources: [secrets]
- level: Request
`;

/** In place of any value. */
const VALUES: readonly Json[] = [
  null,
  true,
  -1,
  0.5,
  1e308,
  9_007_199_254_740_993,
  '',
  ' ',
  '\n--audit-log-path=/etc/shadow',
  '../../../etc/kubernetes/admin.conf',
  '/var/log/../../etc/passwd',
  '{{ .Values.x }}${HOME}$(id)`id`',
  '\u0000\u0007\u001b[31m',
  '\ud800',
  '\u202egnp.exe',
  'a'.repeat(5_000),
  '&a [*a, *a]',
  [],
  {},
  [[[[[[[[]]]]]]]],
  { a: { a: { a: { a: { a: {} } } } } },
  ['RequestReceived', 'RequestReceived'],
  '10Zi',
  '-5Mi',
  'RequestResponse',
  'Blocking',
  'https://user:pass@169.254.169.254/latest',
  'Europe/Atlantis',
];
const KEYS: readonly string[] = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'Rules',
  'tokenFile',
  'certificate-authority',
  'auth-provider',
  'insecure-skip-tls-verify',
  'namespace',
  '',
  'a b',
  '\n',
];
/** Into the bytes of what a Secret holds. */
const BYTES: readonly string[] = [
  '\u0000',
  '\t',
  '\n',
  ': ',
  '- ',
  '&a ',
  '*a',
  '!!binary |\n  AAAA',
  '<<: *a\n',
  '{',
  ']',
  '"',
  "'",
  '%YAML 9\n---\n',
  '---\n',
  '...\n',
  '\ufeff',
  '? ',
  '|+\n',
  `${'['.repeat(400)}`,
  'a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n',
  `${CANARY}: ${CANARY}\n`,
];

const pick = <T>(r: Random, from: readonly T[]): T => from[r.below(from.length)] as T;

/** Every map and list in it, so that one can be chosen. */
function containers(value: Json, found: (Json[] | { [key: string]: Json })[] = []): typeof found {
  if (typeof value !== 'object' || value === null) return found;
  found.push(value);
  for (const inner of Object.values(value)) containers(inner, found);
  return found;
}

const set = (into: Json[] | { [key: string]: Json }, key: string, value: Json): void => {
  // As JSON.parse would: an own field, whatever its name.
  Object.defineProperty(into, key, { value, enumerable: true, configurable: true, writable: true });
};

function mutate(r: Random, root: Json): Json {
  const all = containers(root);
  if (all.length === 0) return root;
  const at = pick(r, all);
  const keys = Object.keys(at);
  const key = keys.length === 0 ? '0' : pick(r, keys);
  switch (r.below(6)) {
    case 0:
      if (!Array.isArray(at)) Reflect.deleteProperty(at, key);
      break;
    case 1:
      if (!Array.isArray(at)) set(at, pick(r, KEYS), structuredClone(pick(r, VALUES)));
      break;
    case 2:
      if (Array.isArray(at)) for (let i = r.below(300); i > 0; i--) at.push(structuredClone(at[0] ?? null));
      break;
    default:
      if (keys.length > 0) set(at, key, structuredClone(pick(r, VALUES)));
  }
  return root;
}

function mangled(r: Random, text: string): Uint8Array {
  let bytes = Buffer.from(text, 'utf8');
  for (let n = r.below(4); n > 0; n--) {
    const at = r.below(bytes.length + 1);
    const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
    switch (r.below(4)) {
      case 0:
        bytes = Buffer.concat([head, Buffer.from(pick(r, BYTES)), tail]);
        break;
      case 1:
        bytes = Buffer.from(head);
        break;
      case 2:
        bytes = Buffer.concat([head, tail.subarray(1 + r.below(8))]);
        break;
      default:
        bytes = Buffer.concat([head, Buffer.from([r.below(256)]), tail.subarray(1)]);
    }
  }
  return new Uint8Array(bytes);
}

function kubeconfig(r: Random): Uint8Array {
  const config = structuredClone(KUBECONFIG) as { users: { user: Json }[] };
  const user = pick(r, [undefined, undefined, BASIC, CERTIFICATE, EXEC]);
  if (user !== undefined && config.users[0] !== undefined) config.users[0].user = structuredClone(user);
  let tree = config as unknown as Json;
  for (let n = r.below(3); n > 0; n--) tree = mutate(r, tree);
  return mangled(r, JSON.stringify(tree, null, r.below(2)));
}

export type Hostile = {
  readonly object: unknown;
  /** Bytes of the Secrets that it may refer to. */
  readonly secrets: { readonly webhook: Uint8Array; readonly policy: Uint8Array };
};

/** The same number makes the same case on every machine. */
export function hostile(seed: number): Hostile {
  const r = new Random(seed);
  let object = structuredClone(CONFIG) as Json;
  const spec = (object as { spec: { [key: string]: Json } }).spec;
  if (r.below(8) === 0) spec['shipping'] = structuredClone(SHIPPING);
  if (r.below(2) === 0) Reflect.deleteProperty(spec, 'webhook');
  if (r.below(2) === 0) Reflect.deleteProperty(spec['policy'] as object, 'secretRef');
  for (let n = r.below(4); n > 0; n--) object = mutate(r, object);
  if (r.below(200) === 0) object = structuredClone(pick(r, VALUES));
  return { object, secrets: { webhook: kubeconfig(r), policy: mangled(r, POLICY) } };
}

export const referencesOf = ({ secrets }: Hostile): { readonly webhook: Reference; readonly policy: Reference } => {
  const of = (key: string, bytes: Uint8Array): Reference => ({ found: true, data: new Secret({ [key]: bytes }) });
  return { webhook: of('webhook.yaml', secrets.webhook), policy: of('policy.yaml', secrets.policy) };
};

/** Where in a text something secret can be read. */
export const leaksIn = (text: string): readonly string[] => TRACES.filter((t) => text.includes(t));
