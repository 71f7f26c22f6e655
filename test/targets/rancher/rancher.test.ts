/** K3s and RKE2: what their configuration comes to, what a drop-in cannot win over, and the very drop-in. */
import { describe, expect, it } from 'vitest';
import { fixtures, K3S_UNIT, RKE2_UNIT } from '../contract/rancher.ts';
import { Host } from '../contract/fixture.ts';
import type { Files, Fixture } from '../contract/fixture.ts';
import { revision } from '../revisions.ts';

const [k3s, rke2] = fixtures;
if (k3s === undefined || rke2 === undefined) throw new Error('no fixtures');
type Spec = typeof k3s.spec;

const DIR = '/etc/rancher/k3s';
const UNIT = '/etc/systemd/system/k3s.service';
const on = (files: Files, fixture: Fixture<Spec> = k3s): Host<Spec> =>
  new Host(fixture, {
    '/usr/local/lib/systemd/system/rke2-server.service': RKE2_UNIT,
    [UNIT]: K3S_UNIT,
    ...files,
  });
const args = (key: string, ...values: readonly string[]): string =>
  `${key}:\n${values.map((v) => `  - ${v}\n`).join('')}`;
const flags = async (files: Files): Promise<readonly string[]> =>
  [...(await on(files).flags())].map(([n, v]) => `${n.slice(8)}=${v}`);

describe('the configuration', () => {
  it.each<[string, Files, readonly string[]]>([
    [
      'a later file replaces',
      {
        [`${DIR}/config.yaml`]: args('kube-apiserver-arg', 'audit-log-maxage=1', 'audit-log-maxsize=5'),
        [`${DIR}/config.yaml.d/a.yaml`]: args('kube-apiserver-arg', 'audit-log-maxage=2'),
      },
      ['log-maxage=2'],
    ],
    [
      'a later file with + appends, and the last value counts',
      {
        [`${DIR}/config.yaml`]: args('kube-apiserver-arg', 'audit-log-maxage=1', '--audit-log-maxsize=5'),
        [`${DIR}/config.yaml.d/a.yaml`]: args('kube-apiserver-arg+', 'audit-log-maxage=2'),
      },
      ['log-maxage=2', 'log-maxsize=5'],
    ],
    [
      'files by name, upper case first; others are not read',
      {
        [`${DIR}/config.yaml.d/b.yaml`]: 'kube-apiserver-arg: audit-log-maxage=2\n',
        [`${DIR}/config.yaml.d/B.YML`]: 'kube-apiserver-arg: audit-log-maxage=1\n',
        [`${DIR}/config.yaml.d/c.yaml.bak`]: 'kube-apiserver-arg: audit-log-maxage=3\n',
      },
      ['log-maxage=2'],
    ],
    ['an empty file is no fault', { [`${DIR}/config.yaml`]: '# nothing\n' }, []],
    [
      'the unit’s own arguments come behind all files',
      {
        [UNIT]: K3S_UNIT.replace(
          'server \\\n',
          "server \\\n  '--kube-apiserver-arg' \\\n  'audit-log-maxage=9' --kube-apiserver-arg=audit-log-mode=batch \\\n",
        ),
        [`${DIR}/config.yaml`]: 'kube-apiserver-arg: audit-log-maxage=2\n',
      },
      ['log-maxage=9', 'log-mode=batch'],
    ],
  ])('%s', async (_, files, expected) => {
    expect(await flags(files)).toEqual(expected);
  });
});

describe('the drop-in', () => {
  it('appends, and says nothing else', async () => {
    const h = on({});
    await h.bring(revision({ flags: { '--audit-log-mode': null } }));
    const lines = (h.disk.text(`${DIR}/config.yaml.d/99-auditconfig.yaml`) ?? '').split('\n');
    expect(lines.filter((l) => !l.startsWith('#'))).toEqual([
      'kube-apiserver-arg+:',
      '  - "audit-log-compress=false"',
      '  - "audit-log-format=json"',
      '  - "audit-log-maxage=30"',
      '  - "audit-log-maxbackup=10"',
      '  - "audit-log-maxsize=100"',
      '  - "audit-log-path=/var/log/kube-audit/audit.log"',
      expect.stringMatching(
        /^ {2}- "audit-policy-file=\/etc\/kubernetes\/auditconfig\/revisions\/[0-9a-f]{16}\/policy.yaml"$/,
      ),
      '',
    ]);
  });

  it('switches off what RKE2 would add by itself where no file is wanted', async () => {
    const h = on({ '/etc/rancher/rke2/config.yaml': 'profile: cis\n' }, rke2);
    expect((await h.flags()).get('--audit-policy-file')).toBe('/etc/rancher/rke2/audit-policy.yaml');
    const to = revision({
      logDir: null,
      webhook: 'x',
      flags: Object.fromEntries(
        ['path', 'format', 'mode', 'maxage', 'maxbackup', 'maxsize', 'compress'].map((n) => [`--audit-log-${n}`, null]),
      ),
    });
    await h.bring(to);
    expect((await h.flags()).get('--audit-log-path')).toBe('');
    expect(await h.drift(to)).toEqual([]);
  });

  it('wins over RKE2’s own defaults and its audit-policy-file', async () => {
    const h = on({ '/etc/rancher/rke2/config.yaml': 'audit-policy-file: /etc/policy.yaml\n' }, rke2);
    const plan = await h.bring(revision({ flags: { '--audit-log-maxsize': '50' } }));
    expect((await h.flags()).get('--audit-log-maxsize')).toBe('50');
    expect(plan.findings.map((f) => f.path)).toContain('--audit-policy-file');
  });
});

describe('it is refused', () => {
  const line = (more: string): Files => ({ [UNIT]: K3S_UNIT.replace('server \\\n', `server ${more} \\\n`) });
  it.each<[string, Files, string]>([
    ['where the command line says otherwise', line('--kube-apiserver-arg=audit-log-maxage=7'), 'FlagOnCommandLine'],
    ['where the configuration lies elsewhere', line('--config /root/k3s.yaml'), 'ConfigElsewhere'],
    [
      'where a variable says that it lies elsewhere',
      { '/etc/systemd/system/k3s.service.env': 'K3S_CONFIG_FILE=/root/k3s.yaml\n' },
      'ConfigElsewhere',
    ],
    [
      'where a later file replaces the list',
      { [`${DIR}/config.yaml.d/zz.yaml`]: args('kube-apiserver-arg', 'v=2') },
      'DropInNotLast',
    ],
    [
      'where a later file appends to it',
      { [`${DIR}/config.yaml.d/zz.yaml`]: args('kube-apiserver-arg+', 'v=2') },
      'DropInNotLast',
    ],
    [
      'where a flag cannot be unsaid',
      { [`${DIR}/config.yaml`]: args('kube-apiserver-arg', 'audit-log-truncate-enabled=true') },
      'FlagCannotBeTakenOut',
    ],
    ['where a file is no YAML', { [`${DIR}/config.yaml`]: 'a: [\n' }, 'ConfigUnreadable'],
    ['where a file is no map', { [`${DIR}/config.yaml`]: '- a\n' }, 'ConfigUnreadable'],
    [
      'where a file of our name is somebody’s',
      { [`${DIR}/config.yaml.d/99-auditconfig.yaml`]: 'x: y\n' },
      'DropInTaken',
    ],
    ['where the unit is missing', { [UNIT]: '' }, 'ExecStartUnclear'],
  ])('%s, and nothing is changed', async (_, files, code) => {
    const h = on(files);
    const untouched = h.disk.snapshot();
    expect(await h.refusals(revision())).toEqual([code]);
    expect(h.disk.snapshot()).toEqual(untouched);
  });

  it('not where a later file speaks of other things', async () => {
    expect(await on({ [`${DIR}/config.yaml.d/zz.yaml`]: args('kubelet-arg', 'v=2') }).refusals(revision())).toEqual([]);
  });

  it('for a log of another name on RKE2 1.26, which does not start twice with it (rke2#4207)', async () => {
    const other = { ...revision({ logName: 'api.log' }), versions: ['1.26'] as const };
    expect(await on({}, rke2).refusals(other)).toEqual(['LogNameNotAuditLog']);
    expect(await on({}, rke2).refusals({ ...other, versions: ['1.27'] })).toEqual([]);
    expect(await on({}).refusals(other)).toEqual([]);
    expect(await on({}, rke2).refusals({ ...revision(), versions: ['1.26'] })).toEqual([]);
  });

  it('not at removal: a file of our name that is somebody’s stays', async () => {
    const path = `${DIR}/config.yaml.d/99-auditconfig.yaml`;
    const h = on({ [path]: 'x: y\n' });
    expect((await h.bring(null)).changes).toEqual([]);
    expect(h.disk.text(path)).toBe('x: y\n');
  });
});
