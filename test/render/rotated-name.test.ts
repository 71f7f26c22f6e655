/** Which files of a folder are a log's. */
import { describe, expect, it } from 'vitest';
import { isOfLog, rotatedName } from '../../src/render/rotated-name.ts';

describe('the name of a rotated file', () => {
  it.each([
    ['audit-2026-01-02T15-04-05.123.log', { rotatedAt: Date.parse('2026-01-02T15:04:05.123Z'), gzip: false }],
    ['audit-2026-01-02T15-04-05.000.log.gz', { rotatedAt: Date.parse('2026-01-02T15:04:05Z'), gzip: true }],
    ['audit.log', undefined],
    ['audit-2026-01-02.log', undefined],
    ['audit-2026-13-02T15-04-05.000.log', undefined],
    ['other-2026-01-02T15-04-05.000.log', undefined],
    ['audit-2026-01-02T15-04-05.000.log.bak', undefined],
  ])('%s', (name, want) => {
    expect(rotatedName(name, 'audit.log')).toEqual(want);
  });
  it('is understood where the log has no extension', () => {
    expect(rotatedName('audit-2026-01-02T15-04-05.000', 'audit')).toMatchObject({ gzip: false });
  });

  it('begins with all of a log with several dots, as its rotation has it', () => {
    expect(isOfLog('kube.audit-2026-01-02T15-04-05.000.log', 'kube.audit.log')).toBe(true);
    expect(isOfLog('kube-2026-01-02T15-04-05.000.audit.log', 'kube.audit.log')).toBe(false);
    expect(isOfLog('kube.audit.log', 'kube.audit.log')).toBe(true);
  });
});
