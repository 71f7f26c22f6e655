/** Leader election on a real API server that is killed and comes back, also after longer than the lease lasts. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Kube } from '../../src/kube/connect.ts';
import { LEASES, createElection } from '../../src/kube/lease.ts';
import type { Term } from '../../src/kube/lease.ts';
import { isRecord } from '../../src/kube/types.ts';
import { noKubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { upAt } from './recovery.ts';
import { connectTo, until } from './things.ts';
import { record } from './waits.ts';

const TIMES = { durationMs: 4_000, renewDeadlineMs: 3_000, retryMs: 700 };
const OUTAGE_MS = 6_000;
/** As long as an API server of a busy machine may take. */
const PATIENCE_MS = 60_000;
let plane: ControlPlane;

beforeAll(async () => {
  plane = await startControlPlane({ version: '1.36' });
});
afterAll(() => plane?.stop());

function candidate(name: string, identity: string) {
  const kube: Kube = connectTo(plane);
  const stop = new AbortController();
  const election = createElection({
    client: kube.client,
    health: kube.health,
    namespace: 'kube-system',
    name,
    identity,
    log: silentLogger,
    metrics: noKubeMetrics,
    ...TIMES,
  });
  const terms: { term: Term; at: number }[] = [];
  const lead = (term: Term): Promise<void> =>
    new Promise((resolve) => {
      terms.push({ term, at: performance.now() });
      term.signal.addEventListener('abort', () => resolve());
    });
  const ended = Promise.all([kube.health.start(stop.signal), election.run(lead, stop.signal)]);
  const end = async (): Promise<void> => {
    stop.abort();
    await ended;
    await kube.close();
  };
  return { election, terms, end, kube, identity };
}

async function leaseOf(kube: Kube | undefined, name: string): Promise<Readonly<Record<string, unknown>>> {
  const call = { signal: new AbortController().signal };
  const lease = await kube?.client.get(LEASES, { namespace: 'kube-system', name }, call);
  return lease?.ok === true && isRecord(lease.value['spec']) ? lease.value['spec'] : {};
}

describe('one process', () => {
  it('lives through an outage longer than its lease, and leads again as soon as the server is ready', async () => {
    const one = candidate('alone', 'pod-1');
    await until(() => one.election.leading, PATIENCE_MS);
    const tookMs: number[] = [];
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      const before = one.terms.length;
      const recording = record('auditconfig-test');
      await plane.kill(signal);
      await sleep(OUTAGE_MS);
      expect(one.election.leading).toBe(false);
      expect(one.terms.at(-1)?.term.signal.aborted).toBe(true);
      await plane.start();
      const ready = performance.now();
      await until(() => one.election.leading, PATIENCE_MS);
      const recorded = recording.end();
      tookMs.push(Math.max(0, Math.round((one.terms.at(-1)?.at ?? Infinity) - ready)));
      expect(one.terms).toHaveLength(before + 1);
      // It asks the moment that the server is up, and waits only where that said no.
      const up = upAt(recorded);
      const refused = recorded.answers.filter((a) => a.at > up && a.path.includes('/leases/') && a.status !== 200);
      const waited = recorded.waits.filter((w) => w.ended > up && !w.by.includes('#idle')).map((w) => w.by);
      expect(waited.length, waited.join()).toBeLessThanOrEqual(refused.length);
    }
    console.log(JSON.stringify({ leadsAgainMs: tookMs }));
    expect(await leaseOf(one.kube, 'alone')).toMatchObject({ holderIdentity: 'pod-1', leaseTransitions: 0 });
    await one.end();
  });
});

describe('two candidates', () => {
  it('never both lead, over kills and restarts, and one leads again each time', async () => {
    const all = [candidate('shared', 'pod-a'), candidate('shared', 'pod-b')];
    let both = 0;
    let looks = 0;
    const looking = setInterval(() => {
      looks++;
      if (all.filter((c) => c.election.leading || c.terms.some((t) => t.term.leading())).length > 1) both++;
    }, 5);
    const leads = (): boolean => all.some((c) => c.election.leading);
    await until(leads, PATIENCE_MS);
    for (const [i, signal] of (['SIGKILL', 'SIGTERM', 'SIGKILL', 'SIGTERM'] as const).entries()) {
      await plane.kill(signal);
      await sleep(i < 2 ? OUTAGE_MS : 200);
      await plane.start();
      await until(leads, PATIENCE_MS);
      await sleep(1_500);
    }
    // The one that leads goes: the other follows without waiting for the lease to expire.
    const leader = all.find((c) => c.election.leading);
    const other = all.find((c) => c !== leader);
    await leader?.end();
    // It gave the lease back: nobody waits for its end.
    expect((await leaseOf(other?.kube, 'shared'))['holderIdentity']).not.toBe(leader?.identity);
    await until(() => other?.election.leading === true, PATIENCE_MS);
    clearInterval(looking);
    await other?.end();
    expect(looks).toBeGreaterThan(500);
    expect(both).toBe(0);
  });
});
