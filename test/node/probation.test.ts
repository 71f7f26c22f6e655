/** After the commit: an API server that keeps falling over goes back to the last known good; old revisions go away. */
import { describe, expect, it } from 'vitest';
import { resume } from '../../src/node/apply-revision.ts';
import { ProbationWatch } from '../../src/node/probation.ts';
import type { Looked } from '../../src/node/probation.ts';
import { readState } from '../../src/node/state-file.ts';
import type { StateFile } from '../../src/node/state-file.ts';
import type { Revision } from '../../src/render/types.ts';
import { PROBATION, probationStep } from '../../src/rollout/probation.ts';
import type { ProbationFacts } from '../../src/rollout/probation.ts';
import { Killed } from '../host/memory-disk.ts';
import { revision } from '../targets/revisions.ts';
import { A, applyUnguarded, B, GUARD, MANIFEST, never, SPEC, TEXT, worldOn, worldWith } from './fixture.ts';
import type { World } from './world.ts';

const C = revision({ flags: { '--audit-log-maxage': '3' } });
const { stateDir, revisionsDir } = SPEC.layout;
const MINUTE = 60_000;
const signal = never;

const FACTS: ProbationFacts = {
  hold: false,
  manifest: 'AsLeft',
  upMs: 0,
  crashes: 0,
  outOfMemory: false,
  elapsedMs: 0,
};
const BAD: Partial<ProbationFacts> = { crashes: 3, outOfMemory: true };

describe('the rules of probation', () => {
  it.each<[string, Partial<ProbationFacts>, unknown]>([
    ['an API server that stays up is watched', { elapsedMs: 14 * MINUTE }, { do: 'Wait' }],
    ['for a quarter of an hour', { elapsedMs: 15 * MINUTE }, { do: 'End' }],
    ['two crashes are not yet a reason', { crashes: 2 }, { do: 'Wait' }],
    ['three are', { crashes: 3 }, { do: 'RollBack', why: 'CrashLoop' }],
    ['one is, for want of memory', { crashes: 1, outOfMemory: true }, { do: 'RollBack', why: 'OutOfMemory' }],
    [
      'three are, also in the last moment',
      { crashes: 3, elapsedMs: 15 * MINUTE },
      { do: 'RollBack', why: 'CrashLoop' },
    ],
    ['nothing is done under HOLD', { crashes: 3, outOfMemory: true, hold: true }, { do: 'Wait' }],
    ['someone else’s manifest is nothing to go back from', { ...BAD, manifest: 'NotOurs' }, { do: 'Wait' }],
    ['at no time', { ...BAD, manifest: 'NotOurs', elapsedMs: 15 * MINUTE }, { do: 'End' }],
    ['what somebody touched is not judged', { ...BAD, manifest: 'Touched', upMs: 59_999 }, { do: 'Wait' }],
    ['to the end', { ...BAD, manifest: 'Touched', elapsedMs: 15 * MINUTE }, { do: 'End' }],
    ['until it has run for a minute', { ...BAD, manifest: 'Touched', upMs: 60_000 }, { do: 'CountAnew' }],
  ])('%s', (_, facts, step) => expect(probationStep({ ...FACTS, ...facts }, PROBATION)).toEqual(step));
});

/** A node that was brought to each of `revisions`, one after the other. */
async function nodeOn(...revisions: readonly (Revision | null)[]): Promise<World> {
  const w = worldWith();
  for (const to of revisions) await apply(w, to);
  return w;
}
const apply = async (w: World, to: Revision | null): Promise<string> => (await applyUnguarded(w, to)).kind;

const look = (w: World, watch: ProbationWatch): Promise<Looked> => watch.look({ host: w.host, spec: SPEC, signal, guard: GUARD }); // prettier-ignore
const pass = (w: World, ms: number): Promise<void> => w.host.sleep(ms, signal);
const fileOf = (w: World): Promise<StateFile | null> => readState(w.disk, stateDir);
const revisionsOn = async (w: World): Promise<readonly string[]> => (await w.disk.list(revisionsDir)) ?? [];
const names = (...revisions: readonly Revision[]): readonly string[] =>
  revisions.map((r) => r.digest.slice(0, 16)).sort();

/** Looks every five seconds, as the agent does, until there is something else to say than that it watches. */
async function watched(
  w: World,
  watch: ProbationWatch,
  everyLook: (i: number) => void | Promise<void> = () => undefined,
): Promise<Looked> {
  for (let i = 0; i < 400; i++) {
    const looked = await look(w, watch);
    if (looked.kind !== 'Watching') return looked;
    await everyLook(i);
    await pass(w, 5_000);
  }
  throw new Error('it is watched for ever');
}

describe('a revision on probation', () => {
  it('has proven itself after a quarter of an hour', async () => {
    const w = await nodeOn(A, B);
    const since = w.now;
    expect((await fileOf(w))?.probation).toMatchObject({ from: A.digest, lastGood: A.digest });
    expect(await watched(w, new ProbationWatch())).toEqual({ kind: 'Passed' });
    expect(w.now - since).toBeGreaterThan(15 * MINUTE - 6_000);
    expect(w.now - since).toBeLessThan(15 * MINUTE + 6_000);
    expect((await fileOf(w))?.probation).toBeNull();
    expect(await look(w, new ProbationWatch())).toEqual({ kind: 'None' });
  });

  it('is taken back at the third crash, to the one before it, and stays held', async () => {
    const w = await nodeOn(A);
    const good = w.disk.text(MANIFEST);
    await apply(w, B);
    let crashes = 0;
    const looked = await watched(w, new ProbationWatch(), (i) => {
      if (i % 12 !== 0) return;
      crashes++;
      w.crash();
    });
    expect(looked).toMatchObject({ kind: 'RolledBack', failure: { digest: B.digest, reason: 'CrashLoop' } });
    expect(crashes).toBe(3);
    expect(w.disk.text(MANIFEST)).toBe(good);
    expect(w.isReady).toBe(true);
    expect(await fileOf(w)).toMatchObject({
      state: { phase: 'Held', current: A.digest, lastGood: A.digest, refused: B.digest, why: 'CrashLoop' },
      probation: null,
    });
    expect(await apply(w, B)).toBe('Held');
    expect(await apply(w, C)).toBe('Settled');
  });

  it('counts crashes of a former agent’s time, where the kubelet’s logs tell', async () => {
    const w = await nodeOn(A, B);
    for (let i = 0; i < 3; i++) {
      expect(await look(w, new ProbationWatch())).toEqual({ kind: 'Watching' });
      w.crash();
      await pass(w, 5_000);
    }
    expect(await look(w, new ProbationWatch())).toMatchObject({ kind: 'RolledBack' });
  });

  it('is taken back at once where it ran out of memory, by a guarded rename', async () => {
    const w = await nodeOn(A, B);
    const watch = new ProbationWatch();
    await look(w, watch);
    w.crash();
    w.oomKills++;
    const operations = w.disk.operations.length;
    expect(await look(w, watch)).toMatchObject({ kind: 'RolledBack', failure: { reason: 'OutOfMemory' } });
    const files = w.disk.operations.slice(operations).filter((o) => /^(rename|remove) .*manifests\/[^.]/.test(o));
    expect(files.map((o) => o.replace(/ .*\//, ' '))).toEqual([
      'rename auditconfig-guard.yaml',
      'rename kube-apiserver.yaml',
      'remove auditconfig-guard.yaml',
    ]);
  });

  it('is not blamed for what else ran out of memory', async () => {
    const w = await nodeOn(A, B);
    const watch = new ProbationWatch();
    for (let i = 0; i < 5; i++) {
      w.oomKills++;
      expect(await look(w, watch)).toEqual({ kind: 'Watching' });
      await pass(w, 5_000);
    }
  });

  it('is not blamed for reboots', async () => {
    const w = await nodeOn(A, B);
    for (let i = 0; i < 5; i++) {
      expect(await look(w, new ProbationWatch())).toEqual({ kind: 'Watching' });
      w.reboot();
      w.settle();
    }
    const since = w.now;
    expect(await watched(w, new ProbationWatch())).toEqual({ kind: 'Passed' });
    expect(w.now - since).toBeGreaterThan(14 * MINUTE);
  });

  it('of a newer change ends that of the older one', async () => {
    const w = await nodeOn(A, B, C);
    expect((await fileOf(w))?.probation).toMatchObject({ from: B.digest });
    await apply(w, null);
    expect(await fileOf(w)).toMatchObject({ probation: null });
    expect(await look(w, new ProbationWatch())).toEqual({ kind: 'None' });
  });

  it('goes on where the same is asked for again', async () => {
    const w = await nodeOn(A, B);
    const before = await fileOf(w);
    expect(await apply(w, B)).toBe('Settled');
    expect(await fileOf(w)).toEqual(before);
  });

  it('does not go back where someone took our edit out', async () => {
    const w = await nodeOn(A, B);
    w.disk.put(MANIFEST, TEXT);
    expect(await watched(w, new ProbationWatch(), () => w.crash())).toEqual({ kind: 'Passed' });
    expect(w.disk.text(MANIFEST)).toBe(TEXT);
  });

  /** Each of these restarts the API server, and none is the revision's doing. */
  const HANDS: readonly (readonly [string, (w: World, i: number) => Promise<void>])[] = [
    [
      'who change other flags again and again',
      async (w, i) => w.disk.put(MANIFEST, right(w).replace(/( +- --secure-port)/, `    - --v=${i}\n$1`)),
    ],
    [
      'who take the manifest away to restart the API server, and put it back',
      async (w) => {
        const text = right(w);
        await w.disk.remove(MANIFEST);
        await pass(w, 3_000);
        w.disk.put(MANIFEST, text);
      },
    ],
    [
      'whose own edit the API server does not survive, until they take it back',
      async (w, i) => {
        const text = right(w);
        w.disk.put(MANIFEST, text.replace(/( +- --secure-port)/, '    - --audit-log-mode=broken\n$1'));
        for (let n = 0; n < 2 + i; n++) await pass(w, 5_000);
        w.disk.put(MANIFEST, text);
      },
    ],
  ];
  it('is not blamed for a policy file that somebody took away, with or without an agent', async () => {
    const w = await nodeOn(A, B);
    w.disk.clock = () => w.now;
    const path = `${revisionsDir}/${B.digest.slice(0, 16)}/policy.yaml`;
    await w.disk.remove(path);
    for (let i = 0; i < 4; i++) {
      w.crash();
      await pass(w, 5_000);
    }
    const watch = new ProbationWatch();
    expect(await look(w, watch)).toEqual({ kind: 'Watching' });
    expect(await apply(w, B)).toBe('Settled');
    expect(w.disk.text(path)).not.toBeNull();
    expect(await watched(w, watch)).toEqual({ kind: 'Passed' });
  });

  const right = (w: World): string => w.disk.text(MANIFEST) ?? '';
  it.each(HANDS)('is not blamed for hands %s', async (_, hands) => {
    const w = await nodeOn(A, B);
    w.disk.clock = () => w.now;
    const watch = new ProbationWatch();
    let touched = 0;
    const looked = await watched(w, watch, async (i) => {
      if (i % 3 !== 0 || touched > 8) return;
      touched++;
      await hands(w, touched);
    });
    expect(touched).toBeGreaterThan(5);
    expect(looked).toEqual({ kind: 'Passed' });
    expect((await fileOf(w))?.state).toMatchObject({ phase: 'Settled', current: B.digest });
  });

  it('is still taken back for what it does after such an edit has held for a minute', async () => {
    const w = await nodeOn(A, B);
    w.disk.clock = () => w.now;
    const edited = (w.disk.text(MANIFEST) ?? '').replace(/( +- --secure-port)/, '    - --v=4\n$1');
    w.disk.put(MANIFEST, edited);
    let crashes = 0;
    const looked = await watched(w, new ProbationWatch(), (i) => {
      if (i < 20 || i % 3 !== 0) return;
      crashes++;
      w.crash();
    });
    expect(looked).toMatchObject({ kind: 'RolledBack', failure: { digest: B.digest, reason: 'CrashLoop' } });
    expect(crashes).toBe(3);
    expect(w.disk.text(MANIFEST)).toContain('--v=4');
    expect(w.disk.text(MANIFEST)).not.toContain(B.digest.slice(0, 16));
  });

  describe('that somebody edited, and that was put right', () => {
    const edited = (w: World): string => right(w).replace(/--audit-log-maxage=\d+/, '--audit-log-maxage=99');
    const note = (text: string): string => text.replace(/( +- --secure-port)/, '    - --v=4\n$1');
    /** On B, after A; edited by hands, and B once more. */
    async function repaired(hands: (w: World) => string): Promise<World> {
      const w = await nodeOn(A, B);
      w.disk.clock = () => w.now;
      await pass(w, 5 * MINUTE);
      w.disk.put(MANIFEST, hands(w));
      await pass(w, 5_000);
      expect(await apply(w, B)).toBe('Settled');
      expect(right(w)).not.toContain('maxage=99');
      return w;
    }

    const flags = (text: string | null): readonly string[] => [...(text ?? '').matchAll(/- (--\S+)/g)].map((m) => m[1] ?? '').sort(); // prettier-ignore
    it('still goes back to what was there before it, with what else was written', async () => {
      const good = await nodeOn(A);
      const w = await repaired((n) => note(edited(n)));
      expect((await fileOf(w))?.probation).toMatchObject({ from: A.digest, lastGood: A.digest });
      const looked = await watched(w, new ProbationWatch(), (i) => (i % 3 === 0 ? w.crash() : undefined));
      expect(looked).toMatchObject({ kind: 'RolledBack', failure: { digest: B.digest, reason: 'CrashLoop' } });
      expect(flags(w.disk.text(MANIFEST))).toEqual([...flags(good.disk.text(MANIFEST)), '--v=4']);
      expect(w.isReady).toBe(true);
      expect((await fileOf(w))?.state).toMatchObject({ phase: 'Held', current: A.digest });
    });

    it('is on probation no longer for it', async () => {
      const since = (await nodeOn(A, B)).now;
      const w = await repaired(edited);
      expect(await watched(w, new ProbationWatch())).toEqual({ kind: 'Passed' });
      expect(w.now - since).toBeLessThan(15 * MINUTE + 6_000);
    });

    it('goes on with it where the repair did not come about', async () => {
      const w = await nodeOn(A, B);
      w.disk.clock = () => w.now;
      w.disk.put(MANIFEST, edited(w));
      w.disk.onOperation = (name) => {
        if (name.startsWith('create') && name.includes('manifests/.')) w.disk.put(MANIFEST, TEXT);
      };
      expect(await apply(w, B)).toBe('Overtaken');
      expect(await fileOf(w)).toMatchObject({ journal: null, probation: { from: A.digest } });
      w.disk.onOperation = () => undefined;
      await pass(w, 10_000);
      expect(await apply(w, B)).toBe('Settled');
      expect((await fileOf(w))?.probation).toMatchObject({ from: A.digest });
    });
  });

  it('survives a kill and a failing disk at every operation of its rollback', async () => {
    const at = async (w: World): Promise<World> => {
      const watch = new ProbationWatch();
      await look(w, watch);
      for (let i = 0; i < 3; i++) {
        w.crash();
        await pass(w, 5_000);
      }
      return w;
    };
    const start = await at(await nodeOn(A, B));
    const end = worldOn(start.disk.reopened(), start.now);
    end.starts = 9;
    expect(await look(end, new ProbationWatch())).toMatchObject({ kind: 'RolledBack' });
    const text = end.disk.text(MANIFEST);
    const whole = [text, start.disk.text(MANIFEST)];
    expect(end.disk.operations.length).toBeGreaterThan(8);
    for (let i = 0; i < end.disk.operations.length; i++)
      for (const fault of [
        { kind: 'kill', at: i, after: false },
        { kind: 'kill', at: i, after: true },
        { kind: 'error', at: i, code: 'EIO', lasting: false },
      ] as const) {
        const w = worldOn(start.disk.reopened(), start.now);
        w.starts = 9;
        w.disk.fault = fault;
        await look(w, new ProbationWatch()).catch((e: unknown) => expect(e).toBeInstanceOf(Killed));
        expect(whole).toContain(w.disk.text(MANIFEST));
        const next = worldOn(w.disk.reopened(), w.now);
        await resume({ host: next.host, spec: SPEC, signal });
        next.starts = 9;
        await look(next, new ProbationWatch());
        expect(next.disk.text(MANIFEST)).toBe(text);
        expect((await fileOf(next))?.state).toMatchObject({ phase: 'Held', refused: B.digest });
        expect(await next.disk.list('/etc/kubernetes/manifests')).not.toContain('auditconfig-guard.yaml');
      }
  });
});

describe('revision folders', () => {
  it('stay while something may come back to them, and go then', async () => {
    const w = await nodeOn(A);
    expect(await revisionsOn(w)).toEqual(names(A));
    await apply(w, B);
    expect(await revisionsOn(w)).toEqual(names(A, B));
    await apply(w, C);
    expect(await revisionsOn(w)).toEqual(names(B, C));
    await watched(w, new ProbationWatch());
    expect(await revisionsOn(w)).toEqual(names(C));
  });

  it('that a manifest names stay, whoever wrote it', async () => {
    const w = await nodeOn(A, B);
    const named = `# see ${revisionsDir}/${A.digest.slice(0, 16)}/policy.yaml\n`;
    w.disk.put(MANIFEST, named + (w.disk.text(MANIFEST) ?? ''));
    await watched(w, new ProbationWatch());
    expect(await revisionsOn(w)).toEqual(names(A, B));
  });

  it('that kubeadm-config may name stay, until it names another', async () => {
    const w = await nodeOn(A, B);
    expect(await applyUnguarded(w, C, { keep: [A.digest] })).toMatchObject({ kind: 'Settled' });
    expect(await revisionsOn(w)).toEqual(names(A, B, C));
    expect(await applyUnguarded(w, C, { keep: 'All' })).toMatchObject({ kind: 'Settled' });
    expect(await revisionsOn(w)).toEqual(names(A, B, C));
    await applyUnguarded(w, C, { keep: [] });
    expect(await revisionsOn(w)).toEqual(names(B, C));
  });

  it('that another place of the host was given stay, as long as it is remembered', async () => {
    const w = await nodeOn(A, B);
    const record = `${stateDir}/adopted/copy.yaml-01234567.json`;
    w.disk.put(record, JSON.stringify({ digest: A.digest }));
    await apply(w, C);
    expect(await revisionsOn(w)).toEqual(names(A, B, C));
    await w.disk.remove(record);
    await watched(w, new ProbationWatch());
    expect(await revisionsOn(w)).toEqual(names(C));
  });

  it('that are not ours by name stay', async () => {
    const w = await nodeOn(A);
    w.disk.put(`${revisionsDir}/by-hand/policy.yaml`, 'theirs');
    w.disk.put(`${revisionsDir}/0123456789abcdef/notes.txt`, 'theirs');
    await apply(w, B);
    expect(await revisionsOn(w)).toEqual([...names(A, B), '0123456789abcdef', 'by-hand'].sort());
  });
});
