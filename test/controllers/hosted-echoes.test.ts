/** News of our own writing is no reason to look again; all other news is, whenever it comes. */
import { describe, expect, it } from 'vitest';
import { Echoes } from '../../src/controllers/hosted/echoes.ts';
import { isFollowed } from '../../src/rollout/hosted/scene.ts';
import type { HostedDecision } from '../../src/rollout/hosted/scene.ts';

const KEY = 'tenant/main';

describe('our own writing that comes back', () => {
  it('is no news, whether it comes before or after the answer to the request', () => {
    const echoes = new Echoes();
    echoes.begin(KEY);
    expect(echoes.concerns(KEY, 'Deployment/7')).toBe(false);
    expect(echoes.end(KEY, ['Deployment/7', 'AuditConfig/8'])).toBe(false);
    expect(echoes.concerns(KEY, 'AuditConfig/8')).toBe(false);
  });

  it('is no news once: the same version told again was told for another reason', () => {
    const echoes = new Echoes();
    echoes.begin(KEY);
    echoes.end(KEY, ['Deployment/7']);
    expect(echoes.concerns(KEY, 'Deployment/7')).toBe(false);
    expect(echoes.concerns(KEY, 'Deployment/7')).toBe(true);
  });

  it('hides nothing that somebody else wrote meanwhile', () => {
    const echoes = new Echoes();
    echoes.begin(KEY);
    expect(echoes.concerns(KEY, 'Deployment/6')).toBe(false);
    expect(echoes.concerns(KEY, 'Deployment/7')).toBe(false);
    expect(echoes.end(KEY, ['Deployment/7'])).toBe(true);
  });

  it('hides nothing that somebody wrote afterwards, nor what is told of another', () => {
    const echoes = new Echoes();
    echoes.begin(KEY);
    echoes.end(KEY, ['Deployment/7']);
    expect(echoes.concerns(KEY, 'Deployment/9')).toBe(true);
    expect(echoes.concerns(KEY, 'AuditConfig/7')).toBe(true);
    expect(echoes.concerns('tenant/other', 'Deployment/7')).toBe(true);
  });

  it('is news where the work says so, and after the AuditConfig went', () => {
    const echoes = new Echoes();
    echoes.begin(KEY);
    echoes.concerns(KEY, 'AuditConfig/8');
    expect(echoes.end(KEY, [])).toBe(true);
    echoes.begin(KEY);
    echoes.end(KEY, ['AuditConfig/9']);
    echoes.forget(KEY);
    expect(echoes.concerns(KEY, 'AuditConfig/9')).toBe(true);
  });

  it('keeps nothing of earlier work once newer work made something', () => {
    const echoes = new Echoes();
    for (const version of ['1', '2', '3']) {
      echoes.begin(KEY);
      echoes.end(KEY, [version]);
    }
    expect(['1', '2', '3'].map((v) => echoes.concerns(KEY, v))).toEqual([true, true, false]);
  });
});

describe('a decision that others carry on', () => {
  const begun = {
    finalizer: 'Keep',
    publish: {} as NonNullable<HostedDecision['publish']>,
    patch: [{ op: 'remove', path: '/spec' }],
    requeueAfterMs: 600_000,
    settled: false,
  } as const satisfies HostedDecision;

  it('is one that begins a rollout, and no other', () => {
    const { patch: _patch, ...unpatched } = begun;
    const { publish: _publish, ...removal } = begun;
    const { requeueAfterMs: _time, ...endless } = begun;
    expect(isFollowed(begun)).toBe(true);
    expect(isFollowed({ ...begun, finalizer: 'Add' })).toBe(false);
    expect(isFollowed({ ...begun, requeueAfterMs: 0 })).toBe(false);
    expect(isFollowed({ ...begun, ask: {} as NonNullable<HostedDecision['ask']> })).toBe(false);
    for (const other of [unpatched, removal, endless]) expect(isFollowed(other)).toBe(false);
  });
});
