/** What runs while another revision waits has the newest credentials of its webhook, where they are for the same. */
import { describe, expect, it } from 'vitest';
import { applyRevision } from '../../src/node/apply-revision.ts';
import { carryCredentials } from '../../src/node/carry.ts';
import type { Revision } from '../../src/render/types.ts';
import { DEFAULT_RULES } from '../../src/rollout/node-state.ts';
import { holding, render, revisionOf, WEBHOOK } from '../render/inputs.ts';
import { MANIFEST, SPEC, nodeWith } from '../targets/static-pod-host.ts';
import { TEXT } from './fixture.ts';
import { World } from './world.ts';

const never = new AbortController().signal;
const { stateDir, revisionsDir } = SPEC.layout;
const hooked = (token: string, maxSize = 100, edit = (text: string): string => text): Revision =>
  revisionOf(
    render(
      { webhook: { secretRef: { name: 'w' }, batch: { maxSize } } },
      { webhook: holding({ 'webhook.yaml': edit(WEBHOOK.replace('CANARY-token', token)) }) },
    ),
  );
const OLD = hooked('one');
const file = `${revisionsDir}/${OLD.digest.slice(0, 16)}/token`;

async function running(): Promise<World> {
  const w = new World(nodeWith(TEXT), MANIFEST, () => 'good');
  const rules = { ...DEFAULT_RULES, timeoutMs: 60_000 };
  const input = { host: w.host, spec: SPEC, version: '1.36' as const, rules, signal: never, checks: [] };
  expect((await applyRevision({ ...input, to: OLD })).kind).toBe('Settled');
  return w;
}
const carry = (w: World, to: Revision): Promise<unknown> =>
  carryCredentials({ host: w.host, spec: SPEC, to, signal: never });

describe('a node that runs an older revision than it is told of', () => {
  it('gets the newest credentials beside it, once, in a file that keeps its owner, and restarts nothing', async () => {
    const w = await running();
    const { mode, owner } = w.disk.live.get(file) ?? {};
    const { starts } = w;
    const to = hooked('two', 17);
    expect(to.digest).not.toBe(OLD.digest);
    expect([await carry(w, to), w.disk.text(file), w.starts]).toEqual([true, 'two', starts]);
    expect(w.disk.live.get(file)).toMatchObject({ mode, owner });
    expect(await carry(w, to)).toBe(false);
    expect([...w.disk.live.keys()].filter((p) => p.includes(to.digest.slice(0, 16)))).toEqual([]);
  });

  it.each([
    ['of another server', (t: string) => t.replace('audit.example.org', 'elsewhere.example')],
    ['that are none any more', (t: string) => t.replace('token: two', 'username: somebody')],
  ])('keeps what it has where they are %s', async (_what, edit) => {
    const w = await running();
    const to = hooked('two', 17, edit);
    expect([await carry(w, to), w.disk.text(file)]).toEqual([false, 'one']);
  });

  it('keeps what it has on hold, and gets no file back that somebody took away', async () => {
    const w = await running();
    w.disk.put(`${stateDir}/HOLD`, '');
    expect([await carry(w, hooked('two', 17)), w.disk.text(file)]).toEqual([false, 'one']);
    const v = await running();
    v.disk.live.delete(file);
    expect([await carry(v, hooked('two', 17)), v.disk.text(file)]).toEqual([false, null]);
  });

  it('is left to its own revision where that is the one', async () => {
    const w = await running();
    expect([await carry(w, hooked('two')), w.disk.text(file)]).toEqual([false, 'one']);
  });
});
