/** How units are read: as systemd reads them, files, drop-ins, variables and all. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { realDisk } from '../../../src/host/disk.ts';
import { systemdPlace } from '../../../src/node/place.ts';
import { DEFAULT_LAYOUT } from '../../../src/targets/host-layout.ts';
import { splitText } from '../../../src/targets/systemd/words.ts';
import { readEnvironmentFile } from '../../../src/targets/systemd/environment.ts';
import { positionOf, readUnitFile } from '../../../src/targets/systemd/unit-file.ts';
import { Host } from '../contract/fixture.ts';
import type { Files } from '../contract/fixture.ts';
import { fixture, HARD_WAY, UNIT } from '../contract/systemd.ts';
import { revision } from '../revisions.ts';

const values = (text: string): readonly string[] =>
  readUnitFile(text).assignments.map((a) => `${a.section}.${a.key}=${a.value}`);
const ignored = (text: string): readonly string[] => readUnitFile(text).ignored.map((l) => `${l.why} ${l.text}`);

describe('a unit’s file', () => {
  it.each<[string, string, readonly string[]]>([
    ['plain assignments', '[A]\nx=1\n y = 2 \n[B]\nx=3', ['A.x=1', 'A.y=2', 'B.x=3']],
    ['a line continued behind a backslash, which is a space', '[A]\nx=1 \\\n  2 \\\n  3\n', ['A.x=1  2  3']],
    ['comments in between, whatever they end in', '[A]\nx=1 \\\n# no \\\n; no\n  2\n', ['A.x=1  2']],
    ['a backslash behind a backslash, which continues nothing', '[A]\nx=1 \\\\\ny=2\n', ['A.x=1 \\\\', 'A.y=2']],
    ['a continuation that an empty line ends', '[A]\nx=1 \\\n\ny=2\n', ['A.x=1', 'A.y=2']],
    ['a continuation at the end', '[A]\nx=1 \\', ['A.x=1']],
    ['CRLF', '[A]\r\nx=1 \\\r\n  2\r\n', ['A.x=1  2']],
    ['a byte order mark', '\u{feff}[A]\nx=1\n', ['A.x=1']],
    ['an empty value', '[A]\nx=\n', ['A.x=']],
  ])('is read: %s', (_, text, expected) => {
    expect(values(text)).toEqual(expected);
  });

  it('tells what systemd passes over', () => {
    expect(ignored('[A]\nx=1\n  --flag=2\nnothing\n=3\n')).toEqual([
      'LooksLikeArgument --flag=2',
      'NotAnAssignment nothing',
      'NotAnAssignment =3',
    ]);
    expect(ignored('x=1\n')).toEqual(['NoSection x=1']);
  });

  it('knows the place of each character', () => {
    const text = '[A]\nx=ä \\\n# c\n  b\n';
    const [a] = readUnitFile(text).assignments;
    expect([...(a?.value ?? '')].map((c, i) => c === ' ' || text[a?.offsets[i] ?? -1] === c)).not.toContain(false);
    expect(positionOf(text, text.indexOf('\\'))).toEqual({ offset: 9, line: 2, column: 5 });
  });
});

describe('a command line', () => {
  it.each<[string, readonly string[]]>([
    ['a  b\tc', ['a', 'b', 'c']],
    ['"a b" \'c d\'', ['a b', 'c d']],
    ['--x="a b"c', ['--x=a bc']],
    ['a\\x20b\\tc \\"', ['a b\tc', '"']],
    ['"it\'s" \'"\'', ["it's", '"']],
    ['"open', []],
    ['a\\q', []],
  ])('%s', (text, words) => {
    expect(splitText(text)).toEqual(words);
  });

  it('has variables from files that name them', () => {
    const text = '# c\nA=1\n B="2 3"\nexport C=\'4\'\nD=5 \\\n6\n; E=7\nF\n';
    expect([...readEnvironmentFile(text)]).toEqual([
      ['A', '1'],
      ['B', '2 3'],
      ['C', '4'],
      ['D', '5 6'],
    ]);
  });
});

const flagsOf = async (files: Files): Promise<unknown> => [...(await new Host(fixture, files).flags())];
const exec = (line: string): string => `[Service]\n${line}\n`;

describe('the command that counts', () => {
  it.each<[string, Files, string, string]>([
    ['of the unit', { [UNIT]: HARD_WAY }, UNIT, '30'],
    [
      'of a drop-in that starts anew',
      {
        [UNIT]: HARD_WAY,
        [`${UNIT}.d/10-x.conf`]: exec('ExecStart=\nExecStart=/bin/kube-apiserver --audit-log-maxage=1'),
      },
      `${UNIT}.d/10-x.conf`,
      '1',
    ],
    [
      'of the drop-in that comes last by name, wherever it lies',
      {
        [UNIT]: HARD_WAY,
        [`${UNIT}.d/10-x.conf`]: exec('ExecStart=\nExecStart=/bin/kube-apiserver --audit-log-maxage=1'),
        '/usr/lib/systemd/system/kube-apiserver.service.d/90-y.conf': exec('ExecStart=\nExecStart=/bin/kube-apiserver'),
      },
      '/usr/lib/systemd/system/kube-apiserver.service.d/90-y.conf',
      '',
    ],
    [
      'of /etc before /usr',
      { [UNIT]: HARD_WAY, '/usr/lib/systemd/system/kube-apiserver.service': exec('ExecStart=/bin/false') },
      UNIT,
      '',
    ],
    [
      'of /etc, whose drop-in hides one of the same name',
      {
        [UNIT]: HARD_WAY,
        [`${UNIT}.d/x.conf`]: exec('Nice=1'),
        '/usr/lib/systemd/system/kube-apiserver.service.d/x.conf': exec('ExecStart=\nExecStart=/bin/false'),
      },
      UNIT,
      '',
    ],
  ])('is that %s', async (_, files, file) => {
    const h = new Host(fixture, files);
    expect(await h.edited()).toBe(file);
    const untouched = h.disk.snapshot();
    await h.bring(revision());
    const now = h.disk.snapshot();
    expect(Object.keys(untouched).filter((p) => now[p] !== untouched[p])).toEqual([file]);
    await h.bring(null);
    expect(h.disk.snapshot()).toEqual(untouched);
  });

  it('has the flags that stand in variables', async () => {
    const unit = exec(
      'Environment=AGE=5\nEnvironmentFile=/etc/default/%N\nExecStart=/bin/kube-apiserver --audit-log-maxage=${AGE} $ARGS --audit-log-path $$x $UNKNOWN',
    );
    const env = 'ARGS="--audit-log-maxbackup=3 --audit-log-mode=batch"\n';
    expect(await flagsOf({ [UNIT]: unit, '/etc/default/kube-apiserver': env })).toEqual([
      ['--audit-log-maxage', '5'],
      ['--audit-log-maxbackup', '3'],
      ['--audit-log-mode', 'batch'],
      ['--audit-log-path', '$x'],
    ]);
  });

  it('wins over what stands in a variable by coming later, and the variable’s file stays as it is', async () => {
    const env = 'ARGS="--audit-log-maxage=3 --audit-webhook-config-file=/x --audit-webhook-mode=batch"\n';
    const files = {
      [UNIT]: exec('EnvironmentFile=/etc/default/api\nExecStart=/bin/kube-apiserver --v=2 $ARGS'),
      '/etc/default/api': env,
    };
    const h = new Host(fixture, files);
    await h.bring(revision());
    expect(h.disk.text('/etc/default/api')).toBe(env);
    expect((await h.flags()).get('--audit-log-maxage')).toBe('30');
    expect((await h.flags()).get('--audit-webhook-config-file')).toBe('');
    expect(await h.drift(revision())).toEqual([]);
    expect(h.disk.text(UNIT)).toMatch(/\$ARGS --audit-.*--audit-webhook-config-file=\n$/);
  });
});

describe('an edit', () => {
  it('keeps comments between arguments that go, and continuations', async () => {
    const unit = exec(
      'ExecStart=/bin/kube-apiserver \\\n  --v=2 \\\n  # why we audit\n  --audit-webhook-mode=batch \\\n  --audit-webhook-batch-max-size 7 \\\n; more\n  --allow-privileged=true',
    );
    const h = new Host(fixture, { [UNIT]: unit });
    await h.bring(revision({ flags: { '--audit-log-mode': null } }));
    const [head = '', tail = ''] = (h.disk.text(UNIT) ?? '').split('  --allow-privileged=true');
    expect(head).toBe('[Service]\nExecStart=/bin/kube-apiserver \\\n  --v=2 \\\n  # why we audit\n; more\n');
    expect(tail).toMatch(/^( \\\n {2}--audit-\S+)+\n$/);
    await h.bring(null);
    expect(h.disk.text(UNIT)).toBe(unit);
  });

  it('stays on one line where the command is on one', async () => {
    const h = new Host(fixture, { [UNIT]: exec('ExecStart=/bin/kube-apiserver --v=2') });
    await h.bring(revision());
    expect((h.disk.text(UNIT) ?? '').split('\n').length).toBe(3);
  });

  it('moves to the drop-in that takes the command over, and leaves nothing behind', async () => {
    const h = new Host(fixture);
    await h.bring(revision());
    const dropIn = `${UNIT}.d/site.conf`;
    const site = exec('ExecStart=\nExecStart=/bin/kube-apiserver --v=7');
    h.disk.put(dropIn, site);
    expect(await h.drift(revision())).toContain('FlagDrift');
    await h.bring(revision());
    expect(h.disk.text(UNIT)).toBe(HARD_WAY);
    expect(await h.drift(revision())).toEqual([]);
    await h.bring(null);
    expect(h.disk.snapshot()).toEqual(new Host(fixture, { [UNIT]: HARD_WAY, [dropIn]: site }).disk.snapshot());
  });
});

describe('a unit is refused', () => {
  const service = (more: string, line = 'ExecStart=/bin/kube-apiserver --v=2'): string =>
    `[Service]\n${more}\n${line}\n`;
  it.each<[string, string, string]>([
    ['that starts a shell', service('', 'ExecStart=/bin/sh -c "exec kube-apiserver --v=2"'), 'CommandIsShell'],
    ['that starts another program', service('', 'ExecStart=/bin/hyperkube apiserver'), 'CommandNotUnderstood'],
    ['that starts two programs', service('ExecStart=/bin/a'), 'ExecStartUnclear'],
    ['that starts none', '[Service]\nNice=1\n', 'ExecStartUnclear'],
    ['whose quote is open', service('', 'ExecStart=/bin/kube-apiserver "--v=2'), 'ExecStartUnclear'],
    ['whose last flag has no value', service('', 'ExecStart=/bin/kube-apiserver --audit-log-path'), 'FlagWithoutValue'],
    [
      'whose variables cannot be told',
      service('EnvironmentFile=/etc/default/*.env', 'ExecStart=/bin/kube-apiserver $ARGS'),
      'EnvironmentUnclear',
    ],
    [
      'where a variable sets what cannot be unsaid',
      service('Environment="ARGS=--audit-log-truncate-enabled=true"', 'ExecStart=/bin/kube-apiserver $ARGS'),
      'FlagCannotBeTakenOut',
    ],
    ['that runs as somebody unknown', service('User=nobody-here'), 'UserUnknown'],
    ['that runs as a user of the moment', service('DynamicUser=yes'), 'UserUnknown'],
    ['whose file system is read-only', service('ProtectSystem=strict'), 'LogFolderReadOnly'],
    ['whose log folder is read-only', service('ReadOnlyPaths=/var/log'), 'LogFolderReadOnly'],
    ['whose log folder is hidden', service('InaccessiblePaths=-/var/log/kube-audit'), 'LogFolderReadOnly'],
    ['whose log folder is another one', service('TemporaryFileSystem=/var:ro'), 'LogFolderReadOnly'],
    ['whose root is another one', service('RootDirectory=/srv/api'), 'LogFolderReadOnly'],
    ['that hides our files', service('InaccessiblePaths=/etc/kubernetes'), 'PolicyHidden'],
  ])('%s', async (_, unit, code) => {
    const h = new Host(fixture, { [UNIT]: unit, '/etc/passwd': 'root:x:0:0::/:/bin/sh\n' });
    const untouched = h.disk.snapshot();
    expect(await h.refusals(revision())).toContain(code);
    expect(h.disk.snapshot()).toEqual(untouched);
  });

  it.each([
    ['strict, with the folder open', 'ProtectSystem=strict\nReadWritePaths=/var/lib/etcd -/var/log/kube-audit'],
    ['strict, with a folder above open', 'ProtectSystem=strict\nReadWritePaths=/var/log'],
    ['strict, with a logs directory', 'ProtectSystem=strict\nLogsDirectory=kube-audit'],
    ['full', 'ProtectSystem=full'],
    ['true', 'ProtectSystem=yes'],
    ['strict, taken back by a later empty one', 'ReadOnlyPaths=/var\nReadOnlyPaths='],
  ])('not where its sandbox lets it write: %s', async (_, more) => {
    expect(await new Host(fixture, { [UNIT]: service(more) }).refusals(revision())).toEqual([]);
  });

  it('that is a link, is gone after a reboot, or is not there', async () => {
    const link = new Host(fixture);
    link.disk.live.set(UNIT, { kind: 'link', mode: 0o777, owner: { uid: 0, gid: 0 }, bytes: new Uint8Array() });
    expect(await link.refusals(revision())).toEqual(['UnitIsLink']);
    const run = new Host(fixture, { '/run/systemd/system/kube-apiserver.service': service('') });
    expect(await run.refusals(revision())).toEqual(['UnitNotPersistent']);
    expect(await new Host(fixture, { '/x': '' }).refusals(revision())).toEqual(['UnitMissing']);
  });
});

describe('a drop-in that is a link', () => {
  const [unit, dropIns] = [
    '/etc/systemd/system/kube-apiserver.service',
    '/etc/systemd/system/kube-apiserver.service.d',
  ];
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'auditconfig-unit-'));
    for (const dir of [dropIns, '/usr/lib/systemd/system/kube-apiserver.service.d', '/opt'])
      await mkdir(join(root, dir), { recursive: true });
    await writeFile(join(root, '/etc/passwd'), 'root:x:0:0::/:/bin/sh\n');
    await writeFile(join(root, unit), exec('ExecStart=/bin/kube-apiserver --secure-port=6443 $MORE'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  const place = systemdPlace('kube-apiserver.service', DEFAULT_LAYOUT);
  const link = async (text: string): Promise<void> => {
    await writeFile(join(root, '/opt/ours.conf'), text);
    await symlink('../../../../opt/ours.conf', join(root, dropIns, '10-ours.conf'));
  };
  const flags = async (): Promise<unknown> => [...((await place.now(realDisk(root)))?.auditFlags ?? ['none'])];

  it('counts as the file that it leads to', async () => {
    await link('[Service]\nEnvironment=MORE=--audit-log-maxage=3\n');
    expect(await flags()).toEqual([['--audit-log-maxage', '3']]);
  });

  it('is not edited where the command stands in it', async () => {
    await link('[Service]\nExecStart=\nExecStart=/bin/kube-apiserver --secure-port=7443\n');
    const to = revision();
    const plan = place.plan(to, await place.gather(realDisk(root), to));
    expect('refused' in plan && plan.refused.map((f) => [f.code, f.path])).toEqual([
      ['UnitIsLink', `${dropIns}/10-ours.conf`],
    ]);
  });

  it('to /dev/null hides another one of its name, and says nothing', async () => {
    const hidden = join(root, '/usr/lib/systemd/system/kube-apiserver.service.d/20-theirs.conf');
    await writeFile(hidden, '[Service]\nEnvironment=MORE=--audit-log-maxage=3\n');
    expect(await flags()).toEqual([['--audit-log-maxage', '3']]);
    await symlink('/dev/null', join(root, dropIns, '20-theirs.conf'));
    expect(await flags()).toEqual([]);
  });
});

describe('a unit with a user of its own', () => {
  it('gets files that only this user reads', async () => {
    const passwd = 'root:x:0:0::/:/bin/sh\nkube:x:996:995::/:/bin/false\n';
    const h = new Host(fixture, { [UNIT]: exec('User=kube\nExecStart=/bin/kube-apiserver'), '/etc/passwd': passwd });
    const to = revision();
    await h.bring(to);
    const dir = `/etc/kubernetes/auditconfig/revisions/${to.digest.slice(0, 16)}`;
    for (const path of [dir, `${dir}/policy.yaml`, '/var/log/kube-audit'])
      expect(h.disk.live.get(path)?.owner).toEqual({ uid: 996, gid: 995 });
  });
});
