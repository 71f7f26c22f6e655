// What SIGINT and SIGTERM mean to a program behind an npm command: an AbortSignal, so that it ends its own way. `timeout`
// signals its whole process group, and npm passes the signal on besides: one request to stop comes two and three times
// within moments, and only a later one means that somebody does not want to wait. Called by run.mjs.

const SAME_MS = 1_000;
const QUIT = 130;

/** `source` is `process`, or what stands in for it: it emits signals, and exits. */
export function stopOnSignals(source, now = () => performance.now()) {
  const stop = new AbortController();
  let since;
  const asked = () => {
    since ??= now();
    if (now() - since > SAME_MS) source.exit(QUIT);
    stop.abort();
  };
  for (const name of ['SIGINT', 'SIGTERM']) source.on(name, asked);
  return stop.signal;
}
