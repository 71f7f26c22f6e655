/** Decisions about a hosted control plane: a workload in memory, its controller played, an owner, and a controller that obeys. */
import { beforeEach, describe, expect, it } from 'vitest';
import { hostedCredentialsName } from '../../src/render/bundle/names.ts';
import { Secret } from '../../src/render/types.ts';
import type { Revision } from '../../src/render/types.ts';
import { decideHosted } from '../../src/rollout/hosted/hosted.ts';
import type { HostedDecision } from '../../src/rollout/hosted/scene.ts';
import { HostedWorld } from './hosted-world.ts';

describe.each(['Deployment', 'StatefulSet'] as const)('a hosted %s', (kind) => {
  const n = kind === 'Deployment' ? 2 : 3;

  it('is patched once, after the finalizer, and is Ready when all its pods are available', () => {
    const w = new HostedWorld(kind);
    expect([w.step().finalizer, w.patches]).toEqual(['Add', 0]);
    const d = w.step();
    expect([d.publish?.digest, w.patches]).toEqual([w.status.revision?.digest, 1]);
    // What its controller said about the template before is no answer.
    w.step();
    expect([w.reason('RolledOut'), w.reason('Ready')]).toEqual(['Progressing', 'Progressing']);
    w.run();
    expect([w.reason('RolledOut'), w.reason('Ready'), w.reason('Verified'), w.patches]).toEqual([
      'Complete',
      'Ready',
      'NothingToObserve',
      1,
    ]);
    const digest = w.status.revision?.digest;
    expect(w.status.workload).toEqual({ digest, lastKnownGood: digest, published: 1 });
    expect(w.status.nodes).toEqual({ desired: n, updated: n, failed: 0, summary: `${n}/${n}` });
    const d2 = w.step();
    expect([d2.patch, d2.publish, d2.requeueAfterMs]).toEqual([undefined, undefined, undefined]);
  });

  it('says the same while it is rolled out, however many pods are available', () => {
    const w = new HostedWorld(kind);
    w.step();
    w.step();
    const said = w.status;
    expect(said.nodes?.summary).toBe(`0/${n}`);
    w.settle(0);
    w.now += 5_000;
    w.step();
    expect(w.status).toEqual(said);
  });

  it('is still through while its controller has not seen somebody else’s annotation', () => {
    const w = new HostedWorld(kind);
    w.run();
    const said = w.status;
    w.annotate();
    w.step();
    expect(w.status).toEqual(said);
  });

  it('is not through where it was changed, and changed back, before its controller saw either', () => {
    const w = new HostedWorld(kind);
    w.run();
    w.change({ policy: { preset: 'minimal' } });
    w.step();
    w.change({ policy: {} });
    w.step();
    expect([w.patches, w.reason('RolledOut')]).toEqual([3, 'Progressing']);
    w.step();
    expect(w.reason('RolledOut')).toBe('Progressing');
    w.settle();
    w.step();
    expect(w.reason('RolledOut')).toBe('Complete');
  });

  it('goes back to the last good revision when time is over, and does not try again until something changes', () => {
    const w = new HostedWorld(kind);
    w.run();
    const good = structuredClone(w.object?.spec);
    w.change({ policy: { preset: 'minimal' } });
    w.step();
    w.settle(0);
    expect(w.step().requeueAfterMs).toBe(300_000);
    w.now += 299_000;
    expect(w.step().patch).toBeUndefined();
    w.now += 1_000;
    expect(w.step().patch).toBeDefined();
    expect(w.object?.spec).toEqual(good);
    expect(w.status.nodes).toMatchObject({ updated: 0, failed: n });
    expect([w.reason('RolledOut'), w.reason('Degraded'), w.reason('Stalled')]).toEqual([
      'NodeHeld',
      'NodeHeld',
      'NodeHeld',
    ]);
    w.settle(0);
    expect(w.step().deleteStuckPods).toBe(kind === 'StatefulSet' ? true : undefined);
    w.settle();
    w.now += 3_600_000;
    const held = w.step();
    expect([held.patch, held.deleteStuckPods]).toEqual([undefined, undefined]);
    // Another template of the owner is another try, and so is another revision.
    const container = w.object?.spec.template.spec.containers.at(-1);
    if (container !== undefined) container.image = 'registry.k8s.io/kube-apiserver:v1.35.5';
    expect(w.step().patch).toBeDefined();
    w.run();
    expect([w.reason('Ready'), w.status.workload?.refused]).toEqual(['Ready', undefined]);
  });

  it('that never was available with us goes back to what its owner had', () => {
    const w = new HostedWorld(kind);
    const untouched = structuredClone(w.object?.spec);
    w.step();
    w.step();
    w.settle(0);
    w.step();
    w.now += 300_000;
    w.step();
    expect(w.object?.spec).toEqual(untouched);
    expect(w.reason('Degraded')).toBe('NodeHeld');
    w.run();
    expect(w.flags).toBe(0);
  });

  it('gives everything back when it is disabled, and when the AuditConfig is deleted', () => {
    for (const how of ['Disabled', 'deleted']) {
      const w = new HostedWorld(kind);
      const untouched = structuredClone(w.object?.spec);
      w.run();
      if (how === 'deleted') w.deleting = true;
      else w.change({ state: 'Disabled' });
      w.run();
      expect(w.object?.spec).toEqual(untouched);
      if (how === 'deleted') expect(w.finalizer).toBe(false);
      else expect([w.reason('RolledOut'), w.reason('Verified'), w.reason('RetentionMet')]).toEqual(['Removed', 'NothingToObserve', undefined]); // prettier-ignore
    }
  });
});

/** What it is asked to run next does not become available in time, and what ran before does. */
function goBack(w: HostedWorld): void {
  w.step();
  w.settle(0);
  w.step();
  w.now += 300_000;
  w.step();
  w.settle();
}

describe('a hosted control plane', () => {
  it('that its owner writes back is put right once; the second time in ten minutes names him, and stops', () => {
    const w = new HostedWorld();
    w.run();
    w.writeBack();
    w.run();
    expect([w.reason('Ready'), w.patches]).toEqual(['Ready', 2]);
    w.now += 9 * 60_000;
    w.writeBack();
    w.run();
    expect([w.reason('Degraded'), w.reason('RolledOut'), w.reason('Stalled'), w.patches]).toEqual([
      'FieldFight',
      'FieldFight',
      'FieldFight',
      2,
    ]);
    expect(w.status.workload?.fight?.manager).toBe('platform');
    w.now += 3_600_000;
    w.run();
    expect(w.patches).toBe(2);
    w.change({ policy: { preset: 'minimal' } });
    w.run();
    expect([w.reason('Ready'), w.patches, w.status.workload?.fight]).toEqual(['Ready', 3, undefined]);
  });

  it('that its owner writes back now and then is put right each time', () => {
    const w = new HostedWorld();
    w.run();
    for (let i = 0; i < 5; i++) {
      w.writeBack();
      w.run();
      w.now += 11 * 60_000;
    }
    expect([w.reason('Ready'), w.patches]).toEqual(['Ready', 6]);
  });

  it('that is paused meanwhile has all of its time when it goes on', () => {
    const w = new HostedWorld();
    w.run();
    w.change({ policy: { preset: 'minimal' } });
    w.step();
    w.settle(0);
    w.step();
    const pause = (paused: boolean): void => {
      Object.assign(w.object?.spec ?? {}, { paused });
      w.settle(0);
    };
    pause(true);
    for (let i = 0; i < 3; i++) {
      expect([w.step().patch, w.reason('RolledOut')]).toEqual([undefined, 'Waiting']);
      w.now += 3_600_000;
    }
    pause(false);
    expect(w.step()).toMatchObject({ requeueAfterMs: 300_000 });
    w.now += 299_000;
    expect(w.step().patch).toBeUndefined();
    w.now += 1_000;
    expect(w.step().patch).toBeDefined();
  });

  it('is not changed while somebody else’s rollout is on its way, while it is paused, or outside of its window', () => {
    const w = new HostedWorld();
    w.settle(0);
    w.step();
    w.step();
    expect([w.reason('RolledOut'), w.patches]).toEqual(['Waiting', 0]);
    w.settle();
    w.change({ rollout: { paused: true } });
    w.step();
    expect([w.reason('RolledOut'), w.patches]).toEqual(['Paused', 0]);
    w.change({ rollout: { windows: [{ start: '03:00', durationMinutes: 60 }] } });
    const d = w.step();
    expect([w.reason('RolledOut'), d.requeueAfterMs, w.patches]).toEqual(['OutsideWindow', 3 * 3_600_000, 0]);
  });

  it('that is not there, or is none, says so and changes nothing', () => {
    const gone = new HostedWorld();
    gone.object = null;
    gone.run();
    expect(gone.reason('RolledOut')).toBe('WorkloadNotFound');
    const shell = new HostedWorld();
    const container = shell.object?.spec.template.spec.containers[1];
    if (container !== undefined) container.command = ['sh', '-c', 'kube-apiserver'];
    shell.run();
    expect([shell.reason('RolledOut'), shell.patches]).toEqual(['WorkloadRefused', 0]);
    gone.deleting = true;
    gone.run();
    expect(gone.finalizer).toBe(false);
  });

  it('keeps what it has where the CRD goes, where the spec is not valid, and where its last good revision is lost', () => {
    const w = new HostedWorld();
    w.run();
    const flags = w.flags;
    w.change({ policy: { rules: [{ level: 'Metdata' }] } });
    w.run();
    expect([w.reason('Accepted'), w.flags]).toEqual(['InvalidSpec', flags]);
    w.deleting = true;
    const d = decideHosted({ ...w.facts(), definition: 'Leaving' });
    expect([d.finalizer, d.patch]).toEqual(['Remove', undefined]);
    w.deleting = false;
    w.change({ policy: { preset: 'minimal' } });
    w.published.clear();
    w.step();
    w.settle(0);
    w.step();
    w.now += 300_000;
    w.step();
    expect([w.reason('Degraded'), w.flags]).toEqual(['NodeHeld', flags]);
  });

  it('publishes again what is gone, where pods of a revision that was through are not available', () => {
    const w = new HostedWorld();
    w.run();
    const digest = w.digest ?? '';
    const { reads } = w;
    // A pod that is replaced: what was published is there.
    w.settle(0);
    expect([w.step().publish, w.reads]).toEqual([undefined, reads + 1]);
    w.published.clear();
    const d = w.step();
    expect([d.publish?.digest, d.patch, w.published.has(digest)]).toEqual([digest, undefined, true]);
    expect(w.step().publish).toBeUndefined();
    w.run();
    expect(w.reason('Ready')).toBe('Ready');
    // Nobody looks while all is well, nor in a rollout of ours, which has just published it.
    const before = w.reads;
    w.step();
    w.change({ policy: { preset: 'minimal' } });
    w.step();
    w.settle(0);
    w.step();
    expect(w.reads).toBe(before);
  });

  it('publishes what is gone for a workload that came from elsewhere with our edit in it', () => {
    const w = new HostedWorld();
    w.run();
    const digest = w.digest ?? '';
    w.published.clear();
    w.status = {};
    w.settle(0);
    w.step();
    expect(w.published.has(digest)).toBe(true);
    expect(w.status.workload).toMatchObject({ digest });
  });

  describe('whose webhook gets another certificate or token', () => {
    const token = (text: string, server = 'https://r.example', cluster: object = {}): void => {
      const kubeconfig = {
        clusters: [{ name: 'c', cluster: { server, ...cluster } }],
        users: [{ name: 'u', user: { token: text } }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      };
      const data = { 'webhook.yaml': new TextEncoder().encode(JSON.stringify(kubeconfig)) };
      w.references = { webhook: { found: true, data: new Secret(data) } };
    };
    let w: HostedWorld;
    beforeEach(() => {
      w = new HostedWorld();
      w.change({ webhook: { secretRef: { name: 'w' } } });
      token('one');
      w.run();
    });
    const sent = (d: HostedDecision): string => new TextDecoder().decode(d.rotate?.credentials?.reveal().token);

    it('has that published once, beside its revision, and nothing is rolled out; a pause and windows hold it back not', () => {
      w.change({ rollout: { paused: true, windows: [{ start: '03:00', durationMinutes: 1 }] } });
      expect(w.step().rotate).toBeUndefined();
      token('two');
      const d = w.step();
      expect([sent(d), d.patch, d.publish, w.patches]).toEqual(['two', undefined, undefined, 1]);
      expect([w.step().rotate, w.reason('Ready')]).toEqual([undefined, 'Ready']);
    });

    it('has that published also where it went back: both revisions read the same file', () => {
      w.change({ policy: { preset: 'minimal' } });
      goBack(w);
      expect([w.step().rotate, w.reason('Degraded')]).toEqual([undefined, 'NodeHeld']);
      token('two');
      const d = w.step();
      expect([sent(d), d.patch]).toEqual(['two', undefined]);
      const names = (of: Revision | undefined): string =>
        hostedCredentialsName(of?.webhook?.reveal() ?? new Uint8Array(), { kind: 'Deployment', name: 'apiserver' });
      expect(names(d.rotate)).toBe(names(w.published.get(w.status.workload?.lastKnownGood ?? '')));
    });

    it('is rolled out where more of its kubeconfig changes, with its credentials in the same step', () => {
      token('two', 'https://other.example');
      const d = w.step();
      expect([d.rotate, d.patch === undefined, d.publish === undefined]).toEqual([undefined, false, false]);
      w.settle();
      expect(w.step().rotate).toBeUndefined();
    });

    const CLOSED = { windows: [{ start: '03:00', durationMinutes: 1 }] };
    const carried = (d: HostedDecision): string | undefined =>
      d.carry === undefined ? undefined : new TextDecoder().decode(d.carry.credentials?.reveal().token);

    it('has that published for what runs, too, while a revision with another kubeconfig waits', () => {
      const running = w.status.revision?.digest;
      w.change({ rollout: CLOSED, webhook: { secretRef: { name: 'w' }, batch: { maxSize: 17 } } });
      token('two', 'https://r.example', { 'disable-compression': true });
      const d = w.step();
      expect([carried(d), d.carry?.digest, d.patch, w.reads]).toEqual(['two', running, undefined, 1]);
      expect([w.reason('RolledOut'), w.reason('Degraded')]).toEqual(['OutsideWindow', 'AsExpected']);
      // Once for each pair.
      expect([carried(w.step()), w.reads]).toEqual([undefined, 1]);
      token('three', 'https://r.example', { 'disable-compression': true });
      expect([carried(w.step()), w.reads]).toEqual(['three', 2]);
      w.change({ rollout: {} });
      w.run();
      expect([w.reason('RolledOut'), w.status.workload?.carried]).toEqual(['Complete', undefined]);
    });

    it('has that said where it may be for somebody else, until it is rolled out', () => {
      w.change({ rollout: CLOSED });
      token('two', 'https://other.example');
      const d = w.step();
      expect([carried(d), d.patch, w.reason('Degraded')]).toEqual([undefined, undefined, 'CredentialsWaiting']);
      w.step();
      expect([w.reason('Degraded'), w.reads, JSON.stringify(w.status).includes('other.example')]).toEqual([
        'CredentialsWaiting',
        1,
        false,
      ]);
      w.change({ rollout: {} });
      w.run();
      expect(w.reason('Degraded')).toBe('AsExpected');
    });

    it('has nothing said while another receiver is on its way, and has it where that waits for somebody’s rollout for long', () => {
      const said: (string | undefined)[] = [];
      const look = (): number | undefined => {
        const { requeueAfterMs } = w.step();
        said.push(w.reason('Degraded'));
        return requeueAfterMs;
      };
      // Somebody else's pods are not through: nothing of ours begins.
      w.annotate();
      w.settle(0);
      token('two', 'https://other.example');
      const left = look() ?? 0;
      expect([w.reason('RolledOut'), left]).toEqual(['Waiting', 15 * 60_000]);
      w.now += left - 1_000;
      look();
      w.now += 1_000;
      look();
      expect(said).toEqual(['AsExpected', 'AsExpected', 'CredentialsWaiting']);
      w.settle();
      look();
      look();
      w.settle();
      look();
      expect([w.reason('RolledOut'), said.slice(3)]).toEqual(['Complete', ['AsExpected', 'AsExpected', 'AsExpected']]);
    });

    it('has nothing read or said where only another receiver waits, and nothing where the workload went back to it', () => {
      w.change({ rollout: CLOSED });
      token('one', 'https://other.example');
      expect([carried(w.step()), w.reason('Degraded')]).toEqual([undefined, 'AsExpected']);
      w.change({ rollout: {} });
      goBack(w);
      w.step();
      expect(w.reason('Degraded')).toBe('NodeHeld');
      // What it went back from is of another server: its credentials are not for what runs.
      token('two', 'https://other.example');
      expect([carried(w.step()), w.reason('Degraded')]).toEqual([undefined, 'NodeHeld']);
    });

    it('has none in a namespace without its workload', () => {
      w.object = null;
      token('two');
      expect(w.step().rotate).toBeUndefined();
    });
  });

  it('belongs to the older of two AuditConfigs', () => {
    const w = new HostedWorld();
    const facts = w.facts();
    const d = decideHosted({ ...facts, workload: { ...facts.workload, claimant: { key: 'tenant/older', uid: 'u0' } } });
    expect(d.status?.conditions?.find((c) => c.type === 'Accepted')).toMatchObject({ reason: 'TargetConflict' });
    expect([d.patch, d.finalizer]).toEqual([undefined, 'Keep']);
  });

  it('has old revisions deleted once after the fifth that is through, and not while one is on its way', () => {
    const w = new HostedWorld();
    const presets = ['metadata', 'minimal', 'metadata', 'minimal', 'recommended'];
    const pruned = presets.map((preset) => {
      w.change({ policy: { preset } });
      const steps = [w.step(), w.step()].map((d) => d.prune);
      w.settle();
      return [...steps, w.step().prune, w.step().prune];
    });
    expect(pruned.slice(0, 4).flat()).not.toContain(true);
    expect(pruned[4]).toEqual([undefined, undefined, true, undefined]);
    expect(w.status.workload?.published).toBeUndefined();
  });

  it('is past its own deadline before our time is over', () => {
    const w = new HostedWorld();
    w.run();
    w.change({ policy: { preset: 'minimal' } });
    w.step();
    w.settle(1);
    if (w.object?.status !== undefined)
      w.object.status['conditions'] = [
        { type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded', message: 'late' },
      ];
    expect(w.step().patch).toBeDefined();
    expect(w.status.workload?.refused?.message).toContain('late');
  });
});

describe('an owner who changes arguments of his own beside ours', () => {
  it.each(['in front', 'between', 'behind', 'sorted'])('is no fight wherever he writes them: %s', (where) => {
    const w = new HostedWorld();
    w.run();
    const good = w.status;
    for (let n = 1; n <= 6; n++) {
      w.words((words) => {
        const [first, at] = [words.findIndex((x) => x.startsWith('--audit-')), `--feature-gates=N${n}=true`];
        if (where === 'sorted') return [...words.slice(0, 2), ...[...words.slice(2), at].reverse()];
        return words.toSpliced(where === 'in front' ? first : where === 'between' ? first + 3 : words.length, 0, at);
      });
      const { generation } = w.object?.metadata ?? {};
      w.run();
      expect([w.object?.metadata.generation, w.patches]).toEqual([generation, 1]);
    }
    expect(w.status).toEqual(good);
  });

  it('and takes one of ours out besides is a revert, and the second one a fight', () => {
    const w = new HostedWorld();
    w.run();
    const take = (): void =>
      w.words((words) => [...words.filter((x) => !x.startsWith('--audit-log-maxage')), '--feature-gates=A=true']);
    take();
    w.run();
    expect([w.reason('RolledOut'), w.status.workload?.reverts?.length, w.patches]).toEqual(['Complete', 1, 2]);
    take();
    w.run();
    expect([w.reason('Degraded'), w.patches]).toEqual(['FieldFight', 2]);
  });

  it.each(['Deployment', 'StatefulSet'] as const)('is no fight, and restarts nothing more (%s)', (kind) => {
    const w = new HostedWorld(kind);
    w.run();
    for (let n = 1; n <= 6; n++) {
      w.retouch(n);
      const { generation } = w.object?.metadata ?? {};
      w.run();
      expect(w.object?.metadata.generation).toBe(generation);
      expect([w.reason('RolledOut'), w.status.workload?.reverts]).toEqual(['Complete', undefined]);
    }
    expect(JSON.stringify(w.object)).toContain('"--v=6"');
  });
});
