/**
 * Lines of a log of any size in constant memory: plain or gzipped (told by its first bytes, not by its name), a file or
 * standard input. A line that is longer than any event can be is skipped and said to be. Used by log-events.ts.
 */
import { closeSync, openSync, read } from 'node:fs';
import { Readable, pipeline } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGunzip } from 'node:zlib';

/** Well above what an API server writes: requests are at most 3 MiB, and answers of lists are logged whole. */
export const MAX_LINE_BYTES = 64 * 1024 * 1024;

/** `ended` is false for bytes after the last newline: the writer was stopped, or is still writing. */
export type LogLine = { readonly number: number; readonly ended: boolean } & (
  { readonly text: string } | { readonly tooLong: true }
);

type Source = { readonly path: string; readonly stdin: number; readonly signal: AbortSignal };

const GZIP = Buffer.from([0x1f, 0x8b]);

/** At least the first two bytes, unless there are fewer. */
async function head(chunks: AsyncIterator<Buffer>): Promise<Buffer> {
  let first: Buffer = Buffer.alloc(0);
  while (first.length < 2) {
    const next = await chunks.next();
    if (next.done === true) return first;
    first = Buffer.concat([first, next.value]);
  }
  return first;
}

/** For readers that keep chunks for later, as streams do. */
async function* copied(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  for await (const chunk of chunks) yield Buffer.from(chunk);
}

async function* joined(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer, void> {
  yield first;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}

const CHUNK = 256 * 1024;

const readOnce = (fd: number, into: Buffer): Promise<number> =>
  new Promise((resolve, reject) =>
    read(fd, into, 0, into.length, null, (e, n) => (e === null ? resolve(n) : reject(e))),
  );

/** Chunks of a descriptor, which stays open: it is the caller's. Each chunk is valid until the next is asked for. */
async function* chunksOf(fd: number, signal: AbortSignal): AsyncGenerator<Buffer, void> {
  const buffer = Buffer.allocUnsafe(CHUNK);
  for (;;) {
    signal.throwIfAborted();
    try {
      const n = await readOnce(fd, buffer);
      if (n === 0) return;
      yield buffer.subarray(0, n);
    } catch (e) {
      // An empty pipe that does not block: the writer is slow.
      if (!(e instanceof Error && 'code' in e && e.code === 'EAGAIN')) throw e;
      await sleep(5, undefined, { signal });
    }
  }
}

async function* unzipped(chunks: AsyncGenerator<Buffer, void>): AsyncGenerator<Buffer, void> {
  try {
    const first = await head(chunks);
    const all = joined(first, chunks);
    if (!first.subarray(0, 2).equals(GZIP)) return yield* all;
    const gunzip = createGunzip();
    // A fault on either side ends the iteration below with that error.
    pipeline(Readable.from(copied(all), { objectMode: false }), gunzip, () => undefined);
    for await (const chunk of gunzip) yield chunk as Buffer;
  } finally {
    // Waits for a read that is under way: its descriptor must not be closed, and given to another file, before.
    await chunks.return(undefined);
  }
}

/** The bytes of `path`, `-` for standard input, unzipped. Throws NodeJS.ErrnoException, also for a damaged gzip. */
export async function* openLog({ path, stdin, signal }: Source): AsyncGenerator<Buffer, void> {
  if (path === '-') return yield* unzipped(chunksOf(stdin, signal));
  const fd = openSync(path, 'r');
  try {
    yield* unzipped(chunksOf(fd, signal));
  } finally {
    closeSync(fd);
  }
}

/** Cuts at newlines; a batch of lines for each chunk. */
export class LineCutter {
  #number = 0;
  #held: Buffer[] = [];
  #heldBytes = 0;
  readonly #maxBytes: number;

  constructor(maxBytes = MAX_LINE_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Lines that end in `chunk`. */
  push(chunk: Buffer): LogLine[] {
    const lines: LogLine[] = [];
    let from = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      lines.push(this.#take(chunk.subarray(from, at), true));
      from = at + 1;
    }
    this.#hold(chunk.subarray(from));
    return lines;
  }

  /** What is left when the input is over. */
  end(): LogLine[] {
    return this.#heldBytes === 0 ? [] : [this.#take(Buffer.alloc(0), false)];
  }

  #hold(rest: Buffer): void {
    if (rest.length === 0) return;
    this.#heldBytes += rest.length;
    if (this.#heldBytes > this.#maxBytes) this.#held = [];
    else this.#held.push(Buffer.from(rest));
  }

  #take(last: Buffer, ended: boolean): LogLine {
    this.#number += 1;
    const tooLong = this.#heldBytes + last.length > this.#maxBytes;
    const text = tooLong ? '' : Buffer.concat([...this.#held, last]).toString('utf8');
    this.#held = [];
    this.#heldBytes = 0;
    return { number: this.#number, ended, ...(tooLong ? { tooLong } : { text }) };
  }
}
