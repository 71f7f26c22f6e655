/**
 * Text to a file descriptor, all of it, at the reader's pace: a command that streams must not hold its output. A reader
 * that has gone (`| head`) is a value, not an error. Used by commands whose output can be larger than memory.
 */
import { write } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const writeOnce = (fd: number, bytes: Buffer): Promise<number> =>
  new Promise((resolve, reject) => write(fd, bytes, (e, n) => (e === null ? resolve(n) : reject(e))));

const codeOf = (e: unknown): string | undefined =>
  e instanceof Error && 'code' in e && typeof e.code === 'string' ? e.code : undefined;

/** Throws NodeJS.ErrnoException where writing fails for another reason than a reader that has gone. */
export async function writeAll(fd: number, text: string, signal: AbortSignal): Promise<'Written' | 'ReaderGone'> {
  let left = Buffer.from(text, 'utf8');
  while (left.length > 0) {
    try {
      left = left.subarray(await writeOnce(fd, left));
    } catch (e) {
      if (codeOf(e) === 'EPIPE') return 'ReaderGone';
      // A full pipe that does not block: the reader is slow.
      if (codeOf(e) !== 'EAGAIN') throw e;
      await sleep(2, undefined, { signal });
    }
  }
  return 'Written';
}
