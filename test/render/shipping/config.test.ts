/**
 * fluent-bit's configuration against its golden files (`AUDITCONFIG_RECORD=1` writes them, and fails), and that whatever
 * text is in a value comes out of an independent YAML reader as exactly that text, in its own place, and nothing besides.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import type { FluentBitSpec } from '../../../src/api/auditconfig-sinks.ts';
import { fluentBitConfig } from '../../../src/render/shipping/config.ts';
import { codes, configOf } from './spec.ts';

const GOLDEN = join(import.meta.dirname, 'golden');
const RECORD = process.env['AUDITCONFIG_RECORD'] === '1';

describe.each(readdirSync(GOLDEN).filter((f) => f.endsWith('.in.yaml')))('golden %s', (file) => {
  it('is rendered to exactly the recorded bytes', () => {
    const out = join(GOLDEN, file.replace('.in.yaml', '.fluent-bit.yaml'));
    const text = configOf(parse(readFileSync(join(GOLDEN, file), 'utf8')) as FluentBitSpec);
    if (RECORD) writeFileSync(out, text);
    expect(RECORD).toBe(false);
    expect(text).toBe(existsSync(out) ? readFileSync(out, 'utf8') : '');
  });
});

type Read = {
  readonly service: Record<string, unknown>;
  readonly pipeline: Readonly<Record<'inputs' | 'filters' | 'outputs', readonly Record<string, unknown>[]>>;
};
/** Strict: one document, no warning, every key once. Both versions of YAML, since fluent-bit's reader is of 1.1. */
function readBack(text: string): Read {
  const [first, second] = (['1.1', '1.2'] as const).map((version) => {
    const docs = parseAllDocuments(text, { version, uniqueKeys: true, merge: true });
    const [doc] = docs;
    if (!Array.isArray(docs) || docs.length !== 1 || doc === undefined) throw new Error('not one document');
    if (doc.errors.length + doc.warnings.length > 0) throw new Error(String([...doc.errors, ...doc.warnings]));
    return doc.toJS() as Read;
  });
  expect(second).toEqual(first);
  return first as Read;
}

/** Texts that could mean something to somebody: to YAML, to fluent-bit's other format, to a shell. */
const HOSTILE = [
  '*', '&a', '!x', '- a', '# c', 'a # c', 'a: b', '{a: b}', '[OUTPUT]', '@INCLUDE /x', '%YAML 1.2', '---', '...', '"', "'",
  '\\', '\\n', '\\x41', '"\\', "it's", '<<', 'null', 'yes', '0x10', '1e3', '~', '| a', '> a', '`id`', '$(id)', '$user', '}',
  '\u00e9', '\u{1f600}', '\ufeff', '\u00a0x', 'a\u200bb', '\ufffe', ': ', 'a\u3000b', '${HOSTNAME}',
]; // prettier-ignore
const value = fc
  .oneof(
    fc.constantFrom(...HOSTILE),
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.tuple(fc.constantFrom(...HOSTILE), fc.string({ unit: 'grapheme', maxLength: 12 })).map((p) => p.join('')),
    fc.array(fc.constantFrom(...HOSTILE), { minLength: 1, maxLength: 5 }).map((p) => p.join(' ')),
  )
  .filter((v) => codes({ outputs: [{ Name: 'http', Uri: v }] }).length === 0);

it.each([
  [{}, '60'],
  [{ 'Scheduler.Cap': 600 }, '600'],
  [{ 'scheduler.base': 120 }, undefined],
])('with a service of %j it waits up to %s seconds for a collector', (service, wanted) => {
  const { service: read } = parse(configOf({ service })) as Read;
  expect(read['scheduler.cap']).toBe(wanted);
});

describe('any value that is taken', () => {
  it('is read back as it was written, and is nothing else', () => {
    fc.assert(
      fc.property(value, fc.array(value, { minLength: 2, maxLength: 4 }), (one, many) => {
        const spec: FluentBitSpec = {
          service: { dns_mode: one },
          filters: [{ Name: 'record_modifier', Match: one, Record: many }],
          outputs: [{ Name: 'http', Uri: one, Header: many }, { Name: 'null' }],
        };
        const read = readBack(fluentBitConfig(spec, 'audit.log'));
        expect(read.service['dns_mode']).toBe(one);
        expect(read.pipeline.filters.slice(1)).toEqual([{ name: 'record_modifier', match: one, record: many }]);
        expect(read.pipeline.outputs.map((o) => o['name'])).toEqual(['http', 'null']);
        expect(read.pipeline.outputs[0]).toMatchObject({ uri: one, header: many });
        expect(Object.keys(read).sort()).toEqual(['parsers', 'pipeline', 'service']);
        expect(read.pipeline.inputs).toHaveLength(1);
      }),
      { numRuns: 200 },
    );
  }, 120_000);

  it('never holds what fluent-bit itself would take away or end a line with', () => {
    fc.assert(
      fc.property(value, (v) => {
        expect(/[\u0000-\u001f\u007f]/.test(v)).toBe(false);
        expect(v.trim()).toBe(v);
      }),
    );
  });
});

it('the order of keys, their case and the type of their values change no byte', () => {
  const a = configOf({
    service: { Flush: 5, grace: 1 },
    outputs: [{ Name: 'Forward', Match: '*', Port: 1, Host: 'h' }],
  });
  const b = configOf({
    service: { Grace: '1', FLUSH: '5' },
    outputs: [{ host: 'h', PORT: '1', match: '*', name: 'forward' }],
  });
  expect(b).toBe(a);
});

it('what is not said is safe: JSON, positions, long lines, a buffer on disk with an end, and who sent it', () => {
  const { service, pipeline } = readBack(configOf({}));
  expect(pipeline.inputs[0]).toMatchObject({
    name: 'tail', parser: 'audit-json', db: '/var/lib/auditconfig-shipping/positions.db',
    buffer_chunk_size: '256k', buffer_max_size: '10M', skip_long_lines: 'on', 'storage.type': 'filesystem',
  }); // prettier-ignore
  expect(service['storage.path']).toBe('/var/lib/auditconfig-shipping/chunks');
  expect(pipeline.filters).toEqual([
    {
      name: 'record_modifier',
      match: '*',
      record: ['cluster_id ${AUDITCONFIG_CLUSTER_ID}', 'node ${AUDITCONFIG_NODE}'],
    },
  ]);
  expect(pipeline.outputs).toEqual([
    { name: 'stdout', match: '*', format: 'json_lines', retry_limit: 'no_limits', 'storage.total_limit_size': '512M' },
  ]);
});
