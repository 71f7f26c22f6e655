/** The way back from a webhook that blocks requests: prepared before it is needed, taken once, and kept across a kill. */
import { describe, expect, it } from 'vitest';
import { applyRevision } from '../../src/node/apply-revision.ts';
import {
  dueFallback,
  endFallback,
  fallBack,
  fallbackPath,
  forgetFallback,
  prepareFallback,
  readFallback,
  twinIn,
} from '../../src/node/fallback.ts';
import type { ApplyOutcome } from '../../src/node/outcome.ts';
import { readState, writeState } from '../../src/node/state-file.ts';
import { batchTwin } from '../../src/render/batch-twin.ts';
import type { Revision } from '../../src/render/types.ts';
import { DEFAULT_RULES } from '../../src/rollout/node-state.ts';
import { holding, render, revisionOf, WEBHOOK } from '../render/inputs.ts';
import { MANIFEST, SPEC, nodeWith } from '../targets/static-pod-host.ts';
import { World } from './world.ts';
import type { Behaviour } from './world.ts';
import { TEXT, worldWith } from './fixture.ts';

const never = new AbortController().signal;
const { stateDir, revisionsDir } = SPEC.layout;
const hooked = (mode: 'Batch' | 'Blocking' | 'BlockingStrict', token = 'one'): Revision =>
  revisionOf(
    render(
      { webhook: { secretRef: { name: 'w' }, mode } },
      { webhook: holding({ 'webhook.yaml': WEBHOOK.replace('CANARY-token', token) }) },
    ),
  );
const BLOCKING = hooked('Blocking');
const TWIN = hooked('Batch');
const rules = { ...DEFAULT_RULES, timeoutMs: 60_000 };

const common = (w: World) => ({ host: w.host, spec: SPEC, version: '1.36' as const, rules, signal: never });
const bring = (w: World, to: Revision | null, again = false): Promise<ApplyOutcome> =>
  applyRevision({ ...common(w), to, checks: [], again });
const prepare = (w: World, to: Revision): Promise<ApplyOutcome | undefined> =>
  prepareFallback({ host: w.host, spec: SPEC, to, signal: never });
const stateOf = async (w: World) => (await readState(w.disk, stateDir))?.state;
/** As the worker installs one. */
async function installed(
  to = BLOCKING,
  behaves: (args: readonly string[]) => Behaviour = () => 'good',
): Promise<World> {
  const w = new World(nodeWith(TEXT), MANIFEST, behaves);
  expect(await prepare(w, to)).toBeUndefined();
  expect((await bring(w, to)).kind).toBe('Settled');
  expect(await prepare(w, to)).toBeUndefined();
  return w;
}
async function fallenBack(w: World): Promise<ApplyOutcome> {
  const due = await dueFallback({ host: w.host, spec: SPEC }, '1.36');
  if (due === undefined) throw new Error('nothing is prepared');
  return fallBack(common(w), due);
}
const modeIn = (w: World): string => /--audit-webhook-mode=(\S+)/.exec(w.disk.text(MANIFEST) ?? '')?.[1] ?? 'none';
const twinFile = `${revisionsDir}/${TWIN.digest.slice(0, 16)}/policy.yaml`;

describe('the twin of a revision', () => {
  it('is what Batch would have rendered, to the digest', () => {
    for (const mode of ['Blocking', 'BlockingStrict'] as const)
      expect(batchTwin(hooked(mode))?.digest).toBe(TWIN.digest);
    expect(batchTwin(TWIN)).toBeUndefined();
    expect(batchTwin(revisionOf(render({})))).toBeUndefined();
  });
});

describe('what is prepared', () => {
  it('is there before the revision is, for root alone, and its files with the revision', async () => {
    const w = worldWith();
    expect(await prepare(w, BLOCKING)).toBeUndefined();
    expect(w.disk.live.get(fallbackPath(stateDir))?.mode).toBe(0o600);
    await bring(w, BLOCKING);
    await prepare(w, BLOCKING);
    expect(w.disk.text(twinFile)).toBe(new TextDecoder().decode(BLOCKING.policy));
    expect(modeIn(w)).toBe('blocking');
  });

  it('has the credentials that were rotated last', async () => {
    const w = await installed();
    const rotated = hooked('Blocking', 'two');
    await prepare(w, rotated);
    await bring(w, rotated);
    await fallenBack(w);
    expect(w.disk.text(`${revisionsDir}/${TWIN.digest.slice(0, 16)}/token`)).toBe('two');
  });

  it('is nothing for Batch, and goes when the node has settled on something else', async () => {
    const w = await installed();
    await prepare(w, TWIN);
    expect(await readFallback(w.disk, stateDir)).not.toBeNull();
    await bring(w, TWIN);
    await prepare(w, TWIN);
    expect(w.disk.text(fallbackPath(stateDir))).toBeNull();
    const v = await installed();
    await bring(v, null);
    await forgetFallback(v.disk, stateDir, null);
    expect(v.disk.text(fallbackPath(stateDir))).toBeNull();
    expect(v.disk.text(twinFile)).toBeNull();
  });

  it('is not trusted where somebody changed it', async () => {
    const w = await installed();
    const text = w.disk.text(fallbackPath(stateDir)) ?? '';
    const fallback = await readFallback(w.disk, stateDir);
    expect(fallback !== null && twinIn(fallback, '1.36')?.digest).toBe(TWIN.digest);
    for (const bad of [
      text.replace(/audit\.k8s\.io\/v1\\/, 'audit.k8s.io/v2\\'),
      text.replaceAll(TWIN.digest, BLOCKING.digest),
      '{',
      '[]',
    ]) {
      w.disk.put(fallbackPath(stateDir), bad);
      expect([bad === text, await dueFallback({ host: w.host, spec: SPEC }, '1.36')]).toEqual([false, undefined]);
    }
  });
});

describe('falling back', () => {
  it('restarts once, into Batch, asks nobody, and stays there', async () => {
    const w = await installed();
    expect(await fallenBack(w)).toMatchObject({
      kind: 'RolledBack',
      failure: { reason: 'WebhookFallback', digest: BLOCKING.digest },
    });
    // Of this very pod.
    expect([modeIn(w), w.starts]).toEqual(['batch', 1]);
    expect(await stateOf(w)).toMatchObject({ phase: 'Held', current: TWIN.digest, refused: BLOCKING.digest });
    // What was asked before is asked on.
    await prepare(w, BLOCKING);
    expect(await bring(w, BLOCKING)).toMatchObject({ kind: 'Held', failure: { reason: 'WebhookFallback' } });
    expect([modeIn(w), w.starts]).toEqual(['batch', 1]);
  });

  it('ends with another revision, and with a person’s word', async () => {
    const w = await installed();
    await fallenBack(w);
    expect((await bring(w, BLOCKING, true)).kind).toBe('Settled');
    expect(modeIn(w)).toBe('blocking');
    const v = await installed();
    await fallenBack(v);
    expect((await bring(v, hooked('BlockingStrict'))).kind).toBe('Settled');
  });

  it('that was killed between its end and the word of it is held all the same', async () => {
    const w = await installed();
    await fallenBack(w);
    const settled = { phase: 'Settled', current: TWIN.digest, lastGood: TWIN.digest } as const;
    await writeState(w.disk, stateDir, { state: settled, journal: null, lastFailure: null, probation: null });
    expect(await endFallback({ host: w.host, spec: SPEC, signal: never })).toMatchObject({ kind: 'RolledBack' });
    expect(await stateOf(w)).toMatchObject({ phase: 'Held', refused: BLOCKING.digest });
    expect(await endFallback({ host: w.host, spec: SPEC, signal: never })).toBeUndefined();
  });

  it('to what does not come up goes back, and is not tried again for an hour', async () => {
    const w = await installed(BLOCKING, (args) => (args.includes('--audit-webhook-mode=batch') ? 'crashes' : 'good'));
    expect(await fallenBack(w)).toMatchObject({ kind: 'RolledBack', failure: { reason: 'CrashLoop' } });
    expect(modeIn(w)).toBe('blocking');
    expect(await dueFallback({ host: w.host, spec: SPEC }, '1.36')).toBeUndefined();
    w.now += 3_600_001;
    expect(await dueFallback({ host: w.host, spec: SPEC }, '1.36')).toBeDefined();
  });

  it('is for the revision that it was prepared for alone, and not beside a change in flight', async () => {
    const w = await installed();
    await bring(w, hooked('BlockingStrict'));
    expect(await dueFallback({ host: w.host, spec: SPEC }, '1.36')).toBeUndefined();
  });

  it('does nothing while a HOLD file is there', async () => {
    const w = await installed();
    w.disk.put(`${stateDir}/HOLD`, '');
    expect((await fallenBack(w)).kind).toBe('OnHold');
    expect(modeIn(w)).toBe('blocking');
  });
});
