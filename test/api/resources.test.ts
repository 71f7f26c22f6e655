/** What the CRD says without a cluster: the tables that crds.plane.test.ts gives to real API servers. */
import { describe, expect, it } from 'vitest';
import { parseAuditConfig, parseDatacenter } from '../../src/config/parse.ts';
import { casesOf } from './resources.ts';

const messages = (object: unknown): string[] => parseAuditConfig(object).findings.map((f) => `${f.path}: ${f.message}`);

/** Only an API server's list types know these. */
const SERVER_ONLY = ['stages-twice'];

describe('an AuditConfig without an API server', () => {
  it.each(casesOf('accepted').map((c) => [c.name, c] as const))('is accepted: %s', (_name, c) => {
    expect(messages(c.object)).toEqual([]);
  });

  it.each(
    casesOf('refused')
      .filter((c) => !SERVER_ONLY.includes(c.name))
      .map((c) => [c.name, c] as const),
  )('is refused with the same message part: %s', (_name, c) => {
    expect(c.expect).not.toBe('');
    expect(messages(c.object).join('\n')).toContain(c.expect);
  });
});

const datacenterMessages = (object: unknown): string[] =>
  parseDatacenter(object).findings.map((f) => `${f.path}: ${f.message}`);

describe('a DatacenterAuditConfig without an API server', () => {
  it.each(casesOf('datacenter-accepted').map((c) => [c.name, c] as const))('is accepted: %s', (_name, c) => {
    expect(datacenterMessages(c.object)).toEqual([]);
  });

  it.each(casesOf('datacenter-refused').map((c) => [c.name, c] as const))(
    'is refused with the same message part: %s',
    (_name, c) => {
      expect(c.expect).not.toBe('');
      expect(datacenterMessages(c.object).join('\n')).toContain(c.expect);
    },
  );
});
