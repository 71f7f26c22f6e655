/**
 * A running `judge compare`: the API server's own code as a process. Questions go in as lines, answers come back in
 * order. A judge that ends rejects whatever is still open, with what it said.
 */
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { Buffer } from 'node:buffer';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { Decision, Policy } from '../../src/api/audit.ts';
import type { RequestLine } from './requests.ts';

export type Verdict = {
  /** Why the API server refuses the policy. */
  readonly error?: string;
  /** Strict decoding errors that it only logs. */
  readonly warnings?: readonly string[];
  /** The policy as it loads it. */
  readonly policy?: Policy;
  /** One for each request. */
  readonly decisions?: readonly Decision[];
};

type Waiting = { readonly resolve: (v: Verdict) => void; readonly reject: (e: Error) => void };

export class Judge {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #waiting: Waiting[] = [];
  readonly #ended: Promise<void>;
  #stderr = '';
  #dead: Error | undefined;

  /** `coverage` is the folder where a judge built with -cover leaves its counters when it ends. */
  constructor(binary: string, coverage?: string) {
    this.#child = spawn(binary, ['compare'], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...(coverage === undefined ? {} : { GOCOVERDIR: coverage }) },
    });
    this.#child.stderr.setEncoding('utf8').on('data', (s: string) => (this.#stderr += s));
    this.#child.stdin.on('error', () => {}); // The end of the process says why.
    createInterface({ input: this.#child.stdout, crlfDelay: Infinity }).on('line', (line) => {
      this.#waiting.shift()?.resolve(JSON.parse(line) as Verdict);
    });
    this.#ended = new Promise((resolve) => {
      const end = (why: string): void => {
        this.#dead = new Error(`the judge ended: ${why} ${this.#stderr}`);
        for (const w of this.#waiting.splice(0)) w.reject(this.#dead);
        resolve();
      };
      this.#child.once('error', (e) => end(e.message));
      this.#child.once('close', (code) => end(`code ${code}`));
    });
  }

  ask(policy: Uint8Array, requests: readonly RequestLine[]): Promise<Verdict> {
    if (this.#dead !== undefined) return Promise.reject(this.#dead);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin.write(`${JSON.stringify({ policy: Buffer.from(policy).toString('base64'), requests })}\n`);
    });
  }

  /** Lets it end by itself (a judge with coverage writes its counters then). */
  async close(): Promise<void> {
    this.#child.stdin.end();
    await this.#ended;
  }
}
