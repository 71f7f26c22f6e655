/**
 * Each folder of golden/ is a manifest before and after a revision. `AUDITCONFIG_RECORD=1` writes the second from the
 * first, and fails: what was recorded is to be read by a person before it counts.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import { splitLines } from '../../../src/targets/diff.ts';
import { revision } from '../revisions.ts';
import type { RevisionSketch } from '../revisions.ts';
import { bring, driftOn, MANIFEST, nodeWith } from '../static-pod-host.ts';

const GOLDEN = join(import.meta.dirname, 'golden');
const RECORD = process.env['AUDITCONFIG_RECORD'] === '1';

const cases = readdirSync(GOLDEN);
const read = (name: string, file: string): string => readFileSync(join(GOLDEN, name, file), 'utf8');
const sketch = (name: string): RevisionSketch => JSON.parse(read(name, 'revision.json')) as RevisionSketch;

/** Everything of a pod but what this target may change. */
function rest(text: string): unknown {
  const pod = parseDocument(text).toJS() as {
    spec: { volumes?: { name: string }[] | null; containers: Record<string, unknown>[] };
  };
  const strip = (items: unknown): unknown[] =>
    (Array.isArray(items) ? items : []).filter((i: { name?: string }) => !/^auditconfig-/.test(i.name ?? ''));
  pod.spec.volumes = strip(pod.spec.volumes) as { name: string }[];
  for (const c of pod.spec.containers) {
    c['volumeMounts'] = strip(c['volumeMounts']);
    const words = [c['command'], c['args']].flatMap((l) => (Array.isArray(l) ? (l as string[]) : []));
    c['words'] = words.filter(
      (w, i) => !/^--audit[-_](log|policy|webhook)/.test(w) && words[i - 1] !== '--audit-log-maxbackup',
    );
    delete c['command'];
    delete c['args'];
  }
  return pod;
}

describe.each(cases)('golden %s', (name) => {
  it('is edited to exactly the recorded bytes, codes and restart', async () => {
    const disk = nodeWith(read(name, 'before.yaml'));
    const plan = await bring(disk, revision(sketch(name)));
    const findings = plan.findings.map((f) => `${f.severity} ${f.code} ${f.path}`.trim());
    const outcome = `${JSON.stringify({ restarts: plan.restarts, findings }, null, 2)}\n`;
    const after = disk.text(MANIFEST) ?? '';
    if (RECORD) {
      writeFileSync(join(GOLDEN, name, 'after.yaml'), after);
      writeFileSync(join(GOLDEN, name, 'outcome.json'), outcome);
    }
    expect(RECORD).toBe(false);
    expect(after).toBe(read(name, 'after.yaml'));
    expect(outcome).toBe(read(name, 'outcome.json'));
  });

  it('keeps every other byte: no line goes but those of audit flags and of lists that were empty', async () => {
    const before = read(name, 'before.yaml');
    const after = read(name, 'after.yaml');
    const lines = new Map<string, number>();
    for (const l of splitLines(after)) lines.set(l.trimEnd(), (lines.get(l.trimEnd()) ?? 0) + 1);
    const gone = splitLines(before).filter((l) => {
      const left = lines.get(l.trimEnd()) ?? 0;
      lines.set(l.trimEnd(), left - 1);
      return left <= 0;
    });
    const allowed = /--audit[-_]|^\s*- "3"|# folded|volumes:|volumeMounts:|^\{|^\s*\}|"--/;
    expect(gone.filter((l) => !allowed.test(l))).toEqual([]);
    expect(rest(after)).toEqual(rest(before));
  });

  it('is in place afterwards, a second plan changes nothing, and removal gives back the very bytes', async () => {
    const to = revision(sketch(name));
    const disk = nodeWith(read(name, 'before.yaml'));
    const untouched = disk.snapshot();
    await bring(disk, to);
    expect(await driftOn(disk, to)).toEqual([]);
    const again = await bring(disk, to);
    expect([again.changes, again.restarts]).toEqual([[], false]);
    await bring(disk, null);
    expect(disk.snapshot()).toEqual(untouched);
  });
});

it('every golden case is complete', () => {
  const files = ['before.yaml', 'after.yaml', 'outcome.json', 'revision.json'];
  expect(cases.flatMap((c) => files.map((f) => join(c, f))).filter((f) => !existsSync(join(GOLDEN, f)))).toEqual([]);
});
