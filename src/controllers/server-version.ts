/** The minor of the API server that we speak to: asked at the beginning, and again when it comes back. Called by term.ts. */
import { parseMinor } from '../api/versions.ts';
import type { Minor } from '../api/versions.ts';
import type { Kube } from '../kube/connect.ts';
import { isRecord } from '../kube/types.ts';
import { delay } from '../kube/wait.ts';
import type { Logger } from '../telemetry/logger.ts';

export type ServerVersion = { readonly now: () => Minor; readonly unhook: () => void };

/** Asks until it answers. Undefined only when the signal aborts. */
async function ask(kube: Kube, log: Logger, signal: AbortSignal): Promise<Minor | undefined> {
  while (!signal.aborted) {
    const answer = await kube.client.raw('/version', { signal });
    const git = answer.ok && isRecord(answer.value) ? answer.value['gitVersion'] : undefined;
    const minor = typeof git === 'string' ? parseMinor(git) : undefined;
    if (minor !== undefined) return minor;
    if (!signal.aborted)
      log.warn(answer.ok ? { git } : { code: answer.error.code }, 'the API server does not tell its version');
    await delay(1_000, signal);
  }
  return undefined;
}

/** Undefined only when the signal aborts before it was told. */
export async function serverVersion(kube: Kube, log: Logger, signal: AbortSignal): Promise<ServerVersion | undefined> {
  let version = await ask(kube, log, signal);
  if (version === undefined) return undefined;
  const first = version;
  // An upgraded API server comes back with another version; its coming back is the only time to look.
  const unhook = kube.health.onTrouble(() => {
    void ask(kube, log, signal).then((v) => (version = v ?? version));
  });
  return { now: () => version ?? first, unhook };
}
