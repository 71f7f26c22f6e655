/** A process with much garbage and a heap of 15 MB that lives: how large it is, with and without what V8 is told. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { HEAP_FLAG } from '../../src/telemetry/heap.ts';

const program = (flag: string | undefined): string => `
  import v8 from 'node:v8';
  if (${JSON.stringify(flag ?? '')} !== '') v8.setFlagsFromString(${JSON.stringify(flag)});
  const make = (n) => Array.from({ length: n }, (_, i) => ({ i, text: [i, i + 1] }));
  const living = make(100_000);
  const rest = [];
  let sum = 0;
  for (let i = 0; i < 3_000; i++) {
    rest.push(make(300));
    if (rest.length > 60) rest.shift();
    sum += process.memoryUsage().heapUsed;
  }
  console.log(sum / 3_000, living.length);
`;

async function meanOf(flag?: string): Promise<number> {
  const args = ['--max-semi-space-size=1', '--input-type=module', '-e', program(flag)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, NODE_OPTIONS: '' } });
  return Number(stdout.split(' ')[0]);
}

it(
  'a heap grows less before it is looked through, although V8 is told when it runs already',
  { timeout: 120_000 },
  async () => {
    expect(await meanOf(HEAP_FLAG)).toBeLessThan(0.92 * (await meanOf()));
  },
);
