/**
 * Reads a Deployment or StatefulSet as far as auditing is concerned: the kube-apiserver's container, its words, mounts and
 * volumes. It refuses, with a code, what is no kube-apiserver with flags of its own, and what cannot be brought to a new
 * template by Kubernetes itself. Changes nothing. Called by the hosted target and by whoever follows its rollout.
 */
import type { Finding } from '../../api/findings.ts';
import { refusal } from '../refusal.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type WorkloadKind = 'Deployment' | 'StatefulSet';

export type HostedSpec = { readonly kind: WorkloadKind; readonly container: string };
export const DEFAULT_CONTAINER = 'kube-apiserver';

type Texts = Readonly<Record<string, string>>;
export type ListName = 'command' | 'args';
export type Lists = Readonly<Record<ListName, readonly string[] | null>>;

export type Workload = {
  readonly kind: WorkloadKind;
  readonly name: string;
  /** Index in the template's containers. */
  readonly container: number;
  readonly containerName: string;
  readonly image: string;
  readonly lists: Lists;
  /** Environment variables with a literal value; null for those whose value stands elsewhere. */
  readonly variables: ReadonlyMap<string, string | null>;
  /** There may be variables that are not seen here. */
  readonly hasMoreVariables: boolean;
  /** All of the template's, ours too. */
  readonly containers: readonly Json[];
  /** Whom the API server runs as, as far as the template says it: of runAsUser, runAsGroup and runAsNonRoot. */
  readonly user: { readonly [key: string]: Json };
  readonly mounts: readonly Json[] | null;
  readonly volumes: readonly Json[] | null;
  /** Names of a StatefulSet's volumeClaimTemplates: each is a volume. */
  readonly claims: readonly string[];
  readonly hostNetwork: boolean;
  readonly labels: Texts | null;
  readonly annotations: Texts | null;
};

export type Read<T> = { readonly ok: T } | { readonly refused: readonly Finding[] };

export const no = (code: string, message: string, path = ''): { refused: readonly Finding[] } => ({
  refused: [refusal(code, message, path)],
});

export const isJsonRecord = (v: unknown): v is { readonly [key: string]: Json } =>
  typeof v === 'object' && v !== null && !Array.isArray(v);

/** What stands at a path of keys; undefined where there is nothing. */
export const at = (v: unknown, ...keys: readonly string[]): Json | undefined =>
  keys.reduce<unknown>((o, k) => (isJsonRecord(o) && Object.hasOwn(o, k) ? o[k] : undefined), v) as Json | undefined;

const listAt = (v: unknown, ...keys: readonly string[]): readonly Json[] | null => {
  const found = at(v, ...keys);
  return Array.isArray(found) ? (found as readonly Json[]) : null;
};

const textsAt = (v: unknown, ...keys: readonly string[]): Texts | null => {
  const found = at(v, ...keys);
  if (!isJsonRecord(found)) return null;
  return Object.fromEntries(Object.entries(found).flatMap(([k, x]) => (typeof x === 'string' ? [[k, x]] : [])));
};

const words = (v: readonly Json[] | null): readonly string[] | null =>
  v === null ? null : v.map((w) => (typeof w === 'string' ? w : ''));

const CONTAINERS = 'spec.template.spec.containers';

/** Kubernetes replaces the pods of these by itself; of others a new template would wait for ever. */
function strategyFinding(object: unknown, kind: WorkloadKind): Finding | undefined {
  if (kind === 'Deployment') return undefined;
  const path = 'spec.updateStrategy';
  if (at(object, 'spec', 'updateStrategy', 'type') === 'OnDelete')
    return refusal(
      'UpdateStrategyOnDelete',
      'The StatefulSet replaces no pod by itself (updateStrategy OnDelete), so no change could be followed or taken back. Use RollingUpdate.',
      path,
    );
  const partition = at(object, 'spec', 'updateStrategy', 'rollingUpdate', 'partition');
  if (typeof partition === 'number' && partition > 0)
    return refusal(
      'UpdateStrategyPartitioned',
      `The StatefulSet holds pods below ${partition} back (rollingUpdate.partition), so a change would never be complete. Set it to 0.`,
      path,
    );
  return undefined;
}

function variablesOf(container: Json | undefined): ReadonlyMap<string, string | null> {
  const found = new Map<string, string | null>();
  for (const v of listAt(container, 'env') ?? []) {
    const [name, value] = [at(v, 'name'), at(v, 'value')];
    // One that is made of others would have to be expanded in the kubelet's order: its value counts as unknown.
    const literal = typeof value === 'string' && !value.includes('$') ? value : null;
    if (typeof name === 'string')
      found.set(name, at(v, 'valueFrom') === undefined && value === undefined ? '' : literal);
  }
  return found;
}

/** Of a pod's securityContext and its container's: the container's own words first. */
export function userOf(pod: unknown, container: unknown): { readonly [key: string]: Json } {
  const fields = ['runAsUser', 'runAsGroup', 'runAsNonRoot'];
  return Object.fromEntries(
    fields.flatMap((f) => {
      const value = at(container, f) ?? at(pod, f);
      return value === undefined ? [] : [[f, value]];
    }),
  );
}

/** The workload, or why it cannot be one of ours. */
export function readWorkload(object: unknown, spec: HostedSpec): Read<Workload> {
  const pod = at(object, 'spec', 'template', 'spec');
  const containers = listAt(pod, 'containers') ?? [];
  const index = containers.findIndex((c) => at(c, 'name') === spec.container);
  const container = containers[index];
  if (container === undefined) {
    const names = containers.map((c) => at(c, 'name')).filter((n) => typeof n === 'string');
    const message = `The ${spec.kind} has no container named ${spec.container}; it has ${names.join(', ') || 'none'}. Name it in target.hosted.container.`;
    return no('ContainerNotFound', message, CONTAINERS);
  }
  const strategy = strategyFinding(object, spec.kind);
  if (strategy !== undefined) return { refused: [strategy] };
  const claims = listAt(object, 'spec', 'volumeClaimTemplates') ?? [];
  const image = at(container, 'image');
  return {
    ok: {
      kind: spec.kind,
      name: String(at(object, 'metadata', 'name') ?? ''),
      container: index,
      containerName: spec.container,
      image: typeof image === 'string' ? image : '',
      lists: { command: words(listAt(container, 'command')), args: words(listAt(container, 'args')) },
      variables: variablesOf(container),
      hasMoreVariables: (listAt(container, 'envFrom') ?? []).length > 0,
      containers,
      user: userOf(at(pod, 'securityContext'), at(container, 'securityContext')),
      mounts: listAt(container, 'volumeMounts'),
      volumes: listAt(pod, 'volumes'),
      claims: claims.flatMap((c) => {
        const name = at(c, 'metadata', 'name');
        return typeof name === 'string' ? [name] : [];
      }),
      hostNetwork: at(pod, 'hostNetwork') === true,
      labels: textsAt(object, 'metadata', 'labels'),
      annotations: textsAt(object, 'metadata', 'annotations'),
    },
  };
}
