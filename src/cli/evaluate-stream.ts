/**
 * Request lines in, decision lines out, a quarter of a megabyte at a time. Most lines never become strings: the byte
 * scanner (policy/engine/scan.ts) reads them, and each decision was serialised once. What the scanner leaves goes through
 * JSON.parse. A line is the caller's or the file's last; lines that are no requests, blank ones too, give
 * no output and are named in the answer.
 */
import { fstatSync, read, readSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CompiledPolicy } from '../policy/evaluate.ts';
import { isRequest, parseRequestLine } from '../policy/request.ts';
import { LineScanner, SLACK } from '../policy/engine/scan.ts';
import { printable } from './printable.ts';
import type { Io } from './types.ts';

const CHUNK = 256 * 1024;
const NEWLINE = 0x0a;
/** So many bad lines are named; the others are counted. */
const MAX_NAMED = 1000;

type Edges = Pick<Io, 'fds' | 'signal'>;

const codeOf = (e: unknown): unknown => (e instanceof Error && 'code' in e ? e.code : undefined);

/** Decision lines by number, gathered and written when a chunk of them is full. */
class Output {
  readonly #buffer = new Uint8Array(CHUNK);
  readonly #fd: number;
  readonly #lines: readonly Uint8Array[];
  #length = 0;
  /** The reader is gone (`| head`): there is nothing more to do. */
  closed = false;

  constructor(fd: number, lines: readonly Uint8Array[]) {
    this.#fd = fd;
    this.#lines = lines;
  }

  /** False where the buffer has no room: flush first. */
  add(decision: number): boolean {
    const line = this.#lines[decision];
    if (line === undefined) return true;
    if (this.#length + line.length > CHUNK) return false;
    this.#buffer.set(line, this.#length);
    this.#length += line.length;
    return true;
  }

  async flush(signal: AbortSignal): Promise<void> {
    for (let at = 0; at < this.#length && !this.closed;) {
      try {
        at += writeSync(this.#fd, this.#buffer, at, this.#length - at);
      } catch (e) {
        if (codeOf(e) === 'EPIPE') this.closed = true;
        else if (codeOf(e) !== 'EAGAIN') throw e;
        else await sleep(1, undefined, { signal });
      }
    }
    this.#length = 0;
  }
}

/** Bytes of a descriptor. Files are read at once; anything else lets signals through while it waits. */
class Input {
  readonly #fd: number;
  readonly #isFile: boolean;
  readonly #signal: AbortSignal;

  constructor(fd: number, signal: AbortSignal) {
    this.#fd = fd;
    this.#signal = signal;
    this.#isFile = fstatSync(fd).isFile();
  }

  /** Bytes read into `into` from `at` on, 0 at the end of the input or when stopped. */
  async next(into: Uint8Array, at: number): Promise<number> {
    while (!this.#signal.aborted) {
      try {
        if (this.#isFile) return readSync(this.#fd, into, at, CHUNK, null);
        return await this.#wait(into, at);
      } catch (e) {
        if (codeOf(e) === 'EOF') return 0;
        if (codeOf(e) !== 'EAGAIN') throw e;
        await sleep(2);
      }
    }
    return 0;
  }

  #wait(into: Uint8Array, at: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const stop = (): void => resolve(0);
      this.#signal.addEventListener('abort', stop, { once: true });
      read(this.#fd, into, at, CHUNK, null, (e, n) => {
        this.#signal.removeEventListener('abort', stop);
        if (e === null) resolve(n);
        else reject(e);
      });
    });
  }
}

/** Reads lines out of a growing buffer and decides them. */
class Evaluation {
  readonly #compiled: CompiledPolicy;
  readonly #scanner: LineScanner;
  readonly #output: Output;
  readonly #signal: AbortSignal;
  readonly #text = new TextDecoder('utf-8', { ignoreBOM: true });
  readonly #bad: string[] = [];
  #badCount = 0;
  #line = 0;
  #buffer = new Uint8Array(2 * CHUNK + SLACK);
  #filled = 0;

  constructor(compiled: CompiledPolicy, io: Edges) {
    this.#compiled = compiled;
    this.#scanner = new LineScanner(compiled.tables);
    this.#output = new Output(io.fds.stdout, compiled.decisions.map(decisionLine));
    this.#signal = io.signal;
  }

  async run(input: Input): Promise<void> {
    while (!this.#output.closed) {
      const n = await input.next(this.#room(), this.#filled);
      this.#filled += n;
      if (n === 0) this.#endLastLine();
      await this.#decideLines();
      if (n === 0) break;
    }
    await this.#output.flush(this.#signal);
  }

  report(): string {
    const more = this.#badCount - this.#bad.length;
    if (this.#signal.aborted) this.#bad.push('error: stopped before the end of the input');
    return [...this.#bad, ...(more === 0 ? [] : [`... and ${more} more lines`])].map((l) => `${l}\n`).join('');
  }

  /** The buffer, with room for a chunk, a newline and the scanner's slack behind what it holds. */
  #room(): Uint8Array {
    if (this.#filled + CHUNK + SLACK > this.#buffer.length) {
      const wider = new Uint8Array(this.#buffer.length * 2);
      wider.set(this.#buffer.subarray(0, this.#filled));
      this.#buffer = wider;
    }
    return this.#buffer;
  }

  #endLastLine(): void {
    if (this.#filled > 0 && this.#buffer[this.#filled - 1] !== NEWLINE) this.#buffer[this.#filled++] = NEWLINE;
  }

  /** Decides all whole lines and moves what is left to the front. */
  async #decideLines(): Promise<void> {
    const buffer = this.#buffer;
    const filled = this.#filled;
    // Where the scanner stops in a line that has not come to its end yet.
    buffer[filled] = NEWLINE;
    this.#scanner.readFrom(buffer);
    let at = 0;
    while (at < filled) {
      let end = this.#scanner.scan(at);
      let decision = -1;
      if (end < 0) {
        end = buffer.indexOf(NEWLINE, at);
        if (end < filled) decision = this.#parse(buffer.subarray(at, end));
      } else decision = this.#compiled.find(this.#scanner.query);
      if (end >= filled) break;
      this.#line++;
      if (!this.#output.add(decision)) {
        await this.#output.flush(this.#signal);
        this.#output.add(decision);
      }
      at = end + 1;
    }
    buffer.copyWithin(0, at, filled);
    this.#filled = filled - at;
  }

  /** The reference way. -1 for a line that is no request; a blank one is none: who pairs lines must hear of it. */
  #parse(bytes: Uint8Array): number {
    const text = this.#text.decode(bytes);
    if (text.trim() === '') return this.#reject('RequestNotJson', 'the line is empty');
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (e) {
      return this.#reject('RequestNotJson', e instanceof Error ? e.message : String(e));
    }
    const request = parseRequestLine(value);
    if (!isRequest(request)) return this.#reject(request.code, request.message);
    return this.#compiled.decide(request).rule ?? this.#compiled.decisions.length - 1;
  }

  #reject(code: string, message: string): number {
    this.#badCount++;
    if (this.#bad.length < MAX_NAMED) this.#bad.push(`line ${this.#line + 1}: error ${code}: ${printable(message)}`);
    return -1;
  }
}

const decisionLine = (d: unknown): Uint8Array => new TextEncoder().encode(`${JSON.stringify(d)}\n`);

/**
 * Decides every line of standard input. Answers what is to be said on standard error: nothing if all lines were
 * requests. Throws NodeJS.ErrnoException where reading or writing fails.
 */
export async function evaluateStream(compiled: CompiledPolicy, io: Edges): Promise<string> {
  const evaluation = new Evaluation(compiled, io);
  await evaluation.run(new Input(io.fds.stdin, io.signal));
  return evaluation.report();
}
