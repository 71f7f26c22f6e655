/**
 * Where `prestage` gets its bundles: a file with the published objects, or a cluster. Of a cluster it takes what the
 * AuditConfig has, and what kubeadm-config names where that is another revision (in mid-rollout): a node that joins then
 * is started with that one. Reads only; what it gives is judged by the caller.
 */
import { auditConfigStatus } from '../api/auditconfig.ts';
import { parseMinor } from '../api/versions.ts';
import type { Minor } from '../api/versions.ts';
import { connectKube } from '../kube/connect.ts';
import { kubeConfigCredentials } from '../kube/credentials.ts';
import type { KubeClient } from '../kube/client.ts';
import { ok } from '../kube/errors.ts';
import type { KubeError, Result } from '../kube/errors.ts';
import { isRecord } from '../kube/types.ts';
import type { KubeObject, Resource } from '../kube/types.ts';
import {
  bundleName,
  BUNDLES_NAMESPACE,
  CREDENTIALS_LABEL,
  credentialsPrefix,
  webhookName,
} from '../render/bundle/names.ts';
import { claimedDigest } from '../render/bundle/read.ts';
import { readDocuments } from '../render/documents.ts';
import type { Digest } from '../render/types.ts';
import { KUBEADM_ANNOTATION, KUBEADM_CONFIG, kubeadmRecord } from '../targets/kubeadm-config.ts';
import { clusterError } from './cluster-error.ts';
import { findingLine } from './render.ts';
import { readInput, unreadableInput } from './policy-input.ts';
import type { CommandResult, Io } from './types.ts';

export type Bundle = {
  readonly bundle: unknown;
  readonly webhook?: unknown;
  readonly credentials?: unknown;
  readonly digest: Digest;
};
export type Bundles = {
  readonly all: readonly Bundle[];
  /** What findings are said to be about. */
  readonly from: string;
  readonly version?: Minor;
  readonly notes: readonly string[];
};
export type ClusterOptions = { readonly kubeconfig?: string; readonly context?: string; readonly namespace?: string };

const failed = (stderr: string): CommandResult => ({ code: 1, stderr });

const nameIn = (object: Readonly<Record<string, unknown>>): unknown =>
  isRecord(object['metadata']) ? object['metadata']['name'] : undefined;

/** The bundles of a file, each with its webhook's Secret where the file has that. */
export async function bundlesInFile(path: string, io: Io): Promise<Bundles | CommandResult> {
  const input = await readInput(path, io);
  if ('unreadable' in input) return unreadableInput(input.unreadable);
  const { documents, findings } = readDocuments(input.bytes);
  if (findings.length > 0) return failed(findings.map((f) => findingLine(path, f)).join(''));
  const objects = documents.map((d) => d.value);
  const all = objects.flatMap((bundle): Bundle[] => {
    const digest = claimedDigest(bundle);
    if (digest === undefined) return [];
    const webhook = objects.find((o) => o['kind'] === 'Secret' && nameIn(o) === webhookName(digest));
    const credentials = objects.findLast(
      (o) => o['kind'] === 'Secret' && String(nameIn(o)).startsWith(credentialsPrefix(digest)),
    );
    return [
      {
        bundle,
        digest,
        ...(webhook === undefined ? {} : { webhook }),
        ...(credentials === undefined ? {} : { credentials }),
      },
    ];
  });
  if (all.length === 0)
    return failed(
      `error: ${path} holds no published revision: give a ConfigMap or Secret of namespace ${BUNDLES_NAMESPACE}, or what 'auditconfig render -o bundle' prints\n`,
    );
  return { all, from: path, notes: [] };
}

const core = (plural: string, kind: string): Resource => ({ group: '', version: 'v1', plural, kind, namespaced: true });
const CONFIG_MAPS = core('configmaps', 'ConfigMap');
const SECRETS = core('secrets', 'Secret');
const AUDIT_CONFIGS: Resource = {
  ...{ group: 'auditconfig.dev', version: 'v1alpha1', plural: 'auditconfigs', kind: 'AuditConfig', namespaced: true },
};

type Ask = { readonly client: KubeClient; readonly signal: AbortSignal };
const call = (a: Ask): { signal: AbortSignal; timeoutMs: number } => ({ signal: a.signal, timeoutMs: 15_000 });

const revisionOf = (config: KubeObject): Digest | undefined => {
  const status = auditConfigStatus.safeParse(config['status'] ?? {});
  return status.success ? (status.data.revision?.digest as Digest | undefined) : undefined;
};

const fullName = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;

/** The one AuditConfig that is meant, or why none can be told. */
async function chosen(a: Ask, name: string | undefined, o: ClusterOptions): Promise<Result<KubeObject | string>> {
  const listed = await a.client.list(AUDIT_CONFIGS, {
    ...call(a),
    ...(o.namespace === undefined ? {} : { namespace: o.namespace }),
  });
  if (!listed.ok) return listed;
  const named = listed.value.filter((c) => name === undefined || c.metadata.name === name);
  const [one, ...more] = named.filter((c) => revisionOf(c) !== undefined);
  if (one === undefined)
    return ok(
      named.length === 0
        ? `there is no AuditConfig${name === undefined ? '' : ` ${name}`}${o.namespace === undefined ? '' : ` in namespace ${o.namespace}`}`
        : 'the AuditConfig has no revision: see auditconfig status',
    );
  if (more.length > 0)
    return ok(`there are several AuditConfigs, name one: ${[one, ...more].map(fullName).join(', ')}`);
  return ok(one);
}

/** The revision that kubeadm renders into the manifest of a node that joins now. */
async function namedByKubeadm(a: Ask): Promise<Digest | KubeError | undefined> {
  const read = await a.client.get(CONFIG_MAPS, KUBEADM_CONFIG, call(a));
  if (!read.ok) return read.error.code === 'NotFound' ? undefined : read.error;
  const record = kubeadmRecord(read.value.metadata.annotations?.[KUBEADM_ANNOTATION]);
  return typeof record === 'string' ? undefined : (record.digest as Digest);
}

async function fetchBundle(a: Ask, digest: Digest): Promise<Result<Bundle>> {
  const ref = { namespace: BUNDLES_NAMESPACE, name: bundleName(digest) };
  const plain = await a.client.get(CONFIG_MAPS, ref, call(a));
  const bundle = plain.ok || plain.error.code !== 'NotFound' ? plain : await a.client.get(SECRETS, ref, call(a));
  if (!bundle.ok) return bundle;
  const webhook = await a.client.get(SECRETS, { ...ref, name: webhookName(digest) }, call(a));
  if (!webhook.ok && webhook.error.code !== 'NotFound') return webhook;
  if (!webhook.ok) return ok({ bundle: bundle.value, digest });
  const credentials = await newestCredentials(a, digest);
  if (!credentials.ok) return credentials;
  return ok({ bundle: bundle.value, webhook: webhook.value, digest, ...credentials.value });
}

/** Several are there after a rotation, until the older ones are pruned. */
async function newestCredentials(a: Ask, digest: Digest): Promise<Result<{ readonly credentials?: KubeObject }>> {
  const listed = await a.client.list(SECRETS, {
    ...call(a),
    namespace: BUNDLES_NAMESPACE,
    labelSelector: Object.entries(CREDENTIALS_LABEL)
      .map(([k, v]) => `${k}=${v}`)
      .join(','),
  });
  if (!listed.ok) return listed;
  const made = (o: KubeObject): string => o.metadata.creationTimestamp ?? '';
  const [newest] = listed.value
    .filter((o) => o.metadata.name.startsWith(credentialsPrefix(digest)))
    .sort((x, y) => (made(x) < made(y) ? 1 : -1));
  return ok(newest === undefined ? {} : { credentials: newest });
}

async function fetchAll(a: Ask, name: string | undefined, o: ClusterOptions): Promise<Result<Bundles | string>> {
  const config = await chosen(a, name, o);
  if (!config.ok) return config;
  if (typeof config.value === 'string') return ok(config.value);
  const own = revisionOf(config.value);
  const kubeadm = await namedByKubeadm(a);
  const known = typeof kubeadm === 'string' ? kubeadm : undefined;
  const notes =
    typeof kubeadm === 'object' ? [`note: what kubeadm-config names is not known: ${kubeadm.message}\n`] : [];
  const all: Bundle[] = [];
  for (const digest of new Set([own, known])) {
    if (digest === undefined) continue;
    const fetched = await fetchBundle(a, digest);
    if (!fetched.ok) return fetched;
    all.push(fetched.value);
  }
  const answer = await a.client.raw('/version', call(a));
  const git = answer.ok && isRecord(answer.value) ? answer.value['gitVersion'] : undefined;
  const version = typeof git === 'string' ? parseMinor(git) : undefined;
  return ok({ all, from: fullName(config.value), notes, ...(version === undefined ? {} : { version }) });
}

/** What the AuditConfig and kubeadm-config name, from the API. */
export async function bundlesOfCluster(
  name: string | undefined,
  o: ClusterOptions,
  io: Io,
): Promise<Bundles | CommandResult> {
  const context = o.context === undefined ? {} : { context: o.context };
  const credentials = kubeConfigCredentials({ from: 'File', path: o.kubeconfig ?? '', ...context });
  const kube = connectKube({ credentials, userAgent: 'auditconfig prestage' });
  try {
    const found = await fetchAll({ client: kube.client, signal: io.signal }, name, o);
    if (!found.ok) return failed(clusterError(found.error));
    return typeof found.value === 'string' ? failed(`error: ${found.value}\n`) : found.value;
  } finally {
    await kube.close();
  }
}
