/**
 * A kubelet that was started in mid-change, while its API was away: it deletes no pod, so the restored manifest's waits
 * behind the bad one's. The played kubelet of world.ts does so, as the real one does in test/cluster.
 */
import { describe, expect, it } from 'vitest';
import { readState } from '../../src/node/state-file.ts';
import type { Revision } from '../../src/render/types.ts';
import { ownUid, withoutUid, withUid } from '../../src/targets/static-pod/borrowed-uid.ts';
import { podInTheWay } from '../../src/node/stuck-pod.ts';
import { guardPath } from '../../src/node/guard-pod.ts';
import { Killed } from '../host/memory-disk.ts';
import { actAsGuard, apply, BROKEN, HANGING, MANIFEST, SPEC, TEXT, worldOn, worldWith } from './fixture.ts';
import type { World } from './world.ts';

const UID = 'bf56d8bcb7b6172929e358d9f5ff7cc4';

/** A node whose agent was killed right after the rename, and whose kubelet was started anew then. */
async function stuckNode(to: Revision, restart: (w: World) => void = (w) => w.reboot()): Promise<World> {
  const w = worldWith();
  const at = async (): Promise<number> => {
    const trial = worldWith();
    await apply(trial, to);
    return trial.disk.operations.indexOf(`rename ${MANIFEST}`);
  };
  w.disk.fault = { kind: 'kill', at: (await at()) + 1, after: true };
  await expect(apply(w, to)).rejects.toThrow(Killed);
  w.disk = w.disk.reopened();
  expect(w.disk.text(MANIFEST)).not.toBe(TEXT);
  restart(w);
  return w;
}

/** Texts that the manifest had, in order, seen at each rename. */
function textsOf(w: World): readonly (string | null)[] {
  const seen: (string | null)[] = [];
  w.onTick = () => {
    const text = w.disk.text(MANIFEST);
    if (seen.at(-1) !== text) seen.push(text);
  };
  return seen;
}

describe('a kubelet without an API, with a bad manifest', () => {
  it.each<[string, Revision, (w: World) => void]>([
    ['after a reboot, crashing', BROKEN, (w) => w.reboot()],
    ['after a reboot, hanging', HANGING, (w) => w.reboot()],
    ['after a restart of the kubelet alone', BROKEN, (w) => ((w.retry = 25_000), w.restartKubelet())],
  ])('is brought back to the old one by the guard: %s', async (_, to, restart) => {
    const w = await stuckNode(to, restart);
    const bad = w.disk.text(MANIFEST) ?? '';
    const texts = textsOf(w);
    const since = w.now;
    expect(await actAsGuard(w)).toMatchObject({ kind: 'RolledBack', failure: { digest: to.digest } });
    expect(texts).toEqual([bad, TEXT, expect.stringMatching(/uid: "[0-9a-f]{32}"/), TEXT]);
    expect(w.disk.text(MANIFEST)).toBe(TEXT);
    expect(w.runningText).toBe(TEXT);
    expect(w.isReady).toBe(true);
    expect(w.now - since).toBeLessThan(to === BROKEN ? 65_000 : 400_000);
    expect(await readState(w.disk, SPEC.layout.stateDir)).toMatchObject({
      state: { phase: 'Held', current: null, refused: to.digest },
      journal: null,
    });
    expect(w.disk.text(guardPath(MANIFEST))).toBeNull();
  });

  it('that sees its API again by itself is left to it', async () => {
    const w = worldWith();
    const texts = textsOf(w);
    await apply(w, BROKEN);
    expect(texts.some((t) => t?.includes('uid:') === true)).toBe(false);
  });

  it('whose API server does not start with the old one either keeps the borrowed UID until it does', async () => {
    const w = await stuckNode(BROKEN);
    const since = w.now;
    w.down = true;
    w.onTick = () => w.now - since > 900_000 && (w.down = false);
    expect(await actAsGuard(w)).toMatchObject({ kind: 'RolledBack' });
    expect(w.now - since).toBeGreaterThan(900_000);
    expect(w.disk.text(MANIFEST)).toBe(TEXT);
    expect(w.runningText).toBe(TEXT);
    expect(w.isReady).toBe(true);
  });

  it('keeps what someone changed meanwhile, and loses the borrowed UID', async () => {
    const w = await stuckNode(BROKEN);
    w.onTick = () => {
      const text = w.disk.text(MANIFEST) ?? '';
      if (ownUid(text) !== null && !text.includes('--v=2'))
        w.disk.put(MANIFEST, text.replace(/^( +)- --secure-port/m, '$1- --v=2\n$1- --secure-port'));
    };
    expect(await actAsGuard(w)).toMatchObject({ kind: 'RolledBack' });
    expect(w.disk.text(MANIFEST)).toContain('--v=2');
    expect(ownUid(w.disk.text(MANIFEST) ?? '')).toBeNull();
    expect(w.isReady).toBe(true);
  });

  it('survives a kill, a failing disk and a power cut at every operation of the way back', async () => {
    const start = await stuckNode(BROKEN);
    const again = (): World => {
      const w = worldOn(start.disk.reopened(), start.now);
      w.reboot();
      w.settle();
      return w;
    };
    const whole = again();
    await actAsGuard(whole);
    const { operations } = whole.disk;
    expect(operations.filter((o) => o === `rename ${MANIFEST}`)).toHaveLength(3);
    const faults = operations.flatMap((_, at) => [
      { kind: 'kill', at, after: false } as const,
      { kind: 'kill', at, after: true } as const,
      ...(['ENOSPC', 'EIO', 'EROFS'] as const).map((code) => ({ kind: 'error', at, code, lasting: false }) as const),
    ]);
    for (const fault of faults) {
      const w = again();
      w.disk.fault = fault;
      await actAsGuard(w).catch((e: unknown) => expect(e).toBeInstanceOf(Killed));
      const cut = fault.kind === 'kill' && fault.after ? 2 ** Math.min(3, w.disk.pendingCount) : 0;
      for (const disk of [
        w.disk.reopened(),
        ...Array.from({ length: cut }, (_, keep) => w.disk.afterPowerCut((i) => (keep & (1 << i)) !== 0)),
      ]) {
        const next = worldOn(disk, w.now);
        next.reboot();
        next.settle();
        await actAsGuard(next);
        expect(next.disk.text(MANIFEST), JSON.stringify(fault)).toBe(TEXT);
        expect(next.isReady).toBe(true);
        expect((await readState(next.disk, SPEC.layout.stateDir))?.journal).toBeNull();
      }
    }
  }, 60_000);
});

describe('a UID', () => {
  it.each([
    ['block style', TEXT],
    ['JSON', JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec: { containers: [{ name: 'a', command: ['kube-apiserver'] }] } })], // prettier-ignore
  ])('is lent to a manifest in %s, as a string, and taken out again', (_, text) => {
    for (const uid of [UID, '12345678901234567890123456789012', '123e4567123e45671234567812345678']) {
      const lent = withUid(text, uid);
      expect(ownUid(lent ?? '')).toBe(uid);
      expect(lent).toContain(`"${uid}"`);
      expect(ownUid(withoutUid(lent ?? '') ?? '')).toBeNull();
    }
  });

  it('is not lent to a manifest that has one, nor to what is no pod, nor one that is none', () => {
    expect(withUid(withUid(TEXT, UID) ?? '', UID)).toBeNull();
    expect(withUid('a: [', UID)).toBeNull();
    expect(withUid(TEXT, 'x\n  evil: yes')).toBeNull();
  });
});

describe('the pod in the way', () => {
  const name = { namespace: 'kube-system', name: 'kube-apiserver', container: 'kube-apiserver' };
  const JOURNAL = { manifest: MANIFEST, before: TEXT, after: TEXT, record: null, made: [], boot: null, confidential: false }; // prettier-ignore
  const folder = (uid: string): string => `kube-system_kube-apiserver-cp-1_${uid}`;
  it.each<[string, readonly string[], readonly string[], string | null]>([
    ['is the one that lives', ['bad'], ['old'], 'bad'],
    ['is none where none lives', [], ['old'], null],
    ['is not the one of before, even where it is the only one', ['old'], ['old'], null],
    ['is the new one where the empty one of before still stands', ['old', 'bad'], ['old'], 'bad'],
    ['cannot be told where there are two new ones', ['bad', 'worse'], ['old'], null],
  ])('%s', async (_, living, known, uid) => {
    const host = { ...worldWith().host, logFolders: async () => ['old', 'bad', 'worse'].map(folder), livingPods: async () => living }; // prettier-ignore
    expect(await podInTheWay(host, name, { ...JOURNAL, pods: [...known], knownLogs: [folder('bad')] })).toBe(uid);
  });
});
