/** The guard: placed before the manifest is touched, acting only where no agent lives, gone when nothing is in flight. */
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { resume } from '../../src/node/apply-revision.ts';
import { takeClaim } from '../../src/node/claim.ts';
import { guardNode, parseGuardArgs } from '../../src/node/guard.ts';
import { guardManifest, guardPath } from '../../src/node/guard-pod.ts';
import { readState } from '../../src/node/state-file.ts';
import type { Revision } from '../../src/render/types.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { decodeStaticPod } from '../control-plane/static-pod.ts';
import { Killed } from '../host/memory-disk.ts';
import { A, apply, applyUnguarded, BROKEN, GUARD, MANIFEST, never, SPEC, TEXT, worldOn, worldWith } from './fixture.ts';
import type { World } from './world.ts';

const AT = guardPath(MANIFEST);
const STATE_DIR = SPEC.layout.stateDir;

/** An agent with process 1, killed right after it has renamed the manifest. */
async function killedAfterRename(to: Revision): Promise<World> {
  const w = worldWith();
  w.pid = 1;
  w.alive.add(1);
  await takeClaim(w.host, STATE_DIR, 'agent');
  let at = -1;
  w.disk.onOperation = (name) => {
    if (name === `rename ${MANIFEST}`) at = w.disk.operations.length - 1;
    if (at >= 0 && w.disk.fault === null) w.disk.fault = { kind: 'kill', at: at + 1, after: false };
  };
  await expect(apply(w, to)).rejects.toThrow(Killed);
  w.disk = w.disk.reopened();
  expect(w.disk.text(AT)).not.toBeNull();
  return w;
}

/** The guard as process 2, until it ends or is told to. */
async function guard(w: World, signal: AbortSignal = never): Promise<void> {
  w.alive.add(2);
  const host = { ...w.host, me: async () => ({ pid: 2, start: 1, boot: w.bootId }) };
  await guardNode({ host, spec: SPEC, log: createLogger({ name: 'guard', level: 'silent' }), signal });
  w.alive.delete(2);
}

describe('the guard’s pod', () => {
  const text = guardManifest(GUARD, SPEC, 'change-1');
  const pod = parse(text) as {
    spec: { hostPID: boolean; containers: { securityContext: unknown; volumeMounts: { mountPath: string; readOnly?: boolean }[] }[] }; // prettier-ignore
  };

  it('is one that a kubelet runs, under a name of its own', () => {
    const decoded = decodeStaticPod(new TextEncoder().encode(text), AT);
    expect(decoded).toMatchObject({ pod: { key: 'auditconfig-system/auditconfig-guard' } });
    expect(decoded).toMatchObject({ pod: { containers: [{ image: GUARD.image }] } });
    expect(parseGuardArgs(('pod' in decoded ? decoded.pod.containers[0]?.argv.slice(1) : null) ?? [])).toEqual({
      root: '/host',
      proc: '/proc',
      manifest: MANIFEST,
    });
  });

  it('has no credentials, no privileges, and writes nowhere but in the manifests’ and its own folder', () => {
    expect(pod.spec).toMatchObject({ automountServiceAccountToken: false, hostPID: true, hostNetwork: true });
    expect(text).not.toMatch(/serviceAccount(Name)?:|privileged|secret/i);
    expect(pod.spec.containers[0]?.securityContext).toMatchObject({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    const mounts = pod.spec.containers[0]?.volumeMounts ?? [];
    expect(mounts.filter((m) => m.readOnly !== true).map((m) => m.mountPath)).toEqual([
      '/host/etc/kubernetes/manifests',
      '/host/var/lib/auditconfig',
    ]);
  });

  it('is another pod for each change', () => {
    const uid = (change: string): unknown => decodeStaticPod(new TextEncoder().encode(guardManifest(GUARD, SPEC, change)), AT); // prettier-ignore
    expect(uid('a')).not.toEqual(uid('b'));
  });
});

describe('a change', () => {
  it('has the guard in place before the manifest is touched, and takes it away at the end', async () => {
    for (const to of [A, BROKEN]) {
      const w = worldWith();
      await apply(w, to);
      const at = (name: string): number => w.disk.operations.findIndex((o) => o === name);
      expect(at(`rename ${AT}`)).toBeGreaterThan(0);
      expect(at(`rename ${AT}`)).toBeLessThan(at(`rename ${MANIFEST}`));
      expect(at(`remove ${AT}`)).toBeGreaterThan(at(`rename ${MANIFEST}`));
      expect(w.disk.text(AT)).toBeNull();
    }
  });

  it('without an image goes on without one, and says so', async () => {
    expect(await applyUnguarded(worldWith(), A)).toMatchObject({
      kind: 'Settled',
      findings: expect.arrayContaining([expect.objectContaining({ severity: 'info', code: 'NoGuard' })]) as unknown,
    });
    const guarded = await apply(worldWith(), A);
    expect(guarded.kind === 'Settled' && guarded.findings.map((f) => f.code)).not.toContain('NoGuard');
  });

  it('leaves a file of that name alone that is somebody else’s', async () => {
    const w = worldWith();
    w.disk.put(AT, 'theirs');
    expect(await apply(w, A)).toMatchObject({
      kind: 'Settled',
      findings: expect.arrayContaining([expect.objectContaining({ code: 'NoGuard' })]) as unknown,
    });
    expect(w.disk.text(AT)).toBe('theirs');
  });

  it('of the past may have left a guard behind: whoever looks next takes it away', async () => {
    const w = worldWith();
    await apply(w, A);
    w.disk.put(AT, guardManifest(GUARD, SPEC, 'stale'));
    await resume({ host: w.host, spec: SPEC, signal: never });
    expect(w.disk.text(AT)).toBeNull();
    w.disk.put(AT, guardManifest(GUARD, SPEC, 'stale'));
    await guard(w);
    expect(w.disk.text(AT)).toBeNull();
  });
});

describe('an agent killed right after the rename', () => {
  it.each([
    ['of a bad revision is replaced by the guard, which rolls back', BROKEN],
    ['of a good revision is replaced by the guard, which commits', A],
  ])('%s', async (_, to) => {
    const w = await killedAfterRename(to);
    const installed = w.disk.text(MANIFEST);
    w.alive.delete(1);
    await guard(w);
    expect(w.disk.text(MANIFEST)).toBe(to === A ? installed : TEXT);
    expect(w.disk.text(AT)).toBeNull();
    expect(w.isReady).toBe(true);
    expect((await readState(w.disk, STATE_DIR))?.state).toMatchObject(
      to === A ? { phase: 'Settled', current: A.digest } : { phase: 'Held', refused: BROKEN.digest, why: 'CrashLoop' },
    );
    expect((await w.disk.list(STATE_DIR))?.filter((n) => n.startsWith('claim'))).toEqual([]);
    // Its mount of the revisions is read-only.
    expect(w.disk.operations.filter((o) => o.includes(SPEC.layout.revisionsDir))).toEqual([]);
    // The agent that comes back at last finds nothing to do.
    const operations = w.disk.operations.length;
    expect(await apply(w, to)).toMatchObject({ kind: to === A ? 'Settled' : 'Held' });
    expect(w.disk.operations.slice(operations).filter((o) => o.includes(MANIFEST))).toEqual([]);
  });

  it('and a reboot: the guard rolls back alone', async () => {
    const w = await killedAfterRename(BROKEN);
    w.reboot();
    w.alive.clear();
    await guard(w);
    expect(w.disk.text(MANIFEST)).toBe(TEXT);
    expect(w.isReady).toBe(true);
  });

  it('that lives on after all: the guard touches nothing', async () => {
    const w = await killedAfterRename(BROKEN);
    const before = w.disk.snapshot();
    const stop = new AbortController();
    const since = w.now;
    w.onTick = () => w.now - since > 60_000 && stop.abort();
    await guard(w, stop.signal);
    expect(w.disk.snapshot()).toEqual(before);
  });

  it('under a file HOLD: the guard waits until it is gone', async () => {
    const w = await killedAfterRename(BROKEN);
    w.alive.delete(1);
    w.disk.put(`${STATE_DIR}/HOLD`, '');
    const since = w.now;
    w.onTick = () => w.now - since > 60_000 && w.disk.live.delete(`${STATE_DIR}/HOLD`);
    await guard(w);
    expect(w.now - since).toBeGreaterThan(60_000);
    expect(w.disk.text(MANIFEST)).toBe(TEXT);
  });

  it('on a disk without any space: the guard rolls back, and leaves it to the next to blame somebody', async () => {
    const w = await killedAfterRename(BROKEN);
    w.alive.delete(1);
    w.disk.fault = { kind: 'full', at: 0 };
    const since = w.now;
    let healthyAt: number | undefined;
    w.onTick = () => {
      if (w.disk.text(MANIFEST) === TEXT && w.isReady) healthyAt ??= w.now;
      if (w.now - since > 60_000) w.disk.fault = null;
    };
    await guard(w);
    expect((healthyAt ?? Infinity) - since).toBeLessThan(20_000);
    expect(w.disk.text(MANIFEST)).toBe(TEXT);
    expect(w.disk.text(AT)).toBeNull();
    // What the guard saw could not be written down, so there is one more attempt, with room.
    expect((await readState(w.disk, STATE_DIR))?.state).toEqual({ phase: 'Settled', current: null, lastGood: null });
    expect(await apply(w, BROKEN)).toMatchObject({ kind: 'RolledBack', failure: { reason: 'CrashLoop' } });
    expect(await apply(w, BROKEN)).toMatchObject({ kind: 'Held' });
    expect(((await w.disk.list(STATE_DIR)) ?? []).filter((n) => n.startsWith('claim-guard'))).toEqual([]);
  });

  it('on a disk that fails now and then: the guard tries again', async () => {
    const w = await killedAfterRename(BROKEN);
    w.alive.delete(1);
    for (let at = 0; at < 25; at++) {
      const again = worldOn(w.disk.reopened(), w.now);
      again.disk.fault = { kind: 'error', at, code: 'ENOSPC', lasting: false };
      await guard(again);
      expect(again.disk.text(MANIFEST)).toBe(TEXT);
      expect(again.disk.text(AT)).toBeNull();
    }
  });
});
