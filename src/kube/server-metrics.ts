/**
 * The metrics of an API server, line by line as they arrive: they may be megabytes, and none of them is kept here. Called
 * by the agent for its own API server and by the controller for hosted ones.
 */
import type { Transport } from './transport.ts';
import { scope } from './wait.ts';

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

/** False where they could not be read to the end: half of the counters say nothing. */
export async function readMetrics(
  transport: Pick<Transport, 'stream'>,
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<boolean> {
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
    // The connection broke, or the time was over.
    return false;
  } finally {
    life.dispose();
  }
}
