/**
 * One DatacenterAuditConfig: gather, decide, act. Publishes its content before its status names it, and tells the
 * AuditConfigs whose turn has come. Reconciled as one more key of the queue, at most every half second, and the rarer the
 * more control planes there are, since each status of each of them concerns it and it looks at all.
 */
import { datacenterAuditConfigStatus } from '../api/datacenterauditconfig.ts';
import type { DatacenterAuditConfigSpec } from '../api/datacenterauditconfig.ts';
import { matchesLabels } from '../api/label-selector.ts';
import type { Minor } from '../api/versions.ts';
import { canonicalJson } from '../config/canonical.ts';
import { contentOf } from '../config/datacenter.ts';
import { exemptionOf, selects } from '../config/selection.ts';
import type { KubeClient } from '../kube/client.ts';
import { ok } from '../kube/errors.ts';
import type { KubeError, Result } from '../kube/errors.ts';
import type { EventRecorder } from '../kube/events.ts';
import type { Outcome } from '../kube/queue.ts';
import type { StatusWriter } from '../kube/status.ts';
import { keyOf } from '../kube/types.ts';
import type { KubeObject, ObjectKey } from '../kube/types.ts';
import type { RenderPolicy } from '../render/policy-memo.ts';
import { contentName, decideDatacenter } from '../rollout/datacenter.ts';
import type { DatacenterDecision, DatacenterFacts, MemberFact } from '../rollout/datacenter.ts';
import type { DatacenterMetrics } from '../telemetry/datacenter-metrics.ts';
import type { Logger } from '../telemetry/logger.ts';
import { FIELD_MANAGER } from './act.ts';
import type { Caches } from './caches.ts';
import { datacenterNotes } from './datacenter-notes.ts';
import { hadBy } from './datacenters-had.ts';
import { CONTENT_KEY } from './governed.ts';
import type { GovernedView, ReadReference } from './governed.ts';
import { discoveredName } from './hosted/discovery.ts';
import type { Candidate, Discovery } from './hosted/discovery.ts';
import { placeKey } from './hosted/workloads.ts';
import { stateOf } from './member-state.ts';
import { CONTENT_LABELS } from './pinned.ts';
import { CONFIG_MAPS, CRDS, DATACENTERS } from './resources.ts';

export const DATACENTER_FINALIZER = 'auditconfig.dev/datacenter';
const PREFIX = 'datacenter:';
/** In the queue, beside AuditConfigs, whose keys have a slash and no colon. */
export const datacenterKey = (name: string): string => `${PREFIX}${name}`;
export const datacenterOfKey = (key: string): string | undefined =>
  key.startsWith(PREFIX) ? key.slice(PREFIX.length) : undefined;
/** Each control plane says several things during a rollout; once in a while is often enough to hear them. In ms. */
export const datacenterPause = (controlPlanes: number): number => Math.max(500, controlPlanes);

/** Whose turn came for nothing lets others go first: nobody else tells them. */
const OTHERS_MS = 1_000;
const CONTENT_MIN_AGE_MS = 10 * 60_000;

export type DatacentersOptions = {
  readonly caches: Caches;
  readonly client: KubeClient;
  readonly status: StatusWriter;
  readonly events: EventRecorder;
  readonly governed: GovernedView;
  readonly read: ReadReference;
  readonly bundlesNamespace: string;
  readonly serverVersion: () => Minor;
  readonly log: Logger;
  readonly metrics: DatacenterMetrics;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly renderPolicy: RenderPolicy;
  readonly discovery: Discovery;
  /** AuditConfigs that may take what is new. */
  readonly wake: (key: ObjectKey) => void;
};

export function createDatacenters(o: DatacentersOptions): (name: string, signal: AbortSignal) => Promise<Outcome> {
  return async (name, signal) => {
    const object = o.caches.datacenters.store.get({ name });
    if (object === undefined) {
      o.governed.plan(name, new Map());
      o.metrics.gone(name);
      o.discovery.candidates(name, undefined);
      return { kind: 'Done' };
    }
    const facts = await gather(o, object, signal);
    const decision = decideDatacenter(facts);
    const done = await act(o, { object, references: facts.references }, decision, signal);
    if (!done.ok) return failed(o, name, done.error);
    for (const note of datacenterNotes(facts.status, decision.status)) {
      o.events.record({ regarding: object, ...note });
      o.log.info({ datacenter: name, reason: note.reason }, note.note);
    }
    const released = o.governed.plan(name, decision.takes ?? new Map());
    const admitted = new Set(decision.admit);
    measure(o, name, decision, released.filter((key) => admitted.has(key)).length);
    for (const key of released) o.wake(key);
    if (decision.settled === true && !wasSettled(facts)) await pruneContents(o, signal);
    const passed = await makeDiscovered(o, object, decision, signal);
    const waits = discoveredBy(o, object).flatMap(({ leftMs }) => (leftMs > 0 ? [leftMs + 1] : []));
    const times = [decision.requeueAfterMs, passed ? OTHERS_MS : undefined, ...waits].filter((ms) => ms !== undefined);
    const afterMs = times.length === 0 ? undefined : Math.min(...times);
    return afterMs === undefined ? { kind: 'Done' } : { kind: 'Again', afterMs };
  };
}

/** A deletion that is done leaves no status. */
function measure(o: DatacentersOptions, name: string, { status }: DatacenterDecision, wave: number): void {
  o.metrics.wave(wave);
  const c = status?.controlPlanes;
  if (c === undefined) return;
  const counts = { Selected: c.selected, Updated: c.updated, Ready: c.ready, Failed: c.failed, Exempt: c.exempt };
  o.metrics.seen(name, counts, status?.conditions?.find((x) => x.type === 'RolledOut')?.reason ?? 'Unknown');
}

/** Workloads whose turn has come get their AuditConfigs. True where one got none. */
async function makeDiscovered(
  o: DatacentersOptions,
  datacenter: KubeObject,
  { admit }: DatacenterDecision,
  signal: AbortSignal,
): Promise<boolean> {
  let passed = false;
  const { name } = datacenter.metadata;
  const admitted = new Set(admit);
  for (const candidate of discoveredBy(o, datacenter)) {
    const auditConfig = configKeyOf(candidate);
    if (candidate.leftMs > 0 || !admitted.has(auditConfig)) continue;
    const made = await o.discovery.make(name, candidate, signal);
    if (!made.ok) {
      o.log.warn({ datacenter: name, auditConfig, code: made.error.code }, made.error.message);
    } else if (made.value) o.log.info({ datacenter: name, auditConfig }, 'made for a workload that had none');
    if (!made.ok || !made.value) passed = true;
  }
  return passed;
}

const configKeyOf = ({ namespace, config }: Candidate): ObjectKey => keyOf({ namespace, name: config });

/** Somebody may have taken its name for an AuditConfig of something else: that leaves no workload out. */
function named(o: DatacentersOptions, c: Candidate): Candidate {
  for (let n = 0; ; n++) {
    const config = discoveredName(c.kind, c.name, n === 0 ? undefined : `${c.uid} ${n}`);
    if (o.caches.configs.store.get({ namespace: c.namespace, name: config }) === undefined) return { ...c, config };
  }
}

/** Workloads that it selects, and that no AuditConfig targets. */
function discoveredBy(o: DatacentersOptions, datacenter: KubeObject): readonly Candidate[] {
  const { name, deletionTimestamp } = datacenter.metadata;
  const spec = deletionTimestamp === undefined ? o.governed.specOf(datacenter) : undefined;
  return o.discovery.candidates(name, spec).flatMap((found) => {
    if (o.caches.configs.store.keysBy('workload', placeKey(found)).length > 0) return [];
    const c = named(o, found);
    const config = { metadata: { name: c.config, namespace: c.namespace } } as KubeObject;
    return o.governed.isPlaced(config) && o.governed.governs(datacenter, config) ? [c] : [];
  });
}

/** As the AuditConfig that it is to get: nothing of the datacenter counts for it yet, and its API server runs. */
function discoveredMember(
  o: DatacentersOptions,
  spec: DatacenterAuditConfigSpec | undefined,
  c: Candidate,
): MemberFact {
  const labels = o.caches.namespaces.store.get({ name: c.namespace })?.metadata.labels;
  const canary = matchesLabels(spec?.rollout?.canary?.selector, labels);
  return {
    key: configKeyOf(c),
    canary,
    has: null,
    governed: true,
    exempt: false,
    state: c.leftMs > 0 ? 'Stuck' : 'Ready',
  };
}

const wasSettled = ({ status }: DatacenterFacts): boolean =>
  status.conditions?.find((c) => c.type === 'RolledOut')?.status === 'True';

/** Contents that no datacenter has, and no AuditConfig: those that are young may be about to be named. */
async function pruneContents(o: DatacentersOptions, signal: AbortSignal): Promise<void> {
  const named = new Set<string>();
  for (const config of o.caches.configs.store.values())
    for (const { digest } of hadBy(config)) named.add(contentName(digest));
  for (const object of o.caches.datacenters.store.values()) {
    const status = datacenterAuditConfigStatus.safeParse(object['status'] ?? {});
    // What cannot be read may name anything.
    if (!status.success) return;
    if (status.data.content !== undefined) named.add(status.data.content.name);
  }
  const labelSelector = Object.entries(CONTENT_LABELS)
    .map(([k, v]) => `${k}=${v}`)
    .join(',');
  const namespace = o.bundlesNamespace;
  const list = await o.client.list(CONFIG_MAPS, { signal, namespace, labelSelector, metadataOnly: true });
  for (const { metadata } of list.ok ? list.value : []) {
    const age = o.now() - Date.parse(metadata.creationTimestamp ?? '');
    if (named.has(metadata.name) || !(age > CONTENT_MIN_AGE_MS)) continue;
    const forgotten = await o.governed.pinned.forget(metadata.name, signal);
    const gone = forgotten.ok
      ? await o.client.delete(CONFIG_MAPS, { namespace, name: metadata.name }, { signal })
      : forgotten;
    if (!gone.ok) o.log.warn({ code: gone.error.code }, `${metadata.name} stays: ${gone.error.message}`);
  }
}

function failed(o: DatacentersOptions, datacenter: string, error: KubeError): Outcome {
  o.log.warn({ datacenter, code: error.code }, error.message);
  return { kind: 'Retry' };
}

async function gather(o: DatacentersOptions, object: KubeObject, signal: AbortSignal): Promise<DatacenterFacts> {
  const { name, generation = 0, deletionTimestamp, finalizers = [] } = object.metadata;
  const status = datacenterAuditConfigStatus.safeParse(object['status'] ?? {});
  const spec = o.governed.specOf(object);
  const own = spec === undefined ? [] : [{ name, content: contentOf(spec) }];
  const configs = [...o.caches.configs.store.values()];
  const members = configs.flatMap((c) => memberOf(o, { object, ...(spec === undefined ? {} : { spec }) }, c));
  const keys = new Set(members.filter((m) => m.governed).map((m) => m.key));
  const governed = configs.filter((c) => keys.has(keyOf(c.metadata)));
  return {
    meta: {
      name,
      generation,
      deleting: deletionTimestamp !== undefined,
      hasFinalizer: finalizers.includes(DATACENTER_FINALIZER),
    },
    object,
    status: status.success ? status.data : {},
    ...(deletionTimestamp === undefined ? {} : { definition: await definitionOf(o.client, signal) }),
    members: [...members, ...discoveredBy(o, object).map((c) => discoveredMember(o, spec, c))],
    references: await o.governed.references(own, o.read, signal),
    neighbours: neighboursOf(o, name, governed),
    versions: [o.serverVersion()],
    now: o.now(),
    renderPolicy: o.renderPolicy,
  };
}

function neighboursOf(
  o: DatacentersOptions,
  name: string,
  governed: readonly KubeObject[],
): DatacenterFacts['neighbours'] {
  return [...o.caches.datacenters.store.values()].flatMap((other) => {
    const spec = o.governed.specOf(other);
    const isOther = other.metadata.name !== name && other.metadata.deletionTimestamp === undefined;
    if (!isOther || spec === undefined || !governed.some((c) => o.governed.governs(other, c))) return [];
    return [{ name: other.metadata.name, content: contentOf(spec) }];
  });
}

type Subject = { readonly object: KubeObject; readonly spec?: DatacenterAuditConfigSpec };

function memberOf(o: DatacentersOptions, { object, spec }: Subject, config: KubeObject): readonly MemberFact[] {
  const has = hadBy(config).find((d) => d.name === object.metadata.name)?.digest ?? null;
  const subject = o.governed.subjectOf(config);
  const selected = spec !== undefined && selects(spec, subject);
  const exempt = spec !== undefined && selected && exemptionOf(spec, subject, o.now()) !== undefined;
  // Where the spec cannot be read, or the Namespace is not known, nobody leaves.
  const governed = spec === undefined || !o.governed.isPlaced(config) ? has !== null : selected && !exempt;
  if (!governed && !exempt && has === null) return [];
  const canary = matchesLabels(spec?.rollout?.canary?.selector, subject.namespaceLabels);
  return [{ key: keyOf(config.metadata), canary, has, governed, exempt, ...stateOf(config) }];
}

/** Asked of the API server itself: the answer decides whether a deletion was meant. */
async function definitionOf(
  client: KubeClient,
  signal: AbortSignal,
): Promise<NonNullable<DatacenterFacts['definition']>> {
  const crd = await client.get(CRDS, { name: `${DATACENTERS.plural}.${DATACENTERS.group}` }, { signal });
  if (!crd.ok) return crd.error.code === 'NotFound' ? 'Leaving' : 'Unknown';
  return crd.value.metadata.deletionTimestamp === undefined ? 'Served' : 'Leaving';
}

async function act(
  o: DatacentersOptions,
  { object, references }: { readonly object: KubeObject } & Pick<DatacenterFacts, 'references'>,
  decision: DatacenterDecision,
  signal: AbortSignal,
): Promise<Result<unknown>> {
  const { keep, publish, status, finalizer } = decision;
  if (finalizer === 'Add') return setFinalizer(o, object, true, signal);
  if (keep !== undefined) {
    const kept = await o.governed.pinned.keep({ ...keep, references }, signal);
    if (!kept.ok) return kept;
  }
  if (publish !== undefined) {
    const published = await publishContent(o, publish, signal);
    if (!published.ok) return published;
  }
  if (status !== undefined) {
    const target = { metadata: object.metadata, status: object['status'] };
    const written = await o.status.apply(target, status, signal);
    if (!written.ok && written.error.code !== 'NotFound') return written;
  }
  return finalizer === 'Remove' ? setFinalizer(o, object, false, signal) : ok(undefined);
}

async function publishContent(
  { client, bundlesNamespace }: DatacentersOptions,
  { name, content }: NonNullable<DatacenterDecision['publish']>,
  signal: AbortSignal,
): Promise<Result<unknown>> {
  const object: KubeObject = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: bundlesNamespace, labels: CONTENT_LABELS },
    immutable: true,
    data: { [CONTENT_KEY]: canonicalJson(content) },
  };
  const created = await client.create(CONFIG_MAPS, object, { signal, fieldManager: FIELD_MANAGER });
  return !created.ok && created.error.code === 'AlreadyExists' ? ok(undefined) : created;
}

/** Guarded by the version that was read: a finalizer list is shared with others. */
async function setFinalizer(
  { client }: DatacentersOptions,
  { metadata }: KubeObject,
  wanted: boolean,
  signal: AbortSignal,
): Promise<Result<unknown>> {
  const { name, resourceVersion, finalizers = [] } = metadata;
  const others = finalizers.filter((f) => f !== DATACENTER_FINALIZER);
  const patch = { metadata: { resourceVersion, finalizers: wanted ? [...others, DATACENTER_FINALIZER] : others } };
  const done = await client.mergePatch(DATACENTERS, { name }, patch, { signal, fieldManager: FIELD_MANAGER });
  return !done.ok && done.error.code === 'NotFound' ? ok(undefined) : done;
}
