import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ok } from '../../src/kube/errors.ts';
import { eachEvent, linesOf } from '../../src/kube/watch-events.ts';
import type { WatchEvent } from '../../src/kube/watch-events.ts';
import { statusBody } from './fake-api.ts';
import { THINGS } from './things.ts';

async function* from(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const c of chunks) {
    await Promise.resolve();
    yield c;
  }
}
const line = (type: string, object: unknown): string => `${JSON.stringify({ type, object })}\n`;
const named = (name: string, version = '1') => ({ metadata: { name, namespace: 'd', resourceVersion: version } });

async function read(...chunks: (string | Uint8Array)[]) {
  const events: WatchEvent[] = [];
  const bytes = chunks.map((c) => (typeof c === 'string' ? Buffer.from(c) : c));
  const end = await eachEvent(from(bytes), THINGS, (event) => {
    events.push(event);
    return ok(undefined);
  });
  return { events, end };
}

describe('the bytes of a watch', () => {
  it('give the same events wherever the network cuts them, also inside a character', async () => {
    const text = ['snow ☃', 'key 🔑', 'plain', 'Grüße'].map((n) => line('ADDED', named(n))).join('');
    const bytes = Buffer.from(text);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 12 }), async (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
        const lines: string[] = [];
        for await (const l of linesOf(from(chunks))) lines.push(Buffer.from(l).toString());
        expect(lines.join('\n') + '\n').toBe(text);
      }),
    );
  });

  it('are read event by event, empty lines and unknown types left out', async () => {
    const { events, end } = await read(
      line('ADDED', named('a')),
      '\n',
      line('SURPRISE', named('b')),
      line('BOOKMARK', { kind: 'Thing', metadata: { resourceVersion: '77' } }),
      line('DELETED', named('a', '2')),
    );
    expect(end).toEqual({ ok: true, value: undefined });
    expect(events.map((e) => e.type)).toEqual(['ADDED', 'BOOKMARK', 'DELETED']);
    expect(events[1]).toEqual({ type: 'BOOKMARK', resourceVersion: '77' });
  });

  it('are dropped where the last line is torn', async () => {
    const { events, end } = await read(line('ADDED', named('a')), line('ADDED', named('b')).slice(0, 20));
    expect(events).toHaveLength(1);
    expect(end.ok).toBe(true);
  });

  it('end the watch when a line is no JSON, no UTF-8 or no object', async () => {
    for (const bad of [
      '{"type":"ADDED",\n',
      Buffer.from(line('ADDED', named('caf\xe9')), 'latin1'),
      '[]\n',
      line('ADDED', {}),
    ]) {
      const { end } = await read(line('ADDED', named('a')), bad, line('ADDED', named('b')));
      expect(end).toMatchObject({ ok: false, error: { code: 'BadResponse' } });
    }
  });

  it('carry errors inside the stream as errors with their code', async () => {
    const { events } = await read(
      line('ERROR', statusBody(410, 'Expired')),
      line('ERROR', statusBody(500, 'InternalError')),
    );
    expect(events.map((e) => e.type === 'ERROR' && e.error.code)).toEqual(['Gone', 'ServerError']);
  });

  it('turn a connection that breaks into an error', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(line('ADDED', named('a')));
      await Promise.resolve();
      throw Object.assign(new Error('reset'), { code: 'ECONNRESET' });
    }
    expect(await eachEvent(broken(), THINGS, () => ok(undefined))).toMatchObject({
      ok: false,
      error: { code: 'ConnectionLost' },
    });
  });
});
