/** Whether requests to a hosted API server wait for its webhook: what tells a dead receiver from a network, an etcd, a kubeconfig. */
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import type { Probe } from '../../src/analysis/proof.ts';
import type { HostedApi } from '../../src/controllers/hosted/api-server.ts';
import { ServingWatch } from '../../src/controllers/hosted/serving.ts';
import type { Wanted } from '../../src/controllers/hosted/serving.ts';
import type { Serving } from '../../src/kube/serving.ts';
import type { Reference } from '../../src/render/references.ts';
import { Secret } from '../../src/render/types.ts';
import { createKubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { revision } from '../targets/revisions.ts';

const policy = (...rules: object[]): string => JSON.stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules });
const HEALTH = { level: 'None', nonResourceURLs: ['/healthz*', '/livez*', '/readyz*'] };
const USUAL = policy(HEALTH, { level: 'Metadata' });
const ALL = policy({ level: 'Metadata' });
const KEY = 'tenant/main';
const never = new AbortController().signal;
const WAITS: Serving = { is: 'Waits', why: 'Timeout' };
const AWAY: Serving = { is: 'Away', why: 'ConnectionRefused' };
const FAILS = (why: string): Serving => ({ is: 'Fails', why });
const ME: Serving = {
  is: 'Serves',
  value: { status: { userInfo: { username: 'me', groups: ['system:authenticated'] } } },
};

class Lab {
  ticks = 0;
  answer: (probe: Probe) => Serving = () => ME;
  control = true;
  reference: Reference = { found: true, data: new Secret({ kubeconfig: new Uint8Array([1]) }) };
  refused: string | undefined = undefined;
  readonly asked: string[] = [];
  changes = 0;
  readonly watch: ServingWatch;

  constructor(of: string = USUAL, more: Partial<Wanted['ask']> = {}) {
    const api: Pick<HostedApi, 'serves' | 'answers' | 'refused' | 'close'> = {
      serves: (probe) => {
        this.asked.push(probe.name);
        const answer = this.answer(probe);
        this.ticks += answer.is === 'Waits' ? 10_000 : 10;
        return Promise.resolve(answer);
      },
      answers: (path) => {
        this.asked.push(path);
        this.ticks += this.control ? 10 : 5_000;
        return Promise.resolve(this.control);
      },
      refused: () => undefined,
      close: () => Promise.resolve(),
    };
    const metrics = createKubeMetrics(new Registry());
    this.watch = new ServingWatch({
      now: () => 0,
      ticks: () => this.ticks,
      metrics,
      userAgent: 'test',
      log: createLogger({ name: 'test', level: 'silent' }),
      read: () => Promise.resolve(this.reference),
      open: () => (this.refused === undefined ? { api: api as HostedApi } : { refused: this.refused }),
      changed: () => void (this.changes += 1),
    });
    this.watch.ask(KEY, this.wanted(of, more));
  }

  wanted(of: string, more: Partial<Wanted['ask']> = {}): Wanted {
    const ask = {
      revision: revision({ policy: of }),
      isRunning: true,
      strict: false,
      secret: { name: 'admin' },
      ...more,
    };
    return { uid: 'u', namespace: 'tenant', ask };
  }
  /** Looks, as far apart as they are, for so long; what is told at the end. */
  async for(ms: number): Promise<string | undefined> {
    for (const end = this.ticks + ms; this.ticks < end; this.ticks += 5_000)
      expect(await this.watch.look(KEY, never)).toEqual({ kind: 'Again', afterMs: 5_000 });
    return this.told;
  }
  get told(): string | undefined {
    return this.watch.told(KEY).serving?.is;
  }
}

describe('requests to a hosted API server', () => {
  it('wait where for a minute none was answered that is recorded, while one that is not recorded was', async () => {
    const lab = new Lab();
    expect([await lab.for(1), lab.changes]).toEqual(['Serves', 1]);
    lab.answer = () => WAITS;
    expect(await lab.for(45_000)).toBe('Serves');
    expect([await lab.for(30_000), lab.changes]).toEqual(['Stuck', 2]);
    expect(await lab.for(60_000)).toBe('Stuck');
    lab.answer = () => ME;
    expect([await lab.for(1), lab.changes]).toEqual(['Serves', 3]);
    expect(lab.asked.filter((a) => a.startsWith('/')).every((a) => a === '/readyz')).toBe(true);
  });

  it('do not where one in between was answered, or nobody was there', async () => {
    for (const between of [ME, AWAY, FAILS('Unavailable')]) {
      const lab = new Lab();
      for (let i = 0; i < 6; i++) {
        lab.answer = () => WAITS;
        expect(await lab.for(40_000)).not.toBe('Stuck');
        lab.answer = () => between;
        await lab.for(1);
      }
    }
  });

  it('do not where what is not recorded is not answered either: that is a network, or an etcd; after long nobody can tell', async () => {
    const lab = new Lab();
    await lab.for(1);
    lab.answer = () => WAITS;
    lab.control = false;
    expect(await lab.for(240_000)).not.toBe('Stuck');
    expect(await lab.for(90_000)).toBe('Blind');
    expect(lab.watch.told(KEY).serving?.why).toContain('five minutes');
  });

  it('wait where all is recorded, and nothing is answered', async () => {
    const lab = new Lab(ALL);
    lab.answer = () => WAITS;
    lab.control = false;
    expect(await lab.for(90_000)).toBe('Stuck');
    expect(lab.asked.some((a) => a.startsWith('/'))).toBe(false);
  });

  it('are refused with 500 in the strict mode alone', async () => {
    for (const [strict, why, told] of [
      [true, 'ServerError', 'Stuck'],
      [false, 'ServerError', undefined],
      [true, 'Unavailable', undefined],
    ] as const) {
      const lab = new Lab(USUAL, { strict });
      lab.answer = () => FAILS(why);
      expect([strict, why, await lab.for(120_000)]).toEqual([strict, why, told]);
    }
  });

  it('are chosen by the policy, as whom it is asked', async () => {
    const lab = new Lab(
      policy(
        HEALTH,
        { level: 'None', users: ['me'], resources: [{ group: 'authentication.k8s.io' }] },
        { level: 'Metadata' },
      ),
    );
    lab.answer = (probe) => (probe.name === 'SelfSubjectReview' ? ME : WAITS);
    expect(await lab.for(90_000)).toBe('Stuck');
    expect(lab.asked.slice(0, 2)).toEqual(['SelfSubjectReview', 'get secrets']);
    expect(lab.asked.filter((a) => a === 'SelfSubjectReview')).toHaveLength(1);
  });

  it('cannot be told to wait where the policy records none, or the kubeconfig is none that may be used', async () => {
    const none = new Lab(policy({ level: 'None' }));
    expect([await none.for(1), none.watch.told(KEY).serving?.why]).toEqual([
      'Blind',
      expect.stringContaining('policy'),
    ]);
    const lab = new Lab();
    lab.refused = 'server must be https';
    expect([await lab.for(1), lab.watch.told(KEY).serving?.why]).toEqual([
      'Blind',
      expect.stringContaining('must be https'),
    ]);
    lab.refused = undefined;
    lab.reference = { found: false, why: 'NotFound' };
    expect(await lab.for(1)).toBe('Blind');
    expect(lab.changes).toBe(2);
  });

  it('are counted anew for another revision, go on being counted for the same one, and are not asked of one that is gone', async () => {
    const lab = new Lab();
    lab.answer = () => WAITS;
    await lab.for(45_000);
    lab.watch.ask(KEY, lab.wanted(USUAL));
    expect(await lab.for(30_000)).toBe('Stuck');
    lab.watch.ask(KEY, lab.wanted(ALL));
    expect([lab.told, await lab.for(45_000)]).toEqual([undefined, undefined]);
    lab.watch.ask(KEY, undefined);
    const { length } = lab.asked;
    expect([await lab.watch.look(KEY, never), lab.asked.length, lab.told]).toEqual([
      { kind: 'Done' },
      length,
      undefined,
    ]);
  });

  it('of one that does not run the revision yet are answered or not, and never wait', async () => {
    const lab = new Lab(USUAL, { isRunning: false });
    lab.answer = () => WAITS;
    expect(await lab.for(120_000)).toBeUndefined();
    lab.answer = () => ME;
    expect(await lab.for(1)).toBe('Serves');
    lab.answer = () => AWAY;
    expect(await lab.for(1)).toBeUndefined();
  });
});
