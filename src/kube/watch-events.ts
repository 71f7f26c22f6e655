/**
 * The bytes of a watch as events: one JSON document a line, cut anywhere by the network, also inside a character. Lines
 * are put together as bytes and decoded whole. What is no event is a BadResponse, which ends the watch: after a torn
 * line nothing can be trusted. Called by reflector.ts.
 */
import { errorOfStatus, errorOfThrown, fail, ok } from './errors.ts';
import type { KubeError, Result } from './errors.ts';
import { isRecord, parseObject } from './types.ts';
import type { KubeObject, Resource } from './types.ts';

export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: KubeObject }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string }
  | { readonly type: 'ERROR'; readonly error: KubeError };

/** An object may have 3 MiB in etcd at most, whatever its limit; JSON escapes can blow it up. */
const MAX_LINE_BYTES = 32 * 1024 * 1024;
const NEWLINE = 0x0a;

/** Complete lines without their newline; a rest without newline at the end is a torn line and is not given. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  let held = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      const end = chunk.subarray(from, at);
      yield parts.length === 0 ? end : Buffer.concat([...parts, end]);
      parts = [];
      held = 0;
      from = at + 1;
    }
    if (from < chunk.length) {
      parts.push(chunk.subarray(from));
      held += chunk.length - from;
    }
    if (held > MAX_LINE_BYTES) throw Object.assign(new Error('a watch event is too large'), { code: 'HPE_TOO_LARGE' });
  }
}

/** One line as an event. Unknown event types are none: undefined. */
export function parseEvent(line: Uint8Array, resource: Resource): Result<WatchEvent | undefined> {
  let raw: unknown;
  try {
    raw = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(line));
  } catch {
    return fail('BadResponse', 'a watch event is no JSON');
  }
  if (!isRecord(raw)) return fail('BadResponse', 'a watch event is no object');
  if (raw['type'] === 'ERROR') return ok({ type: 'ERROR', error: errorOfStatus(raw['object'], 500) });
  if (raw['type'] === 'BOOKMARK') {
    // A bookmark's object has nothing but a resourceVersion, no name.
    const metadata = isRecord(raw['object']) ? raw['object']['metadata'] : undefined;
    const version = isRecord(metadata) ? metadata['resourceVersion'] : undefined;
    return typeof version === 'string'
      ? ok({ type: 'BOOKMARK', resourceVersion: version })
      : fail('BadResponse', 'a bookmark has no version');
  }
  const type = raw['type'];
  if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') return ok(undefined);
  const object = parseObject(raw['object'], resource);
  if (object?.metadata.resourceVersion === undefined) return fail('BadResponse', 'a watch event has no object');
  return ok({ type, object });
}

/** Ends with `ok(undefined)` when the server ended the watch, with an error when the connection or the data broke. */
export async function eachEvent(
  chunks: AsyncIterable<Uint8Array>,
  resource: Resource,
  take: (event: WatchEvent) => Result<undefined>,
): Promise<Result<undefined>> {
  try {
    for await (const line of linesOf(chunks)) {
      if (line.length === 0) continue;
      const event = parseEvent(line, resource);
      if (!event.ok) return event;
      if (event.value === undefined) continue;
      const taken = take(event.value);
      if (!taken.ok) return taken;
    }
    return ok(undefined);
  } catch (thrown) {
    return { ok: false, error: errorOfThrown(thrown) };
  }
}
