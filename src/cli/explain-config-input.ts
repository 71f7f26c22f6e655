/**
 * What `explain-config` is about: one AuditConfig and the DatacenterAuditConfigs that concern it, from files or from a
 * cluster, and for each of these why it counts or not.
 */
import { auditConfigStatus } from '../api/auditconfig.ts';
import type { AuditConfig } from '../api/auditconfig.ts';
import { datacenterAuditConfigStatus } from '../api/datacenterauditconfig.ts';
import type { DatacenterAuditConfig } from '../api/datacenterauditconfig.ts';
import { hasErrors } from '../api/findings.ts';
import type { Labels } from '../api/label-selector.ts';
import { contentDigest, contentOf } from '../config/datacenter.ts';
import { parseAuditConfig, parseDatacenter } from '../config/parse.ts';
import { exemptionOf, selects } from '../config/selection.ts';
import type { Datacenter } from '../config/types.ts';
import { connectKube } from '../kube/connect.ts';
import { kubeConfigCredentials } from '../kube/credentials.ts';
import type { Resource } from '../kube/types.ts';
import { isRecord } from '../kube/types.ts';
import { readDocuments } from '../render/documents.ts';
import { referredIn } from '../render/pins.ts';
import { clusterError } from './cluster-error.ts';
import { readInput } from './policy-input.ts';
import { findingLine } from './render.ts';
import type { Io } from './types.ts';

export type Concerned = {
  readonly name: string;
  readonly counts: boolean;
  readonly why: string;
  readonly content: Datacenter['content'];
  /** Of what it published; undefined where that is something else by now. */
  readonly published?: string;
};
export type ConfigInput = {
  readonly config: AuditConfig;
  readonly datacenters: readonly Concerned[];
  /** Sentences for standard error. */
  readonly notes: readonly string[];
};
export type Unread = { readonly errors: string };

type Found = {
  readonly configs: readonly AuditConfig[];
  readonly datacenters: readonly DatacenterAuditConfig[];
  /** undefined: nobody said. */
  readonly namespaceLabels?: Labels;
};

function publishedIn(status: unknown, generation: unknown): Pick<Concerned, 'published'> {
  const parsed = datacenterAuditConfigStatus.safeParse(status ?? {});
  if (!parsed.success || parsed.data.observedGeneration !== generation) return {};
  const { content, conditions = [] } = parsed.data;
  const isAccepted = conditions.some((c) => c.type === 'Accepted' && c.status === 'True');
  return content === undefined || !isAccepted ? {} : { published: content.digest };
}

/** Does it count, as things are at `now`? Where the namespace is not known, its labels are no hindrance. */
function concerned(
  { metadata, spec, status }: DatacenterAuditConfig,
  config: AuditConfig,
  labels: Labels | undefined,
  now: number,
): Concerned {
  const { name, namespace = '' } = config.metadata;
  const own = config.metadata['labels'];
  const subject = { name, namespace, namespaceLabels: labels ?? {}, labels: isRecord(own) ? (own as Labels) : {} };
  const { namespaceSelector: _any, ...rest } = spec.selector ?? {};
  const asked = labels === undefined && spec.selector !== undefined ? { selector: rest } : spec;
  const of = (counts: boolean, why: string): Concerned => ({
    name: metadata.name,
    counts,
    why,
    content: contentOf(spec),
    ...publishedIn(status, metadata['generation']),
  });
  if (!selects(asked, subject)) return of(false, 'does not select it');
  const exemption = exemptionOf(spec, subject, now);
  if (exemption !== undefined) return of(false, `exempt until ${exemption.expirationTime}: ${exemption.reason}`);
  return of(true, labels === undefined ? 'assumed to select its namespace' : 'selects it');
}

/** `from`: where it was looked for, as the end of a sentence. */
type Asked = { readonly name: string | undefined; readonly namespace: string | undefined; readonly from?: string };

function chosen(found: Found, { name, namespace, from = '' }: Asked, now: number): ConfigInput | Unread {
  const [config, second] = found.configs.filter(
    ({ metadata: m }) =>
      (name === undefined || m.name === name) && (namespace === undefined || (m.namespace ?? namespace) === namespace),
  );
  const where = namespace === undefined ? '' : ` in namespace ${namespace}`;
  if (config === undefined)
    return { errors: `error: there is no AuditConfig${name === undefined ? '' : ` ${name}`}${where}${from}\n` };
  if (second !== undefined)
    return {
      errors: `error: there is more than one AuditConfig${where}: give its name${where === '' ? ' and namespace' : ''}\n`,
    };
  const datacenters = found.datacenters.map((d) => concerned(d, config, found.namespaceLabels, now));
  return { config, datacenters, notes: [] };
}

/** From files: AuditConfig, DatacenterAuditConfigs, and its Namespace, whose labels decide who selects it. */
export async function fromFiles(
  { files, ...which }: Asked & { readonly files: readonly string[] },
  io: Io,
  now: number,
): Promise<ConfigInput | Unread> {
  const asked = { ...which, from: ` in ${files.join(', ')} (apiVersion: auditconfig.dev/v1alpha1, kind: AuditConfig)` };
  const configs: AuditConfig[] = [];
  const datacenters: DatacenterAuditConfig[] = [];
  const namespaces: Readonly<Record<string, unknown>>[] = [];
  const errors: string[] = [];
  for (const file of files) {
    const input = await readInput(file, io);
    if ('unreadable' in input) return { errors: `error: ${input.unreadable}\n` };
    const { documents, findings } = readDocuments(input.bytes);
    errors.push(...findings.map((f) => findingLine(file, f)));
    for (const doc of documents) {
      const kind = doc.value['kind'];
      if (kind === 'Namespace') namespaces.push(doc.value);
      if (kind !== 'AuditConfig' && kind !== 'DatacenterAuditConfig') continue;
      const of = kind === 'AuditConfig' ? parseAuditConfig(doc.value) : parseDatacenter(doc.value);
      if ('config' in of && of.config !== undefined) configs.push(of.config);
      if ('datacenter' in of && of.datacenter !== undefined) datacenters.push(of.datacenter);
      if (hasErrors(of.findings))
        errors.push(...of.findings.map((f) => findingLine(file, { ...f, at: doc.locate(f.path) })));
    }
  }
  if (errors.length > 0) return { errors: errors.join('') };
  const input = chosen({ configs, datacenters }, asked, now);
  if ('errors' in input) return input;
  const namespace = namespaces.find(
    (n) => isRecord(n['metadata']) && n['metadata']['name'] === input.config.metadata.namespace,
  );
  if (namespace === undefined)
    return {
      ...input,
      notes: datacenters.length === 0 ? [] : ['its Namespace is in no file: every namespaceSelector is taken to match'],
    };
  const metadata = isRecord(namespace['metadata']) ? namespace['metadata'] : {};
  const namespaceLabels = isRecord(metadata['labels']) ? (metadata['labels'] as Labels) : {};
  return chosen({ configs, datacenters, namespaceLabels }, asked, now);
}

const resource = (group: string, version: string, plural: string, kind: string): Resource => ({
  ...{ group, version, plural, kind, namespaced: plural === 'auditconfigs' },
});
const AUDIT_CONFIGS = resource('auditconfig.dev', 'v1alpha1', 'auditconfigs', 'AuditConfig');
const DATACENTERS = resource('auditconfig.dev', 'v1alpha1', 'datacenterauditconfigs', 'DatacenterAuditConfig');
const NAMESPACES = resource('', 'v1', 'namespaces', 'Namespace');

export type Cluster = {
  readonly name: string;
  readonly namespace: string;
  readonly kubeconfig?: string;
  readonly context?: string;
};

export async function fromCluster(o: Cluster, io: Io, now: number): Promise<ConfigInput | Unread> {
  const context = o.context === undefined ? {} : { context: o.context };
  const kube = connectKube({
    credentials: kubeConfigCredentials(
      o.kubeconfig === undefined ? { from: 'Default', ...context } : { from: 'File', path: o.kubeconfig, ...context },
    ),
    userAgent: 'auditconfig explain-config',
  });
  const call = { signal: io.signal, timeoutMs: 15_000 };
  try {
    const object = await kube.client.get(AUDIT_CONFIGS, { namespace: o.namespace, name: o.name }, call);
    if (!object.ok) return { errors: clusterError(object.error) };
    const { config, findings } = parseAuditConfig(object.value);
    if (config === undefined) return { errors: findings.map((f) => findingLine(o.name, f)).join('') };
    const list = await kube.client.list(DATACENTERS, call);
    if (!list.ok) return { errors: clusterError(list.error) };
    const namespace = await kube.client.get(NAMESPACES, { name: o.namespace }, call);
    const labels = namespace.ok ? { namespaceLabels: namespace.value.metadata.labels ?? {} } : {};
    const datacenters = list.value.flatMap((d) => parseDatacenter(d).datacenter ?? []);
    const input = chosen({ configs: [config], datacenters, ...labels }, o, now);
    if ('errors' in input) return input;
    return { ...input, notes: [...input.notes, ...notYet(input, object.value['status'])] };
  } finally {
    await kube.close();
  }
}

/** What is on its way: shown is what will count, and status says what counts. */
function notYet({ datacenters }: ConfigInput, status: unknown): readonly string[] {
  const parsed = auditConfigStatus.safeParse(status ?? {});
  const has = parsed.success ? (parsed.data.datacenters ?? []) : [];
  return datacenters.flatMap(({ name, counts, content, published }) => {
    const now = has.find((d) => d.name === name)?.digest;
    // Of what it refers to only the controller knows.
    const wanted = !counts ? undefined : referredIn(content).length === 0 ? contentDigest(content) : published;
    return now === wanted && (!counts || wanted !== undefined)
      ? []
      : [`DatacenterAuditConfig ${name}: what is shown has not reached this AuditConfig yet`];
  });
}
