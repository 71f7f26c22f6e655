/**
 * A webhook that requests to a hosted API server wait for: put in only where somebody can tell whether they do, gone back from once,
 * whatever else is to be done and whoever is killed meanwhile, and tried again only where something changed.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../src/render/types.ts';
import { decideHosted } from '../../src/rollout/hosted/hosted.ts';
import { HostedWorld } from './hosted-world.ts';

const CLOSED = { windows: [{ start: '03:00', durationMinutes: 1 }] };
const HOUR = 3_600_000;
type Kind = 'Deployment' | 'StatefulSet';

function give(w: HostedWorld, token: string): void {
  const kubeconfig = {
    clusters: [{ name: 'c', cluster: { server: 'https://r.example' } }],
    users: [{ name: 'u', user: { token } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
  const data = { 'webhook.yaml': new TextEncoder().encode(JSON.stringify(kubeconfig)) };
  w.references = { webhook: { found: true, data: new Secret(data) } };
}

function blocking(kind: Kind, mode = 'Blocking'): HostedWorld {
  const w = new HostedWorld(kind);
  w.kubeconfig = 'admin';
  w.change({ webhook: { secretRef: { name: 'w' }, mode } });
  give(w, 'one');
  const content = {
    limits: { webhook: { modes: ['Batch' as const, 'Blocking' as const, 'BlockingStrict' as const] } },
  };
  w.governed = { datacenters: [{ name: 'eu', content }], unreadable: [], references: new Map() };
  return w;
}
const modeOf = (w: HostedWorld): string | undefined =>
  /"--audit-webhook-mode=([a-z-]+)"/.exec(JSON.stringify(w.object?.spec))?.[1];
const say = (w: HostedWorld, is: 'Serves' | 'Stuck' | 'Blind', digest = w.status.revision?.digest ?? ''): void =>
  void (w.serving = { digest, is, why: is === 'Blind' ? 'of a reason' : '' });
/** It runs, and its API server serves. */
function running(kind: Kind, mode?: string): HostedWorld {
  const w = blocking(kind, mode);
  say(w, 'Serves');
  w.run();
  return w;
}
/** Until it runs in mode Batch. */
function fellBack(kind: Kind): HostedWorld {
  const w = running(kind);
  say(w, 'Stuck');
  w.run();
  say(w, 'Serves');
  w.run();
  return w;
}
const said = (w: HostedWorld) => [w.reason('RolledOut'), w.reason('Degraded'), w.reason('Ready')];
const FALLEN = ['NodeHeld', 'WebhookFallback', 'WebhookFallback'];
const FINE = ['Complete', 'AsExpected', 'Ready'];

describe.each(['Deployment', 'StatefulSet'] as const)('a webhook that blocks, in a %s', (kind) => {
  it('is refused without a kubeconfig to ask with, and without a word of a datacenter', () => {
    const w = blocking(kind);
    say(w, 'Serves');
    w.kubeconfig = undefined;
    w.run();
    // A datacenter that limits anything does not wait for this owner: the rest of it is rolled out.
    expect([w.reason('Accepted'), modeOf(w)]).toEqual(['Unsupported', undefined]);
    w.kubeconfig = 'admin';
    w.governed = undefined;
    w.run();
    expect([w.reason('Accepted'), modeOf(w)]).toEqual(['NotPermitted', undefined]);
  });

  it('is put in when its API server has answered whoever is to tell, and not before', () => {
    const w = blocking(kind);
    w.step();
    const d = w.step();
    expect([d.ask?.isRunning, d.ask?.secret.name, d.patch]).toEqual([false, 'admin', undefined]);
    expect([w.reason('RolledOut'), w.reason('Reconciling')]).toEqual(['Waiting', 'Progressing']);
    say(w, 'Blind');
    expect(w.step().patch).toBeUndefined();
    expect(w.status.conditions?.find((c) => c.type === 'RolledOut')?.message).toContain('of a reason');
    say(w, 'Serves');
    w.run();
    expect([modeOf(w), w.patches, ...said(w)]).toEqual(['blocking', 1, ...FINE]);
    expect(w.step().ask).toMatchObject({ isRunning: true, strict: false, revision: { digest: w.digest } });
  });

  it('asks nobody where it blocks nothing', () => {
    const w = running(kind);
    w.change({ webhook: { secretRef: { name: 'w' } } });
    w.run();
    expect([w.step().ask, modeOf(w)]).toEqual([undefined, 'batch']);
  });

  it('is gone back from when requests wait: what is to be done is in status before it is done, and then stays', () => {
    const w = running(kind);
    const before = JSON.stringify(w.object?.spec);
    const of = w.digest;
    w.change({ rollout: CLOSED });
    w.run();
    say(w, 'Stuck');
    const d = w.step();
    expect([d.patch, d.publish, d.requeueAfterMs, modeOf(w)]).toEqual([undefined, undefined, 0, 'blocking']);
    expect([w.status.workload?.fallback?.of, ...said(w)]).toEqual([of, ...FALLEN]);
    const done = w.step();
    expect([done.publish?.digest, modeOf(w)]).toEqual([w.status.workload?.fallback?.twin, 'batch']);
    const twin = w.digest ?? '';
    const same = JSON.stringify(w.object?.spec)
      .replaceAll(twin.slice(0, 16), (of ?? '').slice(0, 16))
      .replace('mode=batch', 'mode=blocking');
    expect(same).toBe(before);
    w.run();
    expect([said(w), w.patches, w.status.workload?.lastKnownGood]).toEqual([FALLEN, 2, twin]);
    expect(w.status.nodes).toMatchObject({ updated: 0, failed: w.object?.spec.replicas });
    expect(w.status.revision?.digest).toBe(of);
    // Neither time nor a receiver that is back makes another restart.
    const still = w.status;
    for (const is of ['Serves', 'Stuck', 'Blind'] as const) {
      say(w, is);
      w.now += HOUR;
      w.run();
    }
    expect([w.patches, w.status]).toEqual([2, still]);
    expect(w.step().ask).toBeUndefined();
  });

  it('is gone back from by whoever comes after one that was killed, at whichever step', () => {
    for (const first of [0, 3, 4, 5])
      for (const second of [0, 3, 4, 5]) {
        const w = running(kind);
        say(w, 'Stuck');
        w.step(first);
        w.step(second);
        // A new controller has asked nobody yet.
        if (w.status.workload?.fallback !== undefined) w.serving = undefined;
        w.run();
        w.serving = undefined;
        w.run();
        expect([first, second, modeOf(w), w.patches, ...said(w)]).toEqual([first, second, 'batch', 2, ...FALLEN]);
      }
  });

  it('is not gone back from while a rollout of ours is on its way, nor for what another revision was asked about', () => {
    const w = running(kind);
    const old = w.digest ?? '';
    w.change({ policy: { preset: 'minimal' } });
    w.step();
    w.settle(1);
    say(w, 'Stuck');
    w.step();
    expect([w.status.workload?.fallback, w.reason('RolledOut')]).toEqual([undefined, 'Progressing']);
    w.settle();
    say(w, 'Stuck', old);
    w.run();
    expect([modeOf(w), ...said(w)]).toEqual(['blocking', ...FINE]);
  });

  it('is gone back from though its pods are not ready, which may be for that; those that are stuck do not hold it up', () => {
    const w = running(kind);
    w.settle(0);
    say(w, 'Stuck');
    w.step();
    w.step();
    expect(modeOf(w)).toBe('batch');
    w.settle(0);
    w.now += 2 * HOUR;
    const d = w.step();
    // There is nowhere else to go back to.
    expect([d.patch, d.deleteStuckPods, modeOf(w)]).toEqual([
      undefined,
      kind === 'StatefulSet' ? true : undefined,
      'batch',
    ]);
    expect(said(w)).toEqual(FALLEN);
    w.run();
    expect([said(w), w.patches]).toEqual([FALLEN, 2]);
  });

  describe('and was gone back from', () => {
    let w: HostedWorld;
    beforeEach(() => void (w = fellBack(kind)));

    it('comes back with a new value of the annotation, once, and under windows', () => {
      w.annotations = { 'auditconfig.dev/again': 'a' };
      w.change({ rollout: CLOSED });
      w.run();
      expect([modeOf(w), w.reason('RolledOut'), w.reason('Degraded')]).toEqual([
        'batch',
        'OutsideWindow',
        'WebhookFallback',
      ]);
      w.change({ rollout: {} });
      w.run();
      expect([modeOf(w), w.status.workload?.fallback, ...said(w)]).toEqual(['blocking', undefined, ...FINE]);
      // Its receiver dies again: the same value is none that is new.
      say(w, 'Stuck');
      w.run();
      w.run();
      expect([modeOf(w), w.patches, ...said(w)]).toEqual(['batch', 4, ...FALLEN]);
    });

    it('comes back once, whoever is killed on the way', () => {
      for (let first = 0; first <= 5; first++) {
        const v = fellBack(kind);
        v.annotations = { 'auditconfig.dev/again': 'a' };
        v.step(first);
        v.run();
        expect([first, modeOf(v), v.patches, ...said(v)]).toEqual([first, 'blocking', 3, ...FINE]);
      }
    });

    it('comes back with another revision', () => {
      w.change({ policy: { preset: 'minimal' } });
      w.run();
      expect([modeOf(w), w.status.workload?.fallback, ...said(w)]).toEqual(['blocking', undefined, ...FINE]);
    });

    it('comes back with other credentials when its API server counts that the receiver takes them, and not before', () => {
      const found = (result: 'Failing' | 'Delivering'): void => {
        const { digest = '', credentials = '' } = w.status.workload ?? {};
        const time = new Date(w.now).toISOString();
        const proof = { digest, result: 'EventCounted' as const, time, message: 'm', kubeconfig: 'admin' };
        w.found = { proof, webhook: { digest, credentials, result, time, message: 'm' } };
        w.run();
      };
      // It is back, and that is no reason.
      found('Delivering');
      expect(modeOf(w)).toBe('batch');
      give(w, 'two');
      w.now += 1_000;
      expect(w.step().rotate).toBeDefined();
      w.run();
      expect(modeOf(w)).toBe('batch');
      w.now += 1_000;
      found('Failing');
      expect([modeOf(w), w.patches]).toEqual(['batch', 2]);
      w.now += 1_000;
      found('Delivering');
      expect([modeOf(w), w.patches, w.status.workload?.fallback]).toEqual(['blocking', 3, undefined]);
    });

    it('is put in again in mode Batch where its owner wrote it back', () => {
      w.writeBack();
      w.run();
      expect([modeOf(w), ...said(w)]).toEqual(['batch', ...FALLEN]);
    });

    it('is asked whether its receiver takes events, as what runs', () => {
      expect(w.step().look?.revision.digest).toBe(w.digest);
    });
  });

  it('is gone back from though the spec counts for nothing any more, and by nobody else than whose workload it is', () => {
    const w = running(kind);
    w.governed = undefined;
    w.run();
    expect([w.reason('Accepted'), modeOf(w)]).toEqual(['NotPermitted', 'blocking']);
    expect(w.step().ask?.isRunning).toBe(true);
    say(w, 'Stuck', w.digest);
    const facts = w.facts();
    const theirs = { ...facts, workload: { ...facts.workload, claimant: { key: 'tenant/older', uid: 'u0' } } };
    const d = decideHosted(theirs);
    expect([d.status?.workload?.fallback, d.ask]).toEqual([undefined, undefined]);
    w.run();
    expect([modeOf(w), w.reason('Degraded')]).toEqual(['batch', 'WebhookFallback']);
  });

  it('is gone back from as what runs while another revision waits, which then has its turn', () => {
    const w = running(kind);
    const old = w.digest ?? '';
    w.change({ policy: { preset: 'minimal' }, rollout: CLOSED });
    w.run();
    expect([w.reason('RolledOut'), w.step().ask?.revision.digest]).toEqual(['OutsideWindow', old]);
    say(w, 'Stuck', old);
    w.run();
    expect([modeOf(w), w.status.workload?.fallback?.of, w.reason('Degraded')]).toEqual([
      'batch',
      old,
      'WebhookFallback',
    ]);
    say(w, 'Serves');
    w.change({ rollout: {} });
    w.run();
    expect([modeOf(w), w.status.workload?.fallback, ...said(w)]).toEqual(['blocking', undefined, ...FINE]);
  });

  it('is not in the way of a revision that mends it, nor of removal', () => {
    const w = running(kind);
    say(w, 'Stuck');
    w.change({ webhook: { secretRef: { name: 'w' } } });
    w.step();
    expect([modeOf(w), w.status.workload?.fallback]).toEqual(['batch', undefined]);
    const gone = running(kind);
    say(gone, 'Stuck');
    gone.deleting = true;
    gone.run();
    expect([gone.flags, gone.finalizer]).toEqual([0, false]);
  });

  it('that nobody can tell of is said to be so, which is no failure', () => {
    const w = running(kind, 'BlockingStrict');
    expect(w.step().ask?.strict).toBe(true);
    say(w, 'Blind');
    w.run();
    expect(w.status.conditions?.find((c) => c.type === 'Degraded')).toMatchObject({
      status: 'Unknown',
      reason: 'FallbackBlind',
    });
    expect(w.reason('Ready')).toBe('Ready');
    w.kubeconfig = undefined;
    // A datacenter that only has defaults lets its owner's mistake be his.
    w.governed = { unreadable: [], references: new Map(), datacenters: [{ name: 'eu', content: { defaults: {} } }] };
    w.run();
    expect([w.reason('Accepted'), w.reason('Degraded'), modeOf(w)]).toEqual([
      'Unsupported',
      'FallbackBlind',
      'blocking-strict',
    ]);
  });

  it('whose revision is lost is said, and left as it is', () => {
    const w = running(kind);
    const old = w.digest ?? '';
    w.change({ policy: { preset: 'minimal' }, rollout: CLOSED });
    w.run();
    w.published.clear();
    say(w, 'Stuck', old);
    w.run();
    expect([modeOf(w), w.reason('Degraded'), w.status.workload?.fallback]).toEqual([
      'blocking',
      'WebhookFallback',
      undefined,
    ]);
  });
});
