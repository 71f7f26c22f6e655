/**
 * `auditconfig evaluate` and `judge evaluate` on the same lines: byte for byte the same answers. This is the contract
 * that other tools read, and what makes the benchmark a fair one. The stream reads bytes where it can (policy/engine/scan.ts),
 * so lines come in the plain form and in forms that only a JSON parser reads.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadPolicy } from '../../src/policy/load.ts';
import { judgeBinary } from './binary.ts';
import { Random } from './random.ts';
import type { RequestLine } from './requests.ts';
import { requestsFor } from './requests.ts';

const ROOT = join(import.meta.dirname, '../..');
const LINES = 5000;

/** Not only as JSON.stringify writes it: spaces, escapes, other orders, nulls for what is absent. */
function written(line: RequestLine, random: Random): string {
  const plain = JSON.stringify(line);
  switch (random.below(8)) {
    case 0:
      return ` ${JSON.stringify(line, null, 1).replaceAll('\n', ' ')}\t`;
    case 1:
      return plain.replace(/[a-z](?=[^"]*",)/, (c) => `\\u00${c.charCodeAt(0).toString(16)}`);
    case 2:
      return JSON.stringify(Object.fromEntries(Object.entries(line).reverse()));
    case 3:
      return JSON.stringify({ groups: null, nonResourceAttributes: null, resourceAttributes: null, ...line });
    default:
      return plain;
  }
}

function linesFor(policy: Uint8Array, seed: number): string {
  const loaded = loadPolicy(policy, '1.36').policy;
  if (loaded === undefined) throw new Error('the policy does not load');
  const random = new Random(seed);
  return requestsFor(loaded, random, LINES)
    .map((r) => `${written(r, random)}\n`)
    .join('');
}

function answers(command: string, args: readonly string[], input: string): string {
  const ran = spawnSync(command, args, { cwd: ROOT, input, encoding: 'utf8', maxBuffer: 64 << 20 });
  expect(ran.status, ran.stderr).toBe(0);
  return ran.stdout;
}

describe('evaluate', () => {
  let judge = '';
  let unavailable = '';

  beforeAll(async () => {
    const answer = await judgeBinary('1.36', 'plain');
    if ('binary' in answer) judge = answer.binary;
    else if (process.env['CI'] !== undefined) throw new Error(`no judge: ${answer.unavailable}`);
    else unavailable = answer.unavailable;
  });

  it.for(['gce-like.yaml', 'by-group.yaml', 'scalars.yaml', 'policy.json'])(
    'answers with the same bytes as the API server for %s',
    (name, context) => {
      if (unavailable !== '') return context.skip(unavailable);
      const file = join(import.meta.dirname, 'corpus', name);
      const input = linesFor(readFileSync(file), 1);
      const theirs = answers(judge, ['evaluate', '--policy', file], input);
      const main = ['--import', './test/house/typescript.mjs', 'src/main.ts'];
      const ours = answers(
        process.execPath,
        [...main, 'evaluate', '--policy', file, '--kubernetes-version', '1.36'],
        input,
      );
      expect(theirs.split('\n')).toHaveLength(LINES + 1);
      expect(ours).toBe(theirs);
    },
  );
});
