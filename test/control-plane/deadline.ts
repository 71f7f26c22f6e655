/**
 * A limit on how long something may wait. Not AbortSignal.any([AbortSignal.timeout(ms), signal]): Node 20 lets the
 * timeout be collected as garbage while only the combined signal is in use, and then it never fires (seen in a test).
 */
export async function withDeadline<T>(
  ms: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limited = new AbortController();
  const abort = (): void => limited.abort(signal?.reason);
  const timer = setTimeout(() => limited.abort(new Error(`timeout: no answer in ${ms} ms`)), ms);
  if (signal?.aborted === true) abort();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    return await work(limited.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}
