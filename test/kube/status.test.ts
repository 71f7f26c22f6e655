import { describe, expect, it } from 'vitest';
import type { ApplyCall, KubeClient } from '../../src/kube/client.ts';
import { fail, ok } from '../../src/kube/errors.ts';
import type { Result } from '../../src/kube/errors.ts';
import { createStatusWriter } from '../../src/kube/status.ts';
import type { KubeObject, Resource } from '../../src/kube/types.ts';
import { noKubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import { THINGS } from './things.ts';

function make(answer: () => Result<KubeObject> = () => ok({ apiVersion: '', kind: '', metadata: { name: 'a' } })) {
  const sent: { object: KubeObject; call: ApplyCall }[] = [];
  const apply = (_r: Resource, object: KubeObject, call: ApplyCall): Promise<Result<KubeObject>> => {
    sent.push({ object, call });
    return Promise.resolve(answer());
  };
  const client = { apply } as unknown as KubeClient;
  return { sent, writer: createStatusWriter({ client, resource: THINGS, fieldManager: 'm', metrics: noKubeMetrics }) };
}
const { signal } = new AbortController();
const at = (resourceVersion: string, status?: object) => ({
  metadata: { name: 'a', namespace: 'd', uid: 'u', resourceVersion },
  ...(status === undefined ? {} : { status }),
});

describe('a status', () => {
  it('is applied whole, as its own field manager, to the object of that uid only', async () => {
    const { sent, writer } = make();
    expect(await writer.apply(at('1'), { n: 1, gone: undefined }, signal)).toEqual(ok(true));
    expect(sent).toMatchObject([
      {
        object: {
          apiVersion: 'test.dev/v1',
          kind: 'Thing',
          metadata: { name: 'a', namespace: 'd', uid: 'u' },
          status: { n: 1 },
        },
        call: { fieldManager: 'm', force: true, subresource: 'status' },
      },
    ]);
    expect(Object.keys(sent[0]?.object.metadata ?? {})).not.toContain('resourceVersion');
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
