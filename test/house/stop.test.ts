/** A request to stop that comes by several ways at once is one request. */
import { EventEmitter } from 'node:events';
import { expect, it } from 'vitest';
import { stopOnSignals } from './stop.mjs';

class Source extends EventEmitter {
  readonly exits: number[] = [];
  exit(code: number): void {
    this.exits.push(code);
  }
}

it('SIGTERM from timeout, and once more from npm, asks to stop once and kills nothing', () => {
  const source = new Source();
  let now = 0;
  const signal = stopOnSignals(source, () => now);
  expect(signal.aborted).toBe(false);
  source.emit('SIGTERM');
  expect(signal.aborted).toBe(true);
  now = 900;
  source.emit('SIGTERM');
  source.emit('SIGINT');
  expect(source.exits).toEqual([]);
  now = 5_000;
  source.emit('SIGINT');
  expect(source.exits).toEqual([130]);
});
