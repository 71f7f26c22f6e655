/** Texts that would overflow a recursive parser are told apart before they reach one. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readDocuments } from '../../src/render/documents.ts';
import { renderWebhook } from '../../src/render/webhook.ts';
import { readManifest } from '../../src/targets/static-pod/manifest.ts';
import { mayNestTooDeep } from '../../src/yaml/nesting.ts';

const DEEP: readonly (readonly [string, string])[] = [
  ['flow sequences', `a: ${'['.repeat(100_000)}${']'.repeat(100_000)}`],
  ['JSON objects', `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`],
  ['flow sequences over many lines', '[\n'.repeat(100_000)],
  ['block mappings', Array.from({ length: 1500 }, (_, i) => `${' '.repeat(i)}a:\n`).join('')],
  ['compact block sequences', `${'- '.repeat(50_000)}a\n`],
];

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe.each(DEEP)('nested %s', (_, text) => {
  it('are refused by all that use a recursive parser', () => {
    expect(mayNestTooDeep(text)).toBe(true);
    expect(readDocuments(bytes(text)).findings.map((f) => f.code)).toEqual(['FileNotYaml']);
    expect(renderWebhook(bytes(text)).findings.map((f) => f.code)).toEqual(['WebhookUnparsable']);
    expect(readManifest(bytes(text))).toMatchObject({ refused: [{ code: 'ManifestUnreadable' }] });
  });
});

it.each([
  [
    'a manifest',
    readFileSync(join(import.meta.dirname, '../targets/static-pod/golden/kubeadm-1.36/before.yaml'), 'utf8'),
  ],
  ['many short lists', 'a: [{b: [1]}]\n'.repeat(10_000)],
  ['a long comment line', `# ${'- '.repeat(1000)}\n`],
])('%s is not too deep', (_, text) => {
  expect(mayNestTooDeep(text)).toBe(false);
});
