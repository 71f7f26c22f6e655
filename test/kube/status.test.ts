import { describe, expect, it } from 'vitest';
import type { JsonPatch, KubeClient, PatchCall } from '../../src/kube/client.ts';
import { fail, ok } from '../../src/kube/errors.ts';
import type { Result } from '../../src/kube/errors.ts';
import { createStatusWriter } from '../../src/kube/status.ts';
import type { KubeObject, ObjectRef } from '../../src/kube/types.ts';
import { noKubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import { THINGS } from './things.ts';

function make(answer: () => Result<KubeObject> = () => ok({ apiVersion: '', kind: '', metadata: { name: 'a' } })) {
  const sent: { ref: ObjectRef; patch: JsonPatch; call: PatchCall }[] = [];
  const jsonPatch: KubeClient['jsonPatch'] = (_r, ref, patch, call) => {
    sent.push({ ref, patch, call });
    return Promise.resolve(answer());
  };
  const client = { jsonPatch } as unknown as KubeClient;
  return { sent, writer: createStatusWriter({ client, resource: THINGS, fieldManager: 'm', metrics: noKubeMetrics }) };
}
const { signal } = new AbortController();
const at = (resourceVersion: string, status?: object) => ({
  metadata: { name: 'a', namespace: 'd', uid: 'u', resourceVersion },
  ...(status === undefined ? {} : { status }),
});

describe('a status', () => {
  it('is set whole, on the object of that uid only', async () => {
    const { sent, writer } = make();
    expect(await writer.apply(at('1'), { n: 1, gone: undefined }, signal)).toEqual(ok(true));
    expect(sent).toEqual([
      {
        ref: { namespace: 'd', name: 'a' },
        patch: [
          { op: 'test', path: '/metadata/uid', value: 'u' },
          { op: 'add', path: '/status', value: { n: 1 } },
        ],
        call: { signal, fieldManager: 'm', subresource: 'status' },
      },
    ]);
  });

  it('that somebody else writes over is put right at once, then ever rarer, and at once when there is news', async () => {
    let now = 0;
    let version = 1;
    const sent: unknown[] = [];
    const jsonPatch: KubeClient['jsonPatch'] = (_r, _ref, patch) => {
      sent.push(patch.at(-1));
      return Promise.resolve(
        ok({ apiVersion: '', kind: '', metadata: { name: 'a', resourceVersion: String(++version) } }),
      );
    };
    const clock = { monotonicMs: () => now, wallMs: () => 0 };
    const client = { jsonPatch } as unknown as KubeClient;
    const writer = createStatusWriter({ client, resource: THINGS, fieldManager: 'm', metrics: noKubeMetrics, clock });
    const overwritten = () => at(String(++version), { n: 0 });
    const at1: number[] = [];
    // Twenty a second, for a minute.
    for (; now < 60_000; now += 50) {
      const before = sent.length;
      // Who takes conditions out has them dated anew.
      const next = { n: 1, conditions: [{ type: 'Ready', lastTransitionTime: String(now) }] };
      const done = await writer.apply(overwritten(), next, signal);
      if (sent.length > before) at1.push(now);
      else expect(done).toMatchObject({ error: { code: 'Conflict', retryAfterMs: expect.any(Number) as number } });
    }
    expect(at1).toEqual([0, 50, 1_050, 3_050, 7_050, 15_050, 31_050]);
    expect(await writer.apply(overwritten(), { n: 2 }, signal)).toEqual(ok(true));
    expect(await writer.apply(overwritten(), { n: 2 }, signal)).toEqual(ok(true));
    // Of another object of that name nothing was written before.
    writer.forget('u');
    expect(await writer.apply(overwritten(), { n: 2 }, signal)).toEqual(ok(true));
  });

  it('that the schema refuses is Invalid, another object of that name is a Conflict', async () => {
    const causes = [{ field: 'status.n', reason: 'x', message: 'x' }];
    const answers = [fail('Invalid', 'x', { causes }), fail('Invalid', 'x')];
    const { writer } = make(() => answers.shift() as Result<KubeObject>);
    expect(await writer.apply(at('1'), { n: 1 }, signal)).toMatchObject({ error: { code: 'Invalid' } });
    expect(await writer.apply(at('1'), { n: 1 }, signal)).toMatchObject({ error: { code: 'Conflict' } });
  });

  it('that is there already is not written', async () => {
    const { sent, writer } = make();
    expect(await writer.apply(at('1', { n: 1, list: [{ a: 1 }] }), { list: [{ a: 1 }], n: 1 }, signal)).toEqual(
      ok(false),
    );
    expect(sent).toHaveLength(0);
  });

  it('is not written twice while the cache still shows the object as it was before', async () => {
    const { sent, writer } = make();
    await writer.apply(at('1'), { n: 1 }, signal);
    expect(await writer.apply(at('1'), { n: 1 }, signal)).toEqual(ok(false));
    // A different one is written over the same version, and then the first again.
    expect(await writer.apply(at('1'), { n: 2 }, signal)).toEqual(ok(true));
    expect(await writer.apply(at('1'), { n: 1 }, signal)).toEqual(ok(true));
    expect(sent).toHaveLength(3);
  });

  it('is not written twice while the cache goes on to versions that are older than what was written', async () => {
    const metadata = { name: 'a', resourceVersion: '12' };
    const { sent, writer } = make(() => ok({ apiVersion: '', kind: '', metadata }));
    await writer.apply(at('9'), { n: 1 }, signal);
    expect([writer.newer(at('10')), writer.newer(at('11'))]).toEqual([{ n: 1 }, { n: 1 }]);
    expect(await writer.apply(at('11'), { n: 1 }, signal)).toEqual(ok(false));
    expect(writer.newer(at('12', { n: 1 }))).toBeUndefined();
    // Whoever wrote over it, and however old a cache comes after that: it is not held against what stands there.
    expect(await writer.apply(at('13', { n: 7 }), { n: 1 }, signal)).toEqual(ok(true));
    expect(sent).toHaveLength(2);
  });

  it('that someone else changed is written again', async () => {
    const { sent, writer } = make();
    await writer.apply(at('1'), { n: 1 }, signal);
    expect(await writer.apply(at('2', { n: 7 }), { n: 1 }, signal)).toEqual(ok(true));
    expect(sent).toHaveLength(2);
  });

  it('that could not be written is tried again', async () => {
    const answers = [fail('Unavailable', 'x'), ok({ apiVersion: '', kind: '', metadata: { name: 'a' } })];
    const { writer } = make(() => answers.shift() as Result<KubeObject>);
    expect(await writer.apply(at('1'), { n: 1 }, signal)).toMatchObject({ error: { code: 'Unavailable' } });
    expect(await writer.apply(at('1'), { n: 1 }, signal)).toEqual(ok(true));
  });

  it('of an object that is gone is forgotten', async () => {
    const { writer } = make();
    await writer.apply(at('1'), { n: 1 }, signal);
    writer.forget('u');
    expect(await writer.apply(at('1'), { n: 1 }, signal)).toEqual(ok(true));
  });
});
