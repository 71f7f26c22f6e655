/**
 * The metrics of the node's own API server, line by line as they arrive: they may be megabytes, and none of them is kept
 * here. Over a connection of its own, which is gone afterwards. Called by agent.ts for delivery.ts.
 */
import { createConnections } from '../kube/connections.ts';
import { credentialsAt } from '../kube/direct.ts';
import { createTransport } from '../kube/transport.ts';
import { scope } from '../kube/wait.ts';
import type { ReadMetrics } from './delivery.ts';
import type { PeerOptions } from './peers.ts';

const TIMEOUT_MS = 30_000;
/** A line beyond this is no sample that matters. */
const MAX_LINE = 64 * 1024;

/** Calls `onLine` for each whole line. */
export async function eachLine(chunks: AsyncIterable<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE) rest = '#';
    for (const line of lines) onLine(line);
  }
  if (rest !== '') onLine(rest);
}

export const readMetricsWith =
  (o: PeerOptions): ReadMetrics =>
  async (address, onLine, signal) => {
    const { metrics, userAgent } = o;
    const connections = createConnections(credentialsAt(o.credentials, address));
    const transport = createTransport({ connections, metrics, userAgent });
    const life = scope([signal], TIMEOUT_MS);
    try {
      const answer = await transport.stream({
        method: 'GET',
        path: '/metrics',
        accept: 'text/plain',
        signal: life.signal,
        about: { verb: 'get', resource: 'metrics' },
      });
      if (!answer.ok) return false;
      await eachLine(answer.value.chunks, onLine);
      return true;
    } catch {
      // The connection broke, or the time was over: half of the counters say nothing.
      return false;
    } finally {
      life.dispose();
      await transport.close();
    }
  };
