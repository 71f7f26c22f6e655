/**
 * Looks at a node's kube-apiserver from outside: which process runs with which arguments since when, when it became
 * ready, and how long a bare change of its manifest takes with this kubelet, which is the floor of every figure.
 */
import { readFile, readdir, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { listApiServers } from '../../src/host/processes.ts';
import type { ApiServerProcess } from '../../src/host/processes.ts';
import type { Cluster } from './cluster.ts';
import { until } from './lab.ts';
import type { ClusterNode } from './node.ts';

/** The newest kube-apiserver of a node; undefined while none runs. */
export async function apiServerOf(node: ClusterNode): Promise<ApiServerProcess | undefined> {
  return (await listApiServers(node.proc))?.apiServers.at(-1);
}

/** Waits for a ready kube-apiserver other than `old` that `is`; gives it, when it has been ready. */
export async function untilRestarted(
  cluster: Cluster,
  node: ClusterNode,
  old: ApiServerProcess | undefined,
  is: (p: ApiServerProcess) => boolean = () => true,
): Promise<ApiServerProcess> {
  const ask = async (): Promise<ApiServerProcess | undefined> => {
    const before = await apiServerOf(node);
    if (before === undefined || before.pid === old?.pid || !is(before)) return undefined;
    if (!(await cluster.api(node).isReady())) return undefined;
    return (await apiServerOf(node))?.pid === before.pid ? before : undefined;
  };
  return until(`${node.name} has a new kube-apiserver that is ready`, ask, { ms: 240_000 });
}

/** As an editor would, and the agent: beside it, hidden from the kubelet, and renamed over it. */
export async function replaceManifest(node: ClusterNode, text: string): Promise<void> {
  const aside = node.file('etc/kubernetes/manifests/.kube-apiserver.yaml.test');
  await writeFile(aside, text, { mode: 0o600 });
  await rename(aside, node.manifest);
}

/** When a process began, on this process' clock. */
export async function startOf(node: ClusterNode, p: ApiServerProcess): Promise<number> {
  const view = await listApiServers(node.proc);
  return Date.now() - ((view?.now ?? 0) - p.startedAt);
}

/**
 * A restart in two parts, in milliseconds. How long the kubelet waits, from the manifest's rename to the start of the new
 * process, is its own affair and partly its dice: it looks every 10 to 15 s whether the old pod has ended.
 */
export type Restart = { readonly waited: number; readonly started: number };

/** Renames this manifest into its place, and waits until its API server is ready. */
export async function bareChange(cluster: Cluster, node: ClusterNode, text: string): Promise<Restart> {
  const old = await apiServerOf(node);
  const renamed = Date.now();
  await replaceManifest(node, text);
  const next = await untilRestarted(cluster, node, old);
  const ready = Date.now();
  const began = await startOf(node, next);
  return { waited: began - renamed, started: ready - began };
}

/**
 * When the API server's container ended for the second time, of a pod that came since: by the last word in its log, since
 * such a process may live too short to be seen. undefined where it did not.
 */
export async function secondEnd(node: ClusterNode, since: number): Promise<number | undefined> {
  const pods = node.file('var/log/pods');
  const mine = (await readdir(pods)).filter((n) => n.startsWith('kube-system_kube-apiserver-'));
  const logs = mine.map((n) => join(pods, n, 'kube-apiserver/1.log'));
  const ends = await Promise.all(logs.map((l) => stat(l).then((s) => s.mtimeMs, () => 0))); // prettier-ignore
  return ends.find((ms) => ms > since);
}

/** The same pod to everybody but the kubelet. */
export const withAnnotation = (manifest: string, value: string): string =>
  manifest.replace(
    '\n  annotations:\n',
    `\n  annotations:\n    test.auditconfig.dev/floor: ${JSON.stringify(value)}\n`,
  );

export const manifestOf = (node: ClusterNode): Promise<string> => readFile(node.manifest, 'utf8');

export type AuditEvent = { readonly verb: string; readonly level: string; readonly requestURI: string };

/** Every event in the node's log file. */
export async function eventsOf(node: ClusterNode): Promise<readonly AuditEvent[]> {
  const text = await readFile(node.file('var/log/kube-audit/audit.log'), 'utf8');
  return text
    .split('\n')
    .filter((l) => l !== '')
    .map((l) => JSON.parse(l) as AuditEvent);
}
