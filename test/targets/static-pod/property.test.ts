/**
 * Generated manifests of every layout that people and programs write: the edit is the wanted pod and nothing else, a
 * second plan changes nothing, removal gives back the very bytes; whatever cannot be edited so is refused untouched.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSeq, parseDocument } from 'yaml';
import { hunks, splitLines } from '../../../src/targets/diff.ts';
import { revision } from '../revisions.ts';
import type { RevisionSketch } from '../revisions.ts';
import { bring, driftOn, MANIFEST, nodeWith, planOn } from '../static-pod-host.ts';

const SEED = 20261121;
const RUNS = 200;

const audit = fc.constantFrom(
  '--audit-log-maxage=7',
  '--audit-log-maxage=30',
  '--audit_log_maxsize=5',
  '--audit-log-path=/var/log/a.log',
  '--audit-log-path=/var/log/kube-audit/audit.log',
  '--audit-policy-file=/etc/kubernetes/policy.yaml',
  '--audit-log-compress',
  '--audit-log-compress=T',
  '--audit-webhook-mode=batch',
  '--audit-log-truncate-enabled=true',
);
const other = fc.constantFrom(
  '--v=2',
  '--secure-port=6443',
  '--etcd-servers=https://127.0.0.1:2379',
  '--feature-gates=A=true,B=false',
  '-v=3',
  "--x=it's: #1",
  '--empty=',
  '--allow-privileged=true - --two=1',
);
const split = fc.constantFrom<readonly string[]>(
  ['--audit-log-maxbackup', '3'],
  ['--audit-policy-file', '/p.yaml'],
  ['--service-cluster-ip-range', '10.0.0.0/12'],
);
const words = fc
  .array(
    fc.oneof(
      audit.map((a) => [a]),
      other.map((a) => [a]),
      split,
    ),
    { maxLength: 8 },
  )
  .map((w) => w.flat());

type Quote = 'plain' | 'single' | 'double' | 'folded' | 'literal';
const quote = fc.constantFrom<Quote>('plain', 'plain', 'plain', 'single', 'double', 'folded', 'literal');
const comment = fc.constantFrom('', '', '', ' # why', '\t# a tab', '  #');
const between = fc.constantFrom('', '', '', '', '\n', '# a comment of its own\n', '     # - --audit-log-maxage=99\n');

type Style = { readonly quote: Quote; readonly comment: string; readonly between: string };
const style: fc.Arbitrary<Style> = fc.record({ quote, comment, between });
const styles = fc.array(style, { minLength: 24, maxLength: 24 });

const safePlain = (w: string): boolean => /^[-a-zA-Z/][^#:']*$/.test(w) && !/\s/.test(w);

function scalar(word: string, s: Style, indent: string): string {
  switch (s.quote) {
    case 'single':
      return `'${word.replaceAll("'", "''")}'${s.comment}`;
    case 'folded':
      return `>-${s.comment}\n${indent}    ${word}`;
    case 'literal':
      return `|-\n${indent}    ${word}`;
    case 'plain':
    case 'double':
      return `${s.quote === 'plain' && safePlain(word) ? word : JSON.stringify(word)}${s.comment}`;
  }
}

type Layout = {
  readonly command: readonly string[];
  readonly args: readonly string[] | null;
  readonly flow: boolean;
  readonly deep: boolean;
  readonly mounts: 'absent' | 'null' | 'empty' | 'block' | 'flow';
  readonly order: boolean;
  readonly styles: readonly Style[];
  readonly crlf: boolean;
  readonly lastNewline: boolean;
  readonly bom: boolean;
  readonly marker: boolean;
};

const layout: fc.Arbitrary<Layout> = fc.record({
  command: words,
  args: fc.option(words, { nil: null }),
  flow: fc.boolean(),
  deep: fc.boolean(),
  mounts: fc.constantFrom('absent', 'null', 'empty', 'block', 'flow'),
  order: fc.boolean(),
  styles,
  crlf: fc.boolean(),
  lastNewline: fc.boolean(),
  bom: fc.boolean(),
  marker: fc.boolean(),
});

function listText(key: string, items: readonly string[], l: Layout, from: number): string {
  const indent = l.deep ? '      ' : '    ';
  if (l.flow) return `    ${key}: [${items.map((w) => JSON.stringify(w)).join(', ')}]\n`;
  const lines = items.map((w, i) => {
    const s = l.styles[(from + i) % l.styles.length] ?? { quote: 'plain', comment: '', between: '' };
    return `${s.between}${indent}- ${scalar(w, s, indent)}\n`;
  });
  return `    ${key}:\n${lines.join('')}`;
}

function mapsText(key: string, item: string, at: string, l: Layout): string {
  switch (l.mounts) {
    case 'absent':
      return '';
    case 'null':
      return `${at}${key}: # nothing yet\n`;
    case 'empty':
      return `${at}${key}: []\n`;
    case 'flow':
      return `${at}${key}: [{${item}}]\n`;
    case 'block':
      return `${at}${key}:\n${at}- {${item}} # pki\n`;
  }
}

function manifestOf(l: Layout): string {
  const lists =
    listText('command', ['kube-apiserver', ...l.command], l, 0) +
    (l.args === null ? '' : listText('args', l.args, l, 9));
  const mounts = mapsText('volumeMounts', 'name: pki, mountPath: /etc/kubernetes/pki', '    ', l);
  const volumes = mapsText('volumes', 'name: pki, hostPath: {path: /etc/kubernetes/pki}', '  ', l);
  const container = `  containers:\n  - name: kube-apiserver\n${l.order ? mounts + lists : lists + mounts}`;
  const spec = l.order ? volumes + container : container + volumes;
  const text = `${l.marker ? '---\n' : ''}apiVersion: v1\nkind: Pod\nmetadata: {name: kube-apiserver, namespace: kube-system}\nspec:\n${spec}`;
  const ended = l.lastNewline ? text : text.replace(/\n$/, '');
  return (l.bom ? '\ufeff' : '') + (l.crlf ? ended.replaceAll('\n', '\r\n') : ended);
}

const sketch: fc.Arbitrary<RevisionSketch> = fc.record({
  policy: fc.constantFrom('a\n', 'b\n'),
  logDir: fc.constantFrom('/var/log/kube-audit', '/var/log', null),
  flags: fc.constantFrom({}, { '--audit-log-maxage': null }, { '--audit-log-maxsize': '5' }),
});

/** The pod that the API server gets, without audit flags and without what is ours. */
function rest(text: string): unknown {
  const doc = parseDocument(text, { uniqueKeys: true });
  expect(doc.errors).toEqual([]);
  const pod = doc.toJS() as { spec: { volumes?: unknown; containers: Record<string, unknown>[] } };
  const own = (i: unknown): boolean => /^auditconfig-/.test((i as { name: string }).name);
  const strip = (v: unknown): unknown[] => (Array.isArray(v) ? v.filter((i) => !own(i)) : []);
  pod.spec.volumes = strip(pod.spec.volumes);
  for (const c of pod.spec.containers) {
    c['volumeMounts'] = strip(c['volumeMounts']);
    for (const key of ['command', 'args']) {
      const list = Array.isArray(c[key]) ? (c[key] as string[]) : [];
      c[key] = list.filter(
        (w, i) => !w.startsWith('--audit') && !/^--audit-(log-maxbackup|policy-file)$/.test(list[i - 1] ?? ''),
      );
    }
  }
  return pod;
}

const flagsIn = (text: string): Map<string, string> => {
  const doc = parseDocument(text);
  const found = new Map<string, string>();
  const path = ['spec', 'containers', 0];
  const list = ['command', 'args'].flatMap((k) => {
    const node = doc.getIn([...path, k]);
    return isSeq(node) ? (node.toJSON() as string[]) : [];
  });
  for (let i = 0; i < list.length; i++) {
    const m = /^--(audit[^=]*)(?:=(.*))?$/s.exec(list[i] ?? '');
    if (m?.[1] === undefined) continue;
    const name = `--${m[1].replaceAll('_', '-')}`;
    const bare = /compress|enabled/.test(name);
    found.set(name, m[2] ?? (bare ? 'true' : (list[++i] ?? '')));
  }
  return found;
};

const bool = (v: string | undefined): string | undefined => (v === 'T' ? 'true' : v);

describe(`static-pod manifests of every layout (seed ${SEED})`, () => {
  it('are edited to exactly the wanted flags, all else being equal, and given back byte for byte', async () => {
    let edited = 0;
    await fc.assert(
      fc.asyncProperty(layout, sketch, sketch, async (l, first, second) => {
        const before = manifestOf(l);
        const disk = nodeWith(before);
        const untouched = disk.snapshot();
        const refused = await planOn(disk, revision(first));
        if ('refused' in refused) {
          expect(refused.refused.map((f) => f.code)).toEqual(['FlagWithoutValue']);
          return;
        }
        edited++;
        for (const s of [first, second]) {
          const to = revision(s);
          await bring(disk, to);
          const after = disk.text(MANIFEST) ?? '';
          expect(rest(after)).toEqual(rest(before));
          const flags = flagsIn(after);
          expect([...flags.keys()].sort()).toEqual(to.flags.map((f) => f.name));
          for (const f of to.flags) if (typeof f.value === 'string') expect(bool(flags.get(f.name))).toBe(f.value);
          expect(await driftOn(disk, to)).toEqual([]);
          expect((await bring(disk, to)).changes).toEqual([]);
        }
        await bring(disk, null);
        expect(disk.snapshot()).toEqual(untouched);
      }),
      { seed: SEED, numRuns: RUNS },
    );
    expect(edited).toBeGreaterThan(RUNS * 0.8);
  }, 120_000);

  it('keep every line that has no audit flag, and all comments', async () => {
    await fc.assert(
      fc.asyncProperty(layout, sketch, async (l, s) => {
        const before = manifestOf({ ...l, flow: false, mounts: 'block' });
        const disk = nodeWith(before);
        const plan = await planOn(disk, revision(s));
        if ('refused' in plan) return;
        await bring(disk, revision(s));
        // A last line may get a line end, or lose it where the line behind it goes.
        const lines = (text: string): readonly string[] => splitLines(text).map((x) => x.trimEnd());
        const [a, b] = [lines(before), lines(disk.text(MANIFEST) ?? '')];
        const lost = hunks(a, b).flatMap((h) => a.slice(h.aFrom, h.aTo));
        // Folded flags become one line.
        const allowed = (line: string): boolean =>
          /--audit|- [>|]-|^\s*- ("3"|'3'|3|"?'?\/p\.yaml)|^\s+(3|\/p\.yaml)\s*$/.test(line);
        expect(lost.filter((x) => !allowed(x))).toEqual([]);
      }),
      { seed: SEED, numRuns: 150 },
    );
  }, 120_000);
});
