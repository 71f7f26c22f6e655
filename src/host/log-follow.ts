/**
 * Follows the end of a log that somebody else writes and rotates, as `tail -F` does: from where it ends now, into the
 * file that takes its place. Reads only what is new, at most so much, and keeps at most one line in memory. What is
 * written into a deleted file is not in the log, though it can still be read here: it does not count.
 * Called by src/agent/proof.ts.
 */
import { open, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

export type LogStat = { readonly inode: bigint; readonly size: bigint };

const isAbsent = (e: unknown): boolean =>
  e instanceof Error && 'code' in e && (e.code === 'ENOENT' || e.code === 'ENOTDIR');

async function orNull<T>(act: () => Promise<T>): Promise<T | null> {
  try {
    return await act();
  } catch (e) {
    if (isAbsent(e)) return null;
    throw e;
  }
}

/** null where there is no file. Throws what the disk says otherwise. */
export const statLog = (root: string, path: string): Promise<LogStat | null> =>
  orNull(async () => {
    const s = await stat(join(root, path), { bigint: true });
    return { inode: s.ino, size: s.size };
  });

const CHUNK = 64 * 1024;
/** Longer lines are passed over: what is looked for is short. */
export const MAX_LINE = 256 * 1024;

/** Cuts bytes into whole lines. A torn last line waits for its end; a line beyond `max` bytes is dropped. */
export class LineCutter {
  readonly #max: number;
  #carry: Buffer = Buffer.alloc(0);
  #dropping = false;

  constructor(max = MAX_LINE) {
    this.#max = max;
  }

  /** Bytes of a line whose end is not there yet. */
  get held(): number {
    return this.#carry.length;
  }

  /** Whole lines without their ends; valid until the next call where `chunk` is used again. */
  push(chunk: Buffer): readonly Buffer[] {
    const lines: Buffer[] = [];
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      const part = chunk.subarray(from, end);
      if (!this.#dropping && this.#carry.length + part.length <= this.#max)
        lines.push(this.#carry.length === 0 ? part : Buffer.concat([this.#carry, part]));
      this.#carry = Buffer.alloc(0);
      this.#dropping = false;
      from = end + 1;
    }
    const rest = chunk.subarray(from);
    if (this.#dropping || this.#carry.length + rest.length > this.#max) {
      this.#dropping = true;
      this.#carry = Buffer.alloc(0);
    } else if (rest.length > 0) this.#carry = Buffer.concat([this.#carry, rest]);
    return lines;
  }

  /** Another file begins. */
  reset(): void {
    this.#carry = Buffer.alloc(0);
    this.#dropping = false;
  }
}

type Opened = { readonly handle: FileHandle; readonly inode: bigint; position: number };

export type Polled = { readonly line?: string; readonly log: 'Present' | 'Absent' | 'TooBusy' };

export class LogFollower {
  readonly #path: string;
  readonly #maxBytes: number;
  readonly #cutter = new LineCutter();
  readonly #buffer = Buffer.allocUnsafe(CHUNK);
  #open: Opened | null = null;
  bytesRead = 0;

  private constructor(path: string, maxBytes: number) {
    this.#path = path;
    this.#maxBytes = maxBytes;
  }

  /** Sits down at the end of the log as it is now, or where it will begin. `maxBytes` bounds all that is ever read. */
  static async at(root: string, path: string, maxBytes: number): Promise<LogFollower> {
    const follower = new LogFollower(join(root, path), maxBytes);
    await follower.#reopen('End');
    return follower;
  }

  async #reopen(where: 'Start' | 'End'): Promise<void> {
    const handle = await orNull(() => open(this.#path, 'r'));
    if (handle === null) return;
    const s = await handle.stat({ bigint: true });
    await this.#open?.handle.close();
    this.#open = { handle, inode: s.ino, position: where === 'End' ? Number(s.size) : 0 };
    this.#cutter.reset();
  }

  /** The first new line that holds these bytes and that `is` takes; what else is new is passed over. */
  async poll(needle: string, is: (line: string) => boolean): Promise<Polled> {
    for (;;) {
      const there = await orNull(() => stat(this.#path, { bigint: true }));
      const line = await this.#readOn(needle, is);
      if (line !== undefined) return { line, log: 'Present' };
      if (this.bytesRead >= this.#maxBytes) return { log: 'TooBusy' };
      if (there === null) return { log: 'Absent' };
      // The old file was read to its end after the new one was seen.
      if (there.ino === this.#open?.inode) return { log: 'Present' };
      await this.#reopen('Start');
      if (this.#open === null) return { log: 'Absent' };
    }
  }

  async #readOn(needle: string, is: (line: string) => boolean): Promise<string | undefined> {
    const file = this.#open;
    if (file === null) return undefined;
    const { size, nlink } = await file.handle.stat({ bigint: true });
    if (Number(size) < file.position) {
      // Cut off in place (logrotate's copytruncate).
      file.position = 0;
      this.#cutter.reset();
    }
    while (this.bytesRead < this.#maxBytes) {
      const { bytesRead } = await file.handle.read(this.#buffer, 0, CHUNK, file.position);
      if (bytesRead === 0) return undefined;
      file.position += bytesRead;
      this.bytesRead += bytesRead;
      for (const line of this.#cutter.push(this.#buffer.subarray(0, bytesRead))) {
        if (!line.includes(needle)) continue;
        const text = line.toString('utf8');
        if (is(text) && nlink > 0n) return text;
      }
    }
    return undefined;
  }

  async close(): Promise<void> {
    await this.#open?.handle.close();
    this.#open = null;
  }
}
