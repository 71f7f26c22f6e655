/** How long a log is really kept, from names and sizes of its files. */
import { describe, expect, it } from 'vitest';
import { measureRetention } from '../../src/analysis/retention.ts';
import type { LogFiles, RetentionLimits } from '../../src/analysis/retention.ts';

const DAY = 86_400_000;
const MIB = 2 ** 20;
const NOW = Date.parse('2026-11-21T00:00:00Z');

describe('measured retention', () => {
  const limits: RetentionLimits = { maxAgeDays: 30, maxBackups: 10, maxSizeMiB: 100 };
  const rotated = (count: number, gzip = false): LogFiles['rotated'] =>
    Array.from({ length: count }, (_, i) => ({ rotatedAt: NOW - i * DAY, gzip, bytes: gzip ? 3 * MIB : 100 * MIB }));
  const files = (days: number, more: Partial<LogFiles> = {}): LogFiles => ({
    rotated: [],
    currentBytes: 0,
    oldestAt: NOW - days * DAY,
    ...more,
  });
  const measure = (f: LogFiles, l: Partial<RetentionLimits> = {}) => measureRetention(f, { ...limits, ...l }, NOW);

  it.each([
    ['a log without events', files(0, { oldestAt: undefined }), {}, undefined],
    ['a log of half a day', files(0.5, { currentBytes: MIB }), {}, undefined],
    ['a clock that was set back', files(-1, { currentBytes: MIB }), {}, undefined],
    ['a log that grows slowly: age decides', files(2, { currentBytes: 10 * MIB }), {}, 30],
    ['a log that grows by 200 MiB a day: number decides', files(2, { rotated: rotated(4) }), {}, 5],
    ['compressed files count with what they held', files(2, { rotated: rotated(4, true) }), {}, 5],
    ['a day that is not whole does not count', files(2, { rotated: rotated(4), currentBytes: 10 * MIB }), {}, 4],
    ['files that are deleted within hours are not too young to tell', files(0.1, { rotated: rotated(10) }), {}, 0],
    ['no limit of number: age', files(2, { rotated: rotated(4) }), { maxBackups: 0 }, 30],
    ['no limit of age: number', files(2, { rotated: rotated(4) }), { maxAgeDays: 0 }, 5],
    ['no limit at all: what the API takes', files(2), { maxAgeDays: 0, maxBackups: 0 }, 36_500],
    ['a log that does not grow: age', files(2), {}, 30],
  ] as const)('%s', (_, f, l, want) => {
    expect(measure(f, l).days).toBe(want);
  });

  it('tells how fast the log grows', () => {
    expect(measure(files(2, { rotated: rotated(4) })).bytesPerDay).toBe(200 * MIB);
  });
});
