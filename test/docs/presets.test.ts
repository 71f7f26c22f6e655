/** docs/presets.md says what the code does: its two tables are read and held against the presets. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DETECTIONS, coverage } from '../../src/analysis/detections.ts';
import { presetRow } from '../../src/cli/presets.ts';
import { PRESETS, PRESET_NAMES, isPresetName, presetPolicy } from '../../src/policy/presets.ts';
import { percentOf, recordedEvents } from '../analysis/recorded.ts';

const page = readFileSync(`${import.meta.dirname}/../../docs/presets.md`, 'utf8');

/** Rows of the table whose first heading is `first`, as cells by heading, without backquotes. */
function table(first: string): Record<string, string>[] {
  const lines = page.split('\n');
  const from = lines.findIndex((l) => l.startsWith(`| ${first} |`));
  const length = lines.slice(from).findIndex((l) => !l.startsWith('|'));
  const cells = (l: string): string[] =>
    l
      .split('|')
      .slice(1, -1)
      .map((c) => c.trim().replaceAll('`', ''));
  const headings = cells(lines[from] ?? '');
  return lines
    .slice(from + 2, from + length)
    .map((l) => Object.fromEntries(cells(l).map((c, i) => [headings[i] ?? '', c])));
}

const recorded = recordedEvents();

describe('docs/presets.md', () => {
  it('lists every preset as the command does', () => {
    expect(table('preset')).toEqual(
      PRESETS.map((p) => ({ ...presetRow(p), name: p.name })).map((r) => ({
        preset: r.name,
        version: String(r.version),
        rules: String(r.rules),
        sees: `${r.detections.seen} of ${r.detections.of}`,
        bytes: `${Math.round(percentOf(presetPolicy(r.name), recorded))}%`,
        'leaks bodies of': r.leaks.length === 0 ? 'none' : r.leaks.join(', '),
        'what it is': r.summary,
      })),
    );
  });

  it('shows for each pattern which preset sees it', () => {
    const shown = PRESET_NAMES.filter((n) => n !== 'none');
    const seen = new Map(shown.map((n) => [n, coverage(presetPolicy(n))]));
    expect(table('pattern')).toEqual(
      DETECTIONS.map((d, i) => ({
        pattern: d.name,
        id: d.id,
        needs: d.level,
        ...Object.fromEntries(shown.map((n) => [n, seen.get(n)?.[i]?.seen === true ? 'yes' : '-'])),
      })),
    );
    expect(coverage(presetPolicy('none')).filter((c) => c.seen)).toEqual([]);
  });

  it('says of omitted stages what the policies do', () => {
    const omits = (n: string): boolean => isPresetName(n) && presetPolicy(n).omitStages.includes('RequestReceived');
    expect(PRESET_NAMES.filter((n) => !omits(n))).toEqual(['metadata', 'basic', 'none']);
  });
});
