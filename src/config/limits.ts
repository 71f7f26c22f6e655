/**
 * A datacenter's limits, applied: a number beyond one is moved to it, and a value that is not allowed is left out, or
 * replaced by the first that is. Refuses nothing: an AuditConfig that asks for too much must not hold back what is
 * enforced. With several datacenters the strongest counts last, so that it wins where two exclude each other. What a
 * datacenter enforces is not limited. Called by datacenter.ts.
 */
import type { LayerSpec } from '../api/auditconfig.ts';
import type { EnvironmentVariable, FluentBitSection } from '../api/auditconfig-sinks.ts';
import type { DatacenterLimits } from '../api/datacenter-limits.ts';
import { parseSize } from '../api/quantity.ts';
import { isAllowed } from './destinations.ts';
import type { AllowedDestinations, Destination } from './destinations.ts';
import { fieldOf, withoutField } from './fields.ts';
import type { Datacenter, FieldPath, Ignored, Layer, LayerInput, ResolvedSpec } from './types.ts';

type Bounds = { readonly min?: number | string; readonly max?: number | string };

/** Fields with a floor and a ceiling; below `limits` they have the same path. */
const BOUNDED: readonly FieldPath[] = [
  ...['maxAgeDays', 'maxBackups', 'maxSize', 'totalSize'].map((f) => `log.retention.${f}`),
  ...['log', 'webhook'].flatMap((sink) => [
    ...['bufferSize', 'maxSize', 'maxWaitSeconds', 'throttle.qps', 'throttle.burst'].map((f) => `${sink}.batch.${f}`),
    ...['maxEventSize', 'maxBatchSize'].map((f) => `${sink}.truncate.${f}`),
  ]),
  'rollout.minReadySeconds',
  'rollout.timeoutSeconds',
];

type Choice = {
  readonly path: FieldPath;
  readonly allowed: (limits: DatacenterLimits) => readonly string[] | undefined;
  readonly has: (allowed: readonly string[], value: string) => boolean;
  /** The value that stands for an allowed one. */
  readonly use: (allowed: string) => string;
};
const oneOf = (allowed: readonly string[], value: string): boolean => allowed.includes(value);
const same = (allowed: string): string => allowed;
const folderOf = (path: string): string => (path.endsWith('/') ? path : `${path}/`);

const CHOICES: readonly Choice[] = [
  { path: 'log.type', allowed: (l) => l.log?.types, has: oneOf, use: same },
  { path: 'log.mode', allowed: (l) => l.log?.modes, has: oneOf, use: same },
  {
    path: 'log.file.path',
    allowed: (l) => l.log?.paths,
    has: (folders, path) => folders.some((f) => path.startsWith(folderOf(f))),
    use: (folder) => `${folderOf(folder)}audit.log`,
  },
  { path: 'webhook.mode', allowed: (l) => l.webhook?.modes ?? ['Batch'], has: oneOf, use: same },
  { path: 'shipping.fluentBit.image', allowed: (l) => l.shipping?.images, has: oneOf, use: same },
];

const limiting = ({ name }: Datacenter): Layer => ({ from: 'Datacenter', name, part: 'limits' });

/** A datacenter that limits nothing leaves out nothing either. An empty list is no choice. */
const allowedBy = (choice: Choice, { content: { limits } }: Datacenter): readonly string[] | undefined => {
  const allowed = limits === undefined ? undefined : choice.allowed(limits);
  return allowed === undefined || allowed.length === 0 ? undefined : allowed;
};

/** The AuditConfig's own fields without those whose value some datacenter does not allow. */
export function withoutDisallowed(
  own: LayerSpec,
  strongestFirst: readonly Datacenter[],
): { readonly spec: LayerSpec; readonly ignored: readonly Ignored[] } {
  let spec = own;
  const ignored: Ignored[] = [];
  for (const choice of CHOICES) {
    const value = fieldOf(spec, choice.path);
    const by = strongestFirst.find((d) => {
      const allowed = allowedBy(choice, d);
      return typeof value === 'string' && allowed !== undefined && !choice.has(allowed, value);
    });
    if (by === undefined) continue;
    ignored.push({ path: choice.path, by: limiting(by) });
    spec = withoutField(spec, choice.path);
  }
  const by = strongestFirst.find((d) => !mayShip(spec, d));
  if (by === undefined) return { spec, ignored };
  return { spec: withoutField(spec, 'shipping'), ignored: [...ignored, { path: 'shipping', by: limiting(by) }] };
}

/** fluent-bit does not look at the case of keys and of plugins' names. */
const valueIn = (section: FluentBitSection, key: string): string | undefined => {
  const found = Object.entries(section).find(([k]) => k.toLowerCase() === key);
  return found === undefined ? undefined : String(found[1]);
};

const portIn = (text: string | undefined): { readonly port?: number } =>
  text !== undefined && /^[0-9]{1,5}$/.test(text) ? { port: Number(text) } : {};

/** `scheme://user@host:port/path`, or host and port alone. What is neither goes nowhere that anybody allowed. */
function inUrl(text: string): Destination {
  const [, host = '', port] =
    /^(?:[a-z][a-z0-9+.-]*:\/\/)?(?:[^@/]*@)?(\[[^\]]*\]|[^:/\s]+)(?::([0-9]+))?(?:\/|$)/i.exec(text) ?? [];
  return { host, ...portIn(port) };
}

/** Keys of outputs that say where to by themselves, beside Host and Port. */
const URLS = [
  'proxy', 'endpoint', 'sts_endpoint', 'aws_sts_endpoint', 'base_uri', 'auth_url', 'dce_url', 'oauth2.token_url',
  'rdkafka.sasl.oauthbearer.token.endpoint.url',
]; // prettier-ignore
const LISTS = ['brokers', 'rdkafka.bootstrap.servers', 'rdkafka.metadata.broker.list'];

/** Whom an output speaks to, as far as its keys say it; a plugin that knows by itself is limited by its name. */
function reachedBy(output: FluentBitSection): readonly Destination[] {
  const hosts = [
    ['host', 'port'],
    ['logdna_host', 'logdna_port'],
  ].flatMap(([key = '', port = '']): Destination[] => {
    const host = valueIn(output, key);
    return host === undefined ? [] : [{ host, ...portIn(valueIn(output, port)) }];
  });
  const urls = URLS.flatMap((key) => valueIn(output, key) ?? []);
  const lists = LISTS.flatMap((key) => valueIn(output, key)?.split(',') ?? []);
  return [...hosts, ...[...urls, ...lists].map((text) => inUrl(text.trim()))];
}

/** fluent-bit sends everything through the proxy that its environment names. */
const proxiedBy = (env: readonly EnvironmentVariable[]): readonly Destination[] =>
  env.filter(({ name }) => /^http_proxy$/i.test(name)).map(({ value }) => inUrl(value ?? ''));

/** As a whole or not at all: without one of its filters it would tell what it was to hide. */
function mayShip({ shipping }: LayerSpec, { content: { limits } }: Datacenter): boolean {
  const { env = [], filters = [], outputs = [] } = shipping?.fluentBit ?? {};
  const { plugins, destinations } = limits?.shipping ?? {};
  const known = plugins?.map((p) => p.toLowerCase());
  const named = [...filters, ...outputs].every((s) => known?.includes(valueIn(s, 'name')?.toLowerCase() ?? '') ?? true);
  const reached = destinations === undefined ? [] : [...outputs.flatMap(reachedBy), ...proxiedBy(env)];
  return named && reached.every((to) => isAllowed([destinations ?? []], to));
}

/** What of shipping somebody allowed by name; the rest of it is left as it is, and what only datacenters set is theirs. */
export const shippingPermits = (datacenters: readonly Datacenter[]): { images: boolean; plugins: boolean } => ({
  images: datacenters.some(({ content: { limits } }) => (limits?.shipping?.images ?? []).length > 0),
  plugins: datacenters.some(({ content: { limits } }) => (limits?.shipping?.plugins ?? []).length > 0),
});

/** What each datacenter that limits them allows a webhook. */
export const webhookDestinations = (datacenters: readonly Datacenter[]): readonly AllowedDestinations[] =>
  datacenters.flatMap(({ content: { limits } }) => {
    const list = limits?.webhook?.destinations;
    return list === undefined ? [] : [list];
  });

/** Whose limit it is that a webhook may not send there: the strongest that has one. */
export const limiterOfWebhook = (strongestFirst: readonly Datacenter[]): Layer | undefined => {
  const by = strongestFirst.find((d) => d.content.limits?.webhook?.destinations !== undefined);
  return by === undefined ? undefined : limiting(by);
};

/** What is to be laid over `base`, so that it keeps the limits; weakest first, like the datacenters. */
export function limitLayers(base: ResolvedSpec, weakestFirst: readonly Datacenter[]): readonly LayerInput[] {
  const now = new Map<FieldPath, unknown>();
  const current = (path: FieldPath): unknown => (now.has(path) ? now.get(path) : fieldOf(base, path));
  return weakestFirst.flatMap((d): LayerInput[] => {
    const { limits } = d.content;
    if (limits === undefined) return [];
    const moved: (readonly [FieldPath, unknown])[] = [];
    const move = (path: FieldPath, value: unknown): void => {
      if (value === current(path)) return;
      moved.push([path, value]);
      now.set(path, value);
    };
    for (const choice of CHOICES) {
      const value = current(choice.path);
      const [first, ...more] = allowedBy(choice, d) ?? [];
      if (typeof value === 'string' && first !== undefined && !choice.has([first, ...more], value))
        move(choice.path, choice.use(first));
    }
    for (const path of BOUNDED) {
      // Of a webhook that is not there nothing is limited.
      if (path.startsWith('webhook.') && base.webhook === undefined) continue;
      const bounds = fieldOf(limits, path) as Bounds | undefined;
      if (bounds !== undefined) move(path, bounded(path, current(path), bounds));
    }
    return moved.length === 0 ? [] : [{ layer: limiting(d), spec: treeOf(moved) }];
  });
}

/** Size and number alike; what is not set has no end, and neither has an age of 0 days. */
function bounded(path: FieldPath, value: unknown, { min, max }: Bounds): unknown {
  const endless = value === undefined || (path === 'log.retention.maxAgeDays' && value === 0);
  const at = endless ? Infinity : measure(value);
  if (max !== undefined && at > measure(max)) return max;
  if (min !== undefined && at < measure(min)) return min;
  return value;
}

const measure = (value: unknown): number =>
  typeof value === 'number' ? value : typeof value === 'string' ? (parseSize(value) ?? Number.NaN) : Number.NaN;

/** Values by path as the part of a spec that has just these. */
function treeOf(values: readonly (readonly [FieldPath, unknown])[]): LayerSpec {
  const tree: Record<string, unknown> = {};
  for (const [path, value] of values) {
    const keys = path.split('.');
    let node = tree;
    for (const key of keys.slice(0, -1)) node = (node[key] ??= {}) as Record<string, unknown>;
    node[keys.at(-1) ?? ''] = value;
  }
  // Partial: a webhook's limits know no Secret. It is merged over one that has it.
  return tree as LayerSpec;
}
