/** stop.mjs is plain Node, as all that npm commands start with; this is what a test calls of it. */
export type SignalSource = {
  on(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
  exit(code: number): unknown;
};
export function stopOnSignals(source: SignalSource, now?: () => number): AbortSignal;
