/** One node, brought to a revision, away from it and back, with every kind of API server behind the manifest. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { applyRevision, resume } from '../../src/node/apply-revision.ts';
import type { ApplyInput } from '../../src/node/apply-revision.ts';
import type { NodeHost } from '../../src/node/host.ts';
import type { ApplyOutcome } from '../../src/node/outcome.ts';
import { readState } from '../../src/node/state-file.ts';
import { DEFAULT_RULES } from '../../src/rollout/node-state.ts';
import type { Revision } from '../../src/render/types.ts';
import type { Turn } from '../../src/rollout/turn.ts';
import { revision } from '../targets/revisions.ts';
import { nodeWith } from '../targets/static-pod-host.ts';
import { A, B, BROKEN, GUARD, HANGING, MANIFEST, SPEC, worldWith as nodeOf } from './fixture.ts';
import { World } from './world.ts';

const KUBEADM = readFileSync(`${import.meta.dirname}/../targets/static-pod/golden/kubeadm-1.36/before.yaml`, 'utf8');
const STATE_DIR = SPEC.layout.stateDir;

const worldWith = (manifest = KUBEADM): World => nodeOf(manifest);

const apply = (w: World, to: Revision | null, more: Partial<ApplyInput> = {}): Promise<ApplyOutcome> =>
  applyRevision({ host: w.host, spec: SPEC, to, version: '1.36', signal: new AbortController().signal, ...more });
/** Past the checks: what a fault of our own, or of a check, would let through. */
const force = (w: World, to: Revision | null, more: Partial<ApplyInput> = {}): Promise<ApplyOutcome> =>
  apply(w, to, { checks: [], ...more });

const stateOf = async (w: World): Promise<unknown> => (await readState(w.disk, STATE_DIR))?.state;

describe('a good revision', () => {
  it('runs in a new process before it is committed, and is last known good then', async () => {
    const w = worldWith();
    expect(await apply(w, A)).toMatchObject({ kind: 'Settled', current: A.digest, restarted: true });
    expect(w.runningText).toBe(w.disk.text(MANIFEST));
    expect(w.isReady).toBe(true);
    expect(await stateOf(w)).toEqual({ phase: 'Settled', current: A.digest, lastGood: A.digest });
  });

  it('asked for again changes nothing', async () => {
    const w = worldWith();
    await apply(w, A);
    const before = [w.disk.operations.length, w.now];
    expect(await apply(w, A)).toMatchObject({ kind: 'Settled', restarted: false });
    expect([w.disk.operations.length, w.now]).toEqual(before);
  });

  it('with another token has it in its file, restarts nothing, and waits for no turn and no room', async () => {
    const w = worldWith();
    const [one, two] = ['one', 'two'].map((token) => revision({ webhook: 'x', token }));
    await force(w, one ?? null);
    const [starts, manifest] = [w.starts, w.disk.text(MANIFEST)];
    w.disk.free = 0;
    const refused = (): Promise<Turn> => Promise.resolve({ granted: false, reason: 'LeaseHeld', message: '' });
    const outcome = await apply(w, two ?? null, { turn: refused });
    expect(outcome).toMatchObject({ kind: 'Settled', current: two?.digest, restarted: false });
    expect([w.starts, w.disk.text(MANIFEST)]).toEqual([starts, manifest]);
    expect(w.disk.text(`/etc/kubernetes/auditconfig/revisions/${two?.digest.slice(0, 16)}/token`)).toBe('two');
  });

  it('is not committed before it was ready for minReadyMs', async () => {
    const [fast, slow] = [worldWith(), worldWith()];
    const start = fast.now;
    await apply(fast, A);
    await apply(slow, A, { rules: { ...DEFAULT_RULES, minReadyMs: 30_000 } });
    expect(slow.now - start).toBeGreaterThan(fast.now - start + 29_000);
  });

  it('waits for a slow kubelet: the old process says nothing about the new manifest', async () => {
    const w = worldWith();
    w.reaction = 20_000;
    await apply(w, A);
    expect(w.runningText).toBe(w.disk.text(MANIFEST));
    // The flags stay the same here: only the start of the process tells the old one from the new.
    const text = w.disk.text(MANIFEST) ?? '';
    w.disk.put(MANIFEST, text.replace(/ {4}- mountPath: \/var\/log\/kube-audit\n.*\n/, ''));
    w.settle();
    w.settle();
    w.settle();
    expect(await apply(w, A)).toMatchObject({ kind: 'Settled', restarted: true });
    expect(w.disk.text(MANIFEST)).toBe(text);
    expect(w.runningText).toBe(text);
  });

  it('is committed by an agent that stood still for longer than the change may take', async () => {
    const w = worldWith();
    let asked = 0;
    // SIGSTOP, or a paused VM: the API server comes up meanwhile, and the first look at it comes when the time is over.
    const probe: NodeHost['probe'] = (address, signal) => {
      if (++asked === 8) w.now += 3_600_000;
      return w.host.probe(address, signal);
    };
    const outcome = await apply(w, A, { host: { ...w.host, probe } });
    expect(outcome).toMatchObject({ kind: 'Settled', current: A.digest });
  });

  it('works where processes cannot be seen, by the outage that was seen', async () => {
    const w = worldWith();
    w.hidden = true;
    expect(await apply(w, A)).toMatchObject({ kind: 'Settled', current: A.digest });
    expect(w.isReady).toBe(true);
  });

  it('works in a pid namespace of its own, where no API server is to be seen, and without a guard', async () => {
    for (const [to, kind] of [
      [A, 'Settled'],
      [BROKEN, 'RolledBack'],
    ] as const) {
      const w = worldWith();
      const host = { ...w.host, processes: async () => ({ now: w.now, bootId: w.bootId, apiServers: [] }) };
      const since = w.now;
      const outcome = await force(w, to, { host, guard: GUARD });
      expect(outcome).toMatchObject({ kind });
      expect(w.now - since).toBeLessThan(60_000);
      expect(w.isReady).toBe(true);
      expect(w.disk.operations.filter((o) => o.includes('auditconfig-guard'))).toEqual([]);
      if (outcome.kind === 'Settled') expect(outcome.findings.map((f) => f.code)).toContain('NoGuard');
    }
  });

  it('is removed without a trace', async () => {
    const w = worldWith();
    const untouched = w.disk.snapshot();
    await apply(w, A);
    await apply(w, B);
    expect(await apply(w, null)).toMatchObject({ kind: 'Settled', current: null, restarted: true });
    expect(w.disk.snapshot()).toEqual(untouched);
    expect(w.isReady).toBe(true);
  });
});

describe('a revision with which the API server does not start', () => {
  it('is rolled back soon after the second crash, with the last words as the reason', async () => {
    const w = worldWith();
    await apply(w, A);
    const good = w.disk.text(MANIFEST);
    const since = w.now;
    const outcome = await force(w, BROKEN);
    expect(outcome).toMatchObject({
      kind: 'RolledBack',
      failure: {
        digest: BROKEN.digest,
        reason: 'CrashLoop',
        message: expect.stringContaining('invalid audit log mode') as unknown,
      },
    });
    expect(w.disk.text(MANIFEST)).toBe(good);
    expect(w.isReady).toBe(true);
    expect(w.now - since).toBeLessThan(10_000);
    expect(await stateOf(w)).toEqual({
      phase: 'Held',
      current: A.digest,
      lastGood: A.digest,
      refused: BROKEN.digest,
      why: 'CrashLoop',
    });
  });

  it('is rolled back after the timeout where it only hangs', async () => {
    const w = worldWith();
    const since = w.now;
    const outcome = await force(w, HANGING, { rules: { ...DEFAULT_RULES, timeoutMs: 60_000 } });
    expect(outcome).toMatchObject({ kind: 'RolledBack', failure: { reason: 'NotHealthyInTime' } });
    expect(w.now - since).toBeGreaterThanOrEqual(60_000);
    expect(w.now - since).toBeLessThan(70_000);
    expect(w.disk.text(MANIFEST)).toBe(KUBEADM);
  });

  it('is not tried again, unless told so; a newer one is', async () => {
    const w = worldWith();
    await force(w, BROKEN);
    const writes = w.disk.operations.length;
    expect(await force(w, BROKEN)).toMatchObject({ kind: 'Held', failure: { digest: BROKEN.digest } });
    expect(w.disk.operations.length).toBe(writes);
    expect(await force(w, BROKEN, { again: true })).toMatchObject({ kind: 'RolledBack' });
    expect(await apply(w, A)).toMatchObject({ kind: 'Settled', current: A.digest });
    expect(await apply(w, B)).toMatchObject({ kind: 'Settled', current: B.digest });
  });

  it('says nothing of the log where the revision is confidential', async () => {
    const w = worldWith();
    const outcome = await force(w, { ...BROKEN, confidential: true });
    expect(outcome).toMatchObject({
      kind: 'RolledBack',
      failure: { message: expect.not.stringContaining('invalid') as unknown },
    });
  });

  it('keeps what someone else changed meanwhile', async () => {
    const w = worldWith();
    await apply(w, A);
    const since = w.now;
    let done = false;
    w.onTick = () => {
      if (done || w.now - since < 1_000) return;
      done = true;
      w.disk.put(MANIFEST, (w.disk.text(MANIFEST) ?? '').replace('v1.36.3', 'v1.36.4'));
    };
    expect(await force(w, BROKEN)).toMatchObject({ kind: 'RolledBack' });
    expect(w.disk.text(MANIFEST)).toContain('v1.36.4');
    expect(w.disk.text(MANIFEST)).not.toContain('broken');
    expect(w.disk.text(MANIFEST)).toContain(A.digest.slice(0, 16));
    expect(w.isReady).toBe(true);
  });

  it('is not blamed where the API server is not healthy after the rollback either', async () => {
    const w = new World(nodeWith(KUBEADM), MANIFEST, () => 'hangs');
    const outcome = await force(w, A, { rules: { ...DEFAULT_RULES, timeoutMs: 30_000 } });
    expect(outcome).toMatchObject({ kind: 'RolledBack', failure: { reason: 'Inconclusive' } });
    expect(await stateOf(w)).toMatchObject({ phase: 'Held', refused: null, why: 'Inconclusive' });
    expect(w.disk.text(MANIFEST)).toBe(KUBEADM);
  });
});

describe('nothing is touched', () => {
  const unchanged = async (w: World, act: () => Promise<ApplyOutcome>): Promise<ApplyOutcome> => {
    const before = w.disk.snapshot();
    const outcome = await act();
    expect(w.disk.snapshot()).toEqual(before);
    return outcome;
  };

  it.each<[string, Revision, string]>([
    ['whose content is not what the digest says', { ...A, digest: B.digest }, 'DigestMismatch'],
    [
      'with a flag that is not of auditing',
      revision({ flags: { '--authorization-mode': 'AlwaysAllow' } }),
      'FlagUnknown',
    ],
    [
      'with an audit flag that nobody renders',
      revision({ flags: { '--audit-dynamic-configuration': 'true' } }),
      'FlagUnknown',
    ],
    ['with a value that no API server takes', BROKEN, 'FlagValueInvalid'],
    ['with a path of its own', revision({ flags: { '--audit-policy-file': '/etc/shadow' } }), 'FlagValueInvalid'],
    ['whose log climbs out of its folder', revision({ logName: '../etcd/db' }), 'LogPathInvalid'],
    [
      'whose policy does not load',
      revision({ policy: 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: []\n' }),
      'PolicyDoesNotLoad',
    ],
    [
      'whose log folder is the manifests folder',
      revision({ logDir: '/etc/kubernetes/manifests' }),
      'LogFolderForbidden',
    ],
  ])('for a revision %s', async (_, to, code) => {
    const w = worldWith();
    const outcome = await unchanged(w, () => apply(w, to));
    expect(outcome.kind === 'Refused' && outcome.findings.map((f) => f.code)).toContain(code);
  });

  it('where the disk has no room for the log', async () => {
    const w = worldWith();
    w.disk.free = 1024 ** 3;
    const outcome = await unchanged(w, () => apply(w, A));
    expect(outcome).toMatchObject({ kind: 'Refused', findings: [{ code: 'NoRoomForLog' }] });
    w.disk.free = 2 * 1024 ** 3;
    expect(await apply(w, A)).toMatchObject({ kind: 'Settled' });
    // What the log itself has taken since says nothing against what runs.
    w.disk.free = 0;
    expect(await apply(w, A)).toMatchObject({ kind: 'Settled', restarted: false });
  });

  it('and the log that fills the disk up to its limit is room for itself: not for the next policy, nor for a repair', async () => {
    const w = worldWith();
    w.disk.free = 2 * 1024 ** 3;
    await apply(w, A);
    // 1.1 GiB at the most: the log and ten rotated files of 100 MiB each.
    const folder = '/var/log/kube-audit';
    const rotated = [...Array(10).keys()].map((i) => `${folder}/audit-2026-11-2${i % 3}T0${i}-00-00.000.log`);
    for (const path of [`${folder}/audit.log`, ...rotated]) {
      w.disk.put(path, '');
      w.disk.sizes.set(path, 100 * 1024 ** 2);
    }
    w.disk.free = 50 * 1024 ** 2;
    expect(await apply(w, B)).toMatchObject({ kind: 'Settled', restarted: true });
    w.disk.put(MANIFEST, KUBEADM);
    w.settle();
    expect(await apply(w, B)).toMatchObject({ kind: 'Settled', restarted: true });
    // What is not the log's own is not deleted when it rotates.
    for (const path of rotated) w.disk.sizes.delete(path);
    w.disk.put(`${folder}/audit-of-last-year.log`, '');
    w.disk.sizes.set(`${folder}/audit-of-last-year.log`, 10 * 1024 ** 3);
    expect(await apply(w, A)).toMatchObject({ kind: 'Refused', findings: [{ code: 'NoRoomForLog' }] });
  });

  it('where nobody could see the API server become ready', async () => {
    const w = worldWith(
      KUBEADM.replace(
        '    - --allow-privileged=true\n',
        '    - --allow-privileged=true\n    - --anonymous-auth=false\n',
      ),
    );
    expect(await unchanged(w, () => apply(w, A))).toMatchObject({
      kind: 'Refused',
      findings: [{ code: 'CannotProbe' }],
    });
    const silent = worldWith();
    silent.anonymous = false;
    expect(await unchanged(silent, () => apply(silent, A))).toMatchObject({
      kind: 'Refused',
      findings: [{ code: 'CannotProbe' }],
    });
  });

  it('while a file HOLD is there', async () => {
    const w = worldWith();
    w.disk.put(`${STATE_DIR}/HOLD`, '');
    expect(await unchanged(w, () => apply(w, A))).toEqual({ kind: 'OnHold' });
  });

  it('by whom does not understand the state file', async () => {
    const w = worldWith();
    w.disk.put(`${STATE_DIR}/state.json`, '{"version":2}');
    expect(await unchanged(w, () => apply(w, A))).toEqual({ kind: 'StateUnreadable' });
  });
});

describe('a change in flight', () => {
  it('is given up where someone changes the manifest between plan and rename', async () => {
    const w = worldWith();
    const theirs = KUBEADM.replace('v1.36.3', 'v1.36.4');
    w.disk.onOperation = (name) => {
      if (name.startsWith('create') && name.includes('manifests/.')) w.disk.put(MANIFEST, theirs);
    };
    expect(await apply(w, A)).toEqual({ kind: 'Overtaken', path: MANIFEST });
    expect(w.disk.text(MANIFEST)).toBe(theirs);
    expect(await stateOf(w)).toEqual({ phase: 'Settled', current: null, lastGood: null });
    w.disk.onOperation = () => undefined;
    expect(await apply(w, A)).toMatchObject({ kind: 'Settled', current: A.digest });
    expect(w.disk.text(MANIFEST)).toContain('v1.36.4');
  });

  it.each([0, 100, 1_500, 5_000])(
    'gives way to whoever writes the manifest anew %s ms after it, and blames nobody',
    async (after) => {
      const w = worldWith();
      const theirs = KUBEADM.replace('v1.36.3', 'v1.36.4');
      let since: number | undefined;
      w.onTick = () => {
        if (since === undefined && w.disk.text(MANIFEST)?.includes('--audit-policy-file') === true) since = w.now;
        if (since === undefined || w.now - since !== after) return;
        w.disk.put(MANIFEST, theirs);
      };
      // Healthy a while after that is soon enough.
      expect(await apply(w, A, { rules: { ...DEFAULT_RULES, minReadyMs: 10_000 } })).toEqual({
        kind: 'Overtaken',
        path: MANIFEST,
      });
      expect(w.disk.text(MANIFEST)).toBe(theirs);
      expect(await stateOf(w)).toEqual({ phase: 'Settled', current: null, lastGood: null });
    },
  );

  it.each([0, 100, 1_500])('waits where the manifest is moved away %s ms after it, until it is back', async (after) => {
    const w = worldWith();
    let since: number | undefined;
    let moved: string | null = null;
    w.onTick = () => {
      const text = w.disk.text(MANIFEST);
      if (since === undefined && text?.includes('--audit-policy-file') === true) since = w.now;
      if (since === undefined) return;
      if (w.now - since === after) {
        moved = text;
        w.disk.live.delete(MANIFEST);
      }
      if (w.now - since === after + 20_000) w.disk.put(MANIFEST, moved ?? '');
    };
    const rules = { ...DEFAULT_RULES, minReadyMs: 5_000 };
    expect(await apply(w, A, { rules })).toMatchObject({ kind: 'Settled', current: A.digest });
    expect(w.disk.text(MANIFEST)).toBe(moved);
  });

  it('takes what is written after a crash for a rescue', async () => {
    const w = worldWith();
    const theirs = KUBEADM.replace('v1.36.3', 'v1.36.4');
    let crashed: number | undefined;
    w.onTick = () => {
      if (w.lines.length > 0) crashed ??= w.now;
      // Before the second one, at which it would go back by itself.
      if (crashed !== undefined && w.now - crashed === 400) w.disk.put(MANIFEST, theirs);
    };
    expect(await force(w, BROKEN)).toMatchObject({ kind: 'RolledBack', failure: { reason: 'Rescued' } });
    expect(w.disk.text(MANIFEST)).toBe(theirs);
  });

  it('stops at a HOLD file and goes on without it', async () => {
    const w = worldWith();
    const since = w.now;
    w.onTick = () => {
      if (w.now - since > 500) w.disk.put(`${STATE_DIR}/HOLD`, '');
    };
    expect(await force(w, BROKEN)).toEqual({ kind: 'OnHold' });
    const stuck = w.disk.text(MANIFEST);
    w.settle();
    w.onTick = () => undefined;
    expect(w.disk.text(MANIFEST)).toBe(stuck);
    w.disk.live.delete(`${STATE_DIR}/HOLD`);
    expect(await resume({ host: w.host, spec: SPEC, signal: new AbortController().signal })).toMatchObject({
      kind: 'RolledBack',
    });
    expect(w.disk.text(MANIFEST)).toBe(KUBEADM);
  });

  it('is interrupted by the signal, and resumed to its end in the next life', async () => {
    const w = worldWith();
    const stop = new AbortController();
    const since = w.now;
    w.onTick = () => w.now - since > 500 && stop.abort();
    expect(await apply(w, A, { signal: stop.signal })).toEqual({ kind: 'Interrupted' });
    expect(await stateOf(w)).toMatchObject({ phase: 'Probing', to: A.digest });
    w.onTick = () => undefined;
    expect(await resume({ host: w.host, spec: SPEC, signal: new AbortController().signal })).toMatchObject({
      kind: 'Settled',
      current: A.digest,
    });
  });

  it('survives a reboot', async () => {
    for (const to of [A, BROKEN]) {
      const w = worldWith();
      const stop = new AbortController();
      const since = w.now;
      w.onTick = () => w.now - since > 300 && stop.abort();
      await force(w, to, { signal: stop.signal });
      w.onTick = () => undefined;
      w.reboot();
      const outcome = await resume({ host: w.host, spec: SPEC, signal: new AbortController().signal });
      expect(outcome.kind).toBe(to === A ? 'Settled' : 'RolledBack');
      expect(w.isReady).toBe(true);
    }
  });

  it('is not fooled by a clock that jumps', async () => {
    const w = worldWith();
    const host = w.host;
    let jump = 0;
    w.onTick = () => (jump -= 3_600_000);
    expect(await apply(w, A, { host: { ...host, now: () => w.now + jump } })).toMatchObject({ kind: 'Settled' });
  });
});
