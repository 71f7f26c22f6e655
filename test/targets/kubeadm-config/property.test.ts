/**
 * Generated kubeadm-configs, as kubeadm and people lay them out: whatever is written means exactly the wanted flags and
 * volumes and else what was there; a second plan writes nothing; removal gives back the very bytes, and the same data
 * after kubeadm wrote all of it anew.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { revision } from '../revisions.ts';
import { annotated, config, plan, written } from './configs.ts';

const RUNS = { numRuns: 150 };
const V3 = 'kubeadm.k8s.io/v1beta3';
const V4 = 'kubeadm.k8s.io/v1beta4';

const word = fc.constantFrom(
  'a',
  'Node,RBAC',
  '2',
  'true',
  '',
  'x: y',
  '#no',
  'off',
  '1:30',
  '/etc/p.yaml',
  "it's",
  '- z',
  '\u00fc',
);
const argName = fc.constantFrom(
  'v',
  'authorization-mode',
  'profiling',
  'audit-log-path',
  'audit-log-maxage',
  'audit_log_maxage',
  'audit-webhook-mode',
);
const args = fc.array(fc.record({ name: argName, value: word }), { maxLength: 5 });
const volume = fc.record({
  name: fc.constantFrom('etc', 'certs'),
  hostPath: fc.constant('/etc/x'),
  mountPath: fc.constantFrom('/etc/x', '/y'),
  readOnly: fc.boolean(),
});

type Arg = { readonly name: string; readonly value: string };
type Server = { readonly extraArgs?: unknown; readonly extraVolumes?: unknown };
type Config = { readonly apiVersion: string; readonly apiServer?: Server | null };

const listed = (c: Config): readonly Arg[] => {
  const given = c.apiServer?.extraArgs ?? [];
  return Array.isArray(given)
    ? (given as Arg[])
    : Object.entries(given)
        // A map has no order: kubeadm sorts it.
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, value]) => ({ name, value: String(value) }));
};

/** What of it is not ours to change. */
const rest = (c: Config): unknown => ({
  ...c,
  apiServer: {
    ...c.apiServer,
    extraArgs: listed(c).filter((a) => !/^audit[-_]/.test(a.name)),
    extraVolumes: volumes(c),
  },
});
const volumes = (c: Config): unknown[] =>
  ((c.apiServer?.extraVolumes ?? []) as { name: string }[]).filter((v) => !v.name.startsWith('auditconfig-'));

const server = fc.record(
  {
    certSANs: fc.constant(['localhost']),
    extraArgs: args,
    extraVolumes: fc.uniqueArray(volume, { maxLength: 2, selector: (v) => v.name }),
    timeoutForControlPlane: fc.constant('4m0s'),
  },
  { requiredKeys: [] },
);
const model = fc
  .record(
    {
      apiVersion: fc.constantFrom(V3, V4),
      kind: fc.constant('ClusterConfiguration'),
      apiServer: fc.option(server),
      networking: fc.constant({ dnsDomain: 'x' }),
    },
    { requiredKeys: ['apiVersion', 'kind'] },
  )
  .map((m) => {
    const given = m.apiServer?.extraArgs;
    if (m.apiVersion === V4 || given === undefined) return m;
    return { ...m, apiServer: { ...m.apiServer, extraArgs: Object.fromEntries(given.map((a) => [a.name, a.value])) } };
  });

/** How it is laid out: as kubeadm does, indented lists, JSON, with comments, with CRLF, without a last line end. */
const layout = fc.record({
  indentSeq: fc.boolean(),
  json: fc.boolean(),
  comments: fc.boolean(),
  crlf: fc.boolean(),
  noEnd: fc.boolean(),
});
const text = fc.tuple(model, layout).map(([m, l]) => {
  const plain = l.json
    ? JSON.stringify(m, null, 2)
    : stringify(m, { indentSeq: l.indentSeq, version: '1.1' }).trimEnd();
  const noted =
    l.comments && !l.json ? `# ours\n${plain.replaceAll(/^(kind: .*|networking:)$/gm, '$1 # why\n# more')}` : plain;
  return (l.crlf ? noted.replaceAll('\n', '\r\n') : noted) + (l.noEnd ? '' : l.crlf ? '\r\n' : '\n');
});

const read = (t: string): Config => parse(t, { version: '1.1' }) as Config;
const to = revision();

it('what is written means the wanted flags and volumes, and else what was there', () => {
  fc.assert(
    fc.property(text, (before) => {
      const after = read(written(plan(to, config(before))).text);
      const audit = listed(after).filter((a) => /^audit[-_]/.test(a.name));
      expect(audit).toHaveLength(to.flags.length);
      expect(new Set(audit.map((a) => `--${a.name.replaceAll('_', '-')}`))).toEqual(
        new Set(to.flags.map((f) => f.name)),
      );
      expect(rest(after)).toEqual(rest(read(before)));
    }),
    RUNS,
  );
});

it('a second plan writes nothing, and removal gives back the very bytes', () => {
  fc.assert(
    fc.property(text, (before) => {
      const { text: after, annotation } = written(plan(to, config(before)));
      expect(plan(to, annotated(after, annotation)).kind).toBe('Same');
      expect(written(plan(null, annotated(after, annotation))).text).toBe(before);
    }),
    RUNS,
  );
});

it('after kubeadm wrote all of it anew nothing is to do, and removal gives back the same data', () => {
  fc.assert(
    fc.property(text, (before) => {
      const { text: after, annotation } = written(plan(to, config(before)));
      const anew = stringify(read(after), { version: '1.1', sortMapEntries: true, indentSeq: false });
      expect(plan(to, annotated(anew, annotation)).kind).toBe('Same');
      const back = read(written(plan(null, annotated(anew, annotation))).text);
      const audit = (c: Config): readonly string[] =>
        listed(c)
          .filter((a) => /^audit[-_]/.test(a.name))
          .map((a) => `${a.name.replaceAll('_', '-')}=${a.value}`)
          .sort();
      expect(rest(back)).toEqual(rest(read(before)));
      expect(audit(back)).toEqual(audit(read(before)));
    }),
    RUNS,
  );
});
