/**
 * Looks at a node's kube-apiserver from outside: which process runs with which arguments since when, when it became
 * ready, and how long a bare change of its manifest takes with this kubelet, which is the floor of every figure.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
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

/** Milliseconds from renaming this manifest to its API server being ready. */
export async function bareChange(cluster: Cluster, node: ClusterNode, text: string): Promise<number> {
  const old = await apiServerOf(node);
  const start = Date.now();
  await replaceManifest(node, text);
  await untilRestarted(cluster, node, old);
  return Date.now() - start;
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
