/**
 * `auditconfig guard`: stands by while the agent changes a manifest, as a static pod, because a kubelet without its API
 * server starts nothing else: after a reboot in mid-change no DaemonSet's agent comes back. It reads the journal and
 * does what a restarted agent would do (resume), with no API and no credentials; only when no agent lives, and no other
 * guard (claim.ts). When nothing is in flight any more it takes its own manifest away and ends. It starts no change, and
 * takes no revision away. src/main.ts runs it.
 */
import { parseArgs } from 'node:util';
import { diskCode } from '../host/disk-error.ts';
import { DEFAULT_LAYOUT } from '../targets/host-layout.ts';
import { createLogger } from '../telemetry/logger.ts';
import type { Logger } from '../telemetry/logger.ts';
import { resume } from './apply-revision.ts';
import { takeClaim } from './claim.ts';
import { removeGuard } from './guard-pod.ts';
import { realHost } from './host.ts';
import type { NodeHost } from './host.ts';
import { staticPodPlace } from './place.ts';
import type { Place } from './place.ts';
import { readState } from './state-file.ts';

export const GUARD_HELP = `Usage: auditconfig guard [options]

Brings a change of the kube-apiserver's manifest that is in flight to its end when the agent does not: commits it, or
rolls it back. Needs neither API nor credentials. The agent runs it as a static pod while it changes a manifest; it ends
by itself, and takes its manifest away, when nothing is in flight. Acts only while no agent lives on this node.

Options:
  --root DIR       where the host's file system is (default: /)
  --proc DIR       where the host's /proc is (default: /proc)
  --manifest FILE  static-pod manifest of the kube-apiserver, as the host sees it
                   (default: /etc/kubernetes/manifests/kube-apiserver.yaml)

A file /var/lib/auditconfig/HOLD on the node stops it until it is removed.

Example:
  auditconfig guard --root /host
`;

export type GuardOptions = { readonly root: string; readonly proc: string; readonly manifest: string };

export function parseGuardArgs(args: readonly string[]): GuardOptions | { readonly usage: string } {
  const string = { type: 'string' } as const;
  try {
    const { values } = parseArgs({ args: [...args], options: { root: string, proc: string, manifest: string } });
    const manifest = values.manifest ?? '/etc/kubernetes/manifests/kube-apiserver.yaml';
    if (!manifest.startsWith('/')) return { usage: '--manifest must be an absolute path, as the host sees it' };
    return { root: values.root ?? '/', proc: values.proc ?? '/proc', manifest };
  } catch (e) {
    return { usage: e instanceof Error ? e.message : String(e) };
  }
}

/** Between two looks; the agent's interval is another, so that the two never keep step. */
const POLL_MS = 1_000;

export type Guarding = {
  readonly host: NodeHost;
  readonly spec: Place;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** Resolves when nothing is in flight and its manifest is gone, or when the signal has aborted. */
export async function guardNode(g: Guarding): Promise<void> {
  while (!g.signal.aborted) {
    if (await guardOnce(g)) return;
    await g.host.sleep(POLL_MS, g.signal).catch((e: unknown) => {
      if (!g.signal.aborted) throw e;
    });
  }
}

/** True when there is nothing left to guard. Whatever the disk refuses is tried again. */
async function guardOnce({ host, spec, log, signal }: Guarding): Promise<boolean> {
  try {
    const taken = await takeClaim(host, spec.layout.stateDir, 'guard');
    if ('busy' in taken) return false;
    try {
      return await act({ host, spec, log, signal });
    } finally {
      await taken.taken();
    }
  } catch (e) {
    const errno = diskCode(e);
    if (errno === null) throw e;
    log.error({ errno }, e instanceof Error ? e.message : errno);
    return false;
  }
}

async function act({ host, spec, log, signal }: Guarding): Promise<boolean> {
  const file = await readState(host.disk, spec.layout.stateDir);
  if (file === null) return false;
  if (file.journal === null) {
    await removeGuard(host.disk, spec.manifest);
    log.info({}, 'nothing is in flight');
    return true;
  }
  log.warn({ phase: file.state.phase }, 'no agent lives; the guard goes on in its place');
  const outcome = await resume({ host, spec, signal, keep: 'All' });
  log.warn({ outcome: outcome.kind }, 'the guard has acted');
  return false;
}

export async function runGuard(o: GuardOptions, signal: AbortSignal): Promise<void> {
  const log = createLogger({ name: 'auditconfig-guard', level: 'info' });
  const host = realHost({ root: o.root, proc: o.proc });
  log.info({ manifest: o.manifest }, 'guard stands by');
  await guardNode({ host, spec: staticPodPlace({ manifest: o.manifest, layout: DEFAULT_LAYOUT }), log, signal });
}
