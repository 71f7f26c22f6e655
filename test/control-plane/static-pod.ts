/**
 * Bytes of a manifest to the pod that a kubelet would run, or the reason why it would not. Pure.
 *
 * Rules from pkg/kubelet/config (common.go, file.go) and the pod validation of Kubernetes 1.36, as far as an edit of a
 * kube-apiserver manifest can break them. What this does not know: fields that the kubelet's decoder drops count for
 * the hash here, so that adding an unknown field restarts the pod, which it would not on a node.
 */
import { createHash } from 'node:crypto';
import { parseAllDocuments } from 'yaml';

export type Mount = { readonly name: string; readonly mountPath: string; readonly readOnly: boolean };
export type HostPathType = '' | 'Directory' | 'DirectoryOrCreate' | 'File' | 'FileOrCreate';
export type Volume =
  | { readonly name: string; readonly kind: 'hostPath'; readonly path: string; readonly type: HostPathType }
  | { readonly name: string; readonly kind: 'emptyDir' };

export type Container = {
  readonly name: string;
  readonly image: string;
  /** command and args, in this order. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly mounts: readonly Mount[];
};

export type StaticPod = {
  /** namespace/name. */
  readonly key: string;
  /** Hash of the decoded pod and its file name, as the kubelet makes a static pod's UID: another one is another pod. */
  readonly uid: string;
  readonly file: string;
  readonly containers: readonly Container[];
  readonly volumes: readonly Volume[];
  readonly gracePeriodMs: number;
};

export type Decoded = { readonly pod: StaticPod } | { readonly invalid: string };

/** maxConfigLength of pkg/kubelet/config. */
const MAX_BYTES = 10 * 1024 * 1024;
const DNS_LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const DNS_SUBDOMAIN = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const HOST_PATH_TYPES = new Set<unknown>(['', 'Directory', 'DirectoryOrCreate', 'File', 'FileOrCreate']);

/** Says what is wrong in the words of a field path; thrown here, caught in decodeStaticPod. */
class Invalid extends Error {}

type Json = { readonly [key: string]: unknown };

function object(value: unknown, path: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Invalid(`${path}: not an object`);
  return Object.fromEntries(Object.entries(value));
}
function list(value: unknown, path: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Invalid(`${path}: not a list`);
  return value;
}
/** Go's decoder refuses a number or a boolean where a string belongs: `- --v=2` is fine, `- 2` is not. */
function string(value: unknown, path: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw new Invalid(`${path}: ${JSON.stringify(value)} is not a string`);
  return value;
}
function boolean(value: unknown, path: string): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value !== 'boolean') throw new Invalid(`${path}: not a boolean`);
  return value;
}
function required(value: unknown, path: string): string {
  const s = string(value, path);
  if (s === '') throw new Invalid(`${path}: Required value`);
  return s;
}
function unique(values: readonly string[], path: string, rule: 'Duplicate value' | 'must be unique'): void {
  const seen = new Set<string>();
  for (const v of values) {
    if (seen.has(v)) throw new Invalid(`${path}: ${rule}: ${JSON.stringify(v)}`);
    seen.add(v);
  }
}

function volumeOf(value: unknown, path: string): Volume {
  const v = object(value, path);
  const name = required(v['name'], `${path}.name`);
  if (!DNS_LABEL.test(name)) throw new Invalid(`${path}.name: Invalid value: ${JSON.stringify(name)}`);
  const kinds = Object.keys(v).filter((k) => k !== 'name' && v[k] !== null);
  if (kinds.length > 1) throw new Invalid(`${path}: may not specify more than 1 volume type`);
  if (kinds.length === 0 || kinds[0] === 'emptyDir') return { name, kind: 'emptyDir' };
  if (kinds[0] !== 'hostPath') throw new Invalid(`${path}.${kinds[0]}: not supported by this runner`);
  const hostPath = object(v['hostPath'], `${path}.hostPath`);
  const host = required(hostPath['path'], `${path}.hostPath.path`);
  if (host.split('/').includes('..')) throw new Invalid(`${path}.hostPath.path: must not contain '..'`);
  const type = string(hostPath['type'], `${path}.hostPath.type`);
  if (!HOST_PATH_TYPES.has(type))
    throw new Invalid(`${path}.hostPath.type: Unsupported value: ${JSON.stringify(type)}`);
  return { name, kind: 'hostPath', path: host, type: type as HostPathType };
}

function mountOf(value: unknown, path: string): Mount {
  const m = object(value, path);
  if (m['subPath'] !== undefined || m['subPathExpr'] !== undefined)
    throw new Invalid(`${path}.subPath: not supported by this runner`);
  return {
    name: required(m['name'], `${path}.name`),
    mountPath: required(m['mountPath'], `${path}.mountPath`),
    readOnly: boolean(m['readOnly'], `${path}.readOnly`),
  };
}

function containerOf(value: unknown, path: string, volumes: ReadonlySet<string>): Container {
  const c = object(value, path);
  const strings = (key: string): string[] =>
    list(c[key], `${path}.${key}`).map((s, i) => string(s, `${path}.${key}[${i}]`));
  const mounts = list(c['volumeMounts'], `${path}.volumeMounts`).map((m, i) =>
    mountOf(m, `${path}.volumeMounts[${i}]`),
  );
  for (const [i, m] of mounts.entries())
    if (!volumes.has(m.name))
      throw new Invalid(`${path}.volumeMounts[${i}].name: Not found: ${JSON.stringify(m.name)}`);
  unique(mounts.map((m) => m.mountPath), `${path}.volumeMounts.mountPath`, 'must be unique'); // prettier-ignore
  const env = list(c['env'], `${path}.env`).map((e, i) => object(e, `${path}.env[${i}]`));
  return {
    name: required(c['name'], `${path}.name`),
    image: required(c['image'], `${path}.image`),
    argv: [...strings('command'), ...strings('args')],
    env: Object.fromEntries(env.map((e, i) => [required(e['name'], `${path}.env[${i}].name`), string(e['value'], `${path}.env[${i}].value`)])), // prettier-ignore
    mounts,
  };
}

function podOf(value: unknown, file: string): StaticPod {
  const root = object(value, 'pod');
  if (root['apiVersion'] !== 'v1' || root['kind'] !== 'Pod') throw new Invalid('not a v1 Pod');
  const metadata = object(root['metadata'] ?? {}, 'metadata');
  const name = required(metadata['name'], 'metadata.name');
  if (!DNS_SUBDOMAIN.test(name)) throw new Invalid(`metadata.name: Invalid value: ${JSON.stringify(name)}`);
  const annotations = object(metadata['annotations'] ?? {}, 'metadata.annotations');
  for (const [k, v] of Object.entries(annotations)) string(v, `metadata.annotations[${k}]`);
  const spec = object(root['spec'] ?? {}, 'spec');
  if (list(spec['initContainers'], 'spec.initContainers').length > 0)
    throw new Invalid('spec.initContainers: not supported by this runner');
  const volumes = list(spec['volumes'], 'spec.volumes').map((v, i) => volumeOf(v, `spec.volumes[${i}]`));
  unique(volumes.map((v) => v.name), 'spec.volumes.name', 'Duplicate value'); // prettier-ignore
  const names = new Set(volumes.map((v) => v.name));
  const containers = list(spec['containers'], 'spec.containers').map((c, i) => containerOf(c, `spec.containers[${i}]`, names)); // prettier-ignore
  if (containers.length === 0) throw new Invalid('spec.containers: Required value');
  unique(containers.map((c) => c.name), 'spec.containers.name', 'Duplicate value'); // prettier-ignore
  const grace = spec['terminationGracePeriodSeconds'] ?? 30;
  if (typeof grace !== 'number') throw new Invalid('spec.terminationGracePeriodSeconds: not a number');
  return {
    key: `${string(metadata['namespace'], 'metadata.namespace') || 'default'}/${name}`,
    uid: createHash('sha256').update(canonical(root)).update(`file:${file}`).digest('hex').slice(0, 32),
    file,
    containers,
    volumes,
    gracePeriodMs: grace * 1_000,
  };
}

/** JSON with sorted keys, without nulls and empty values, which a Go struct does not tell from absent ones. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, v: unknown) => {
    if (typeof v !== 'object' || v === null || Array.isArray(v)) return v;
    const filled = Object.entries(v).filter(([, x]) => x !== null && x !== '' && !isEmpty(x));
    return Object.fromEntries(filled.sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
const isEmpty = (v: unknown): boolean => typeof v === 'object' && v !== null && Object.keys(v).length === 0;

/** `file` is the manifest's path: the same pod in another file is another pod, as for the kubelet. */
export function decodeStaticPod(bytes: Uint8Array, file: string): Decoded {
  if (bytes.length > MAX_BYTES) return { invalid: 'larger than 10 MiB' };
  // As the kubelet's reader: the first document, YAML 1.1 without timestamps, the last one of duplicate keys.
  const [document] = parseAllDocuments(Buffer.from(bytes).toString('utf8'), {
    version: '1.1',
    uniqueKeys: false,
    customTags: (tags) => tags.filter((t) => t !== 'timestamp'),
  });
  if (document === undefined || !('errors' in document)) return { invalid: 'no document' };
  const error = document.errors[0];
  if (error !== undefined) return { invalid: error.message };
  try {
    return { pod: podOf(document.toJS(), file) };
  } catch (e) {
    if (e instanceof Invalid) return { invalid: e.message };
    throw e;
  }
}
