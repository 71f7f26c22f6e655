/** Each preset decides as its golden table says, and the table reaches every rule that it can. */
import { describe, expect, it } from 'vitest';
import { compilePolicy } from '../../../src/policy/evaluate.ts';
import { PRESET_NAMES, presetPolicy } from '../../../src/policy/presets.ts';
import { goldenRows, requestOf } from './golden.ts';

describe.each(PRESET_NAMES)('the preset %s', (name) => {
  const policy = presetPolicy(name);
  const rows = goldenRows(name);

  it('decides every row of its golden table', () => {
    const { decide } = compilePolicy(policy);
    const decided = rows.map((row) => {
      const d = decide(requestOf(row));
      return { ...row, level: d.level, rule: d.rule, ...(row.omit === undefined ? {} : { omit: d.omitStages }) };
    });
    expect(decided).toEqual(rows.map((r) => (r.omit === undefined ? r : { ...r, omit: [...r.omit].sort() })));
  });

  it('has at least twelve rows, and one for each of its rules', () => {
    expect(rows.length).toBeGreaterThanOrEqual(12);
    const reached = new Set(rows.map((r) => r.rule));
    expect(policy.rules.map((_, i) => i).filter((i) => !reached.has(i))).toEqual([]);
  });

  it('asks for non-resource paths, subresources, anonymous and refused requests', () => {
    expect(rows.some((r) => /^[A-Z]+ \//.test(r.ask))).toBe(true);
    expect(rows.some((r) => r.ask.split('/').length === 3)).toBe(true);
    expect(rows.map((r) => r.who)).toEqual(expect.arrayContaining(['anonymous', 'refused']));
  });
});
