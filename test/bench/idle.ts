/**
 * `npm run bench:idle [-- --minutes N]`: what agent and controller cost while nothing happens, beside a real kube-apiserver
 * which audits as they told it: memory, processor time, and every request of theirs, counted in the audit log itself.
 * With the setting of V8 that the image has.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startControlPlane } from '../control-plane/plane.ts';
import { ROOT } from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';
import { Operator } from '../operator/operator.ts';
import { cpuMs, ownMiB, peakMiB, rssMiB } from './process-cost.ts';

const CONFIG: Manifest = {
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'main', namespace: 'auditconfig-system' },
  spec: {
    target: { type: 'StaticPod' },
    policy: { preset: 'metadata' },
    rollout: { minReadySeconds: 0, timeoutSeconds: 60 },
  },
};
/** Until caches are warm, and the proof that follows a rollout is done. */
const SETTLE_MS = 30_000;

type Event = {
  readonly auditID: string;
  readonly requestReceivedTimestamp: string;
  readonly verb: string;
  readonly requestURI: string;
  readonly user: { readonly username: string };
};

/** Requests of a service account that began in this span, by verb and path; each once, whatever stages were logged. */
function requestsOf(log: string, account: string, since: number): ReadonlyMap<string, number> {
  const seen = new Map<string, string>();
  for (const line of readFileSync(log, 'utf8').split('\n').filter(Boolean)) {
    const e = JSON.parse(line) as Event;
    if (!e.user.username.endsWith(`:${account}`) || Date.parse(e.requestReceivedTimestamp) < since) continue;
    seen.set(e.auditID, `${e.verb} ${e.requestURI.split('?')[0] ?? ''}`);
  }
  const counts = new Map<string, number>();
  for (const what of seen.values()) counts.set(what, (counts.get(what) ?? 0) + 1);
  return counts;
}

async function measure(operator: Operator, log: string, o: { minutes: number; signal: AbortSignal }): Promise<void> {
  const { minutes, signal } = o;
  const processes = [
    ['agent', operator.agent.pid],
    ['controller', operator.controller.pid],
  ] as const;
  const since = Date.now();
  const before = processes.map(([, pid]) => cpuMs(pid));
  for (let i = 1; i <= minutes; i++) {
    await sleep(60_000, undefined, { signal });
    console.error(`${i} of ${minutes} minutes`);
  }
  for (const [i, [name, pid]] of processes.entries()) {
    const counts = requestsOf(log, `auditconfig-${name}`, since);
    const all = [...counts.values()].reduce((a, b) => a + b, 0);
    const cpu = (cpuMs(pid) - (before[i] ?? 0)) / minutes;
    console.log(
      `${name}: ${rssMiB(pid).toFixed(0)} MiB (its own ${ownMiB(pid).toFixed(0)}, the rest is Node's program; peak ${peakMiB(pid).toFixed(0)}), ${cpu.toFixed(0)} ms of processor time a minute, ${(all / minutes).toFixed(1)} requests a minute`,
    );
    for (const [what, n] of [...counts].sort((a, b) => b[1] - a[1])) console.log(`  ${n} ${what}`);
  }
}

/** Gives the exit code. */
export async function main(args: readonly string[], signal: AbortSignal): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { minutes: { type: 'string', default: '10' } } });
  const minutes = Number(values.minutes);
  if (!Number.isInteger(minutes) || minutes < 1) {
    console.error(`--minutes ${values.minutes}: a whole number of minutes is needed`);
    return 2;
  }
  const [, options] = /NODE_OPTIONS=(\S+)/.exec(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')) ?? [];
  process.env['NODE_OPTIONS'] = options ?? '';
  const plane = await startControlPlane({ version: '1.36', run: 'manifest' });
  let operator: Operator | undefined;
  try {
    operator = await Operator.start({ plane });
    await operator.apply(CONFIG);
    await operator.until(CONFIG, { type: 'Ready', status: 'True' });
    await sleep(SETTLE_MS, undefined, { signal });
    await measure(operator, join(plane.root, 'var/log/kube-audit/audit.log'), { minutes, signal });
    return 0;
  } finally {
    await operator?.stop();
    await plane.stop();
  }
}
