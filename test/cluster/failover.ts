/** Watches a rollout from outside: a client that fails over between the API servers, and which of them are down when. */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { spawnReaped } from '../control-plane/reaper.ts';
import { credentialsIn } from './api.ts';
import type { Cluster } from './cluster.ts';
import { API_PORT } from './kubeadm.ts';
import { untilReady } from './lab.ts';

export type ClientReport = {
  readonly asked: number;
  /** Connections that were refused, and GOAWAYs: what it went to the next server for. */
  readonly refused: number;
  readonly goaway: number;
  /** `503 apiserver is shutting down` with Retry-After, in the moment between SIGTERM and GOAWAY. */
  readonly ending: number;
  readonly slowestMs: number;
  /** What a user would have seen fail. */
  readonly failed: readonly string[];
};

/** Starts failover-client.mjs in the cluster's network; the result ends it and gives its report. */
export async function startClient(cluster: Cluster, signal: AbortSignal): Promise<() => Promise<ClientReport>> {
  const first = cluster.nodes[0];
  if (first === undefined) throw new Error('a cluster has nodes');
  const credentials = await credentialsIn(first.file('etc/kubernetes/super-admin.conf'));
  const servers = cluster.nodes.map((n) => `https://${n.ip}:${API_PORT}`);
  const config = join(cluster.lab.folder, 'client.json');
  const path = '/api/v1/namespaces/default';
  await writeFile(config, JSON.stringify({ servers, credentials, path }), { mode: 0o600 });
  const script = join(import.meta.dirname, 'failover-client.mjs');
  const child = spawnReaped('nsenter', [...cluster.lab.enter, process.execPath, script, config], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let said = '';
  await untilReady(child, 'the client', signal);
  child.stdout?.on('data', (chunk: string) => (said += chunk));
  return async () => {
    const closed = once(child, 'close');
    child.stdin?.end();
    await closed;
    return JSON.parse(said) as ClientReport;
  };
}

export type Down = { readonly node: string; readonly from: number; readonly to: number };

/** A server that ends refuses or says so at once; one that is alive may answer late on a busy machine, and is not down. */
const NO_ANSWER_MS = 10_000;

/** Asks every server for /readyz ten times a second until stopped; gives the intervals in which one was not ready. */
export function watchDowns(cluster: Cluster): () => Promise<readonly Down[]> {
  const stop = new AbortController();
  const watched = cluster.nodes.map(async (node): Promise<readonly Down[]> => {
    const downs: Down[] = [];
    let from: number | undefined;
    while (!stop.signal.aborted) {
      const asked = Date.now();
      const ready = await cluster.api(node).isReady(NO_ANSWER_MS);
      if (!ready) from ??= asked;
      else if (from !== undefined) {
        downs.push({ node: node.name, from, to: asked });
        from = undefined;
      }
      await sleep(100);
    }
    return from === undefined ? downs : [...downs, { node: node.name, from, to: Date.now() }];
  });
  return async () => {
    stop.abort();
    return (await Promise.all(watched)).flat();
  };
}

/** Pairs of different nodes that were down at the same time. */
export const overlaps = (downs: readonly Down[]): readonly (readonly [Down, Down])[] =>
  downs.flatMap((a) =>
    downs.filter((b) => a.node < b.node && a.from < b.to && b.from < a.to).map((b) => [a, b] as const),
  );
