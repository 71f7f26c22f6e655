/** The host room against a real disk and real processes. */
import { spawn } from 'node:child_process';
import { chmod, link, lstat, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { giveFolder, realDisk } from '../../src/host/disk.ts';
import { installFile, makeFolder, stagingPath } from '../../src/host/install.ts';
import type { Disk } from '../../src/host/types.ts';
import { readLastWords, readStarts, tellingLines } from '../../src/host/pod-logs.ts';
import { listApiServers, podsWithProcesses } from '../../src/host/processes.ts';
import { MemoryDisk } from './memory-disk.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'auditconfig-host-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);
const OWNER = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const always = (): boolean => true;

describe('a real disk', () => {
  it('says what is there, and null where nothing is', async () => {
    const disk = realDisk(dir);
    await writeFile(join(dir, 'f'), 'x', { mode: 0o640 });
    await symlink('f', join(dir, 'l'));
    await mkdir(join(dir, 'd'));
    expect(await disk.stat('/f')).toMatchObject({ kind: 'file', mode: 0o640 });
    expect((await disk.stat('/l'))?.kind).toBe('link');
    expect((await disk.stat('/d'))?.kind).toBe('dir');
    expect([
      await disk.stat('/none'),
      await disk.read('/none'),
      await disk.read('/d'),
      await disk.list('/f'),
      await disk.read('/f/x'),
    ]).toEqual([null, null, null, null, null]);
    expect(await disk.list('/')).toEqual(['d', 'f', 'l']);
    await disk.remove('/none');
    await disk.removeDir('/none');
    expect(await disk.freeBytes('/none/at/all')).toBeGreaterThan(0);
  });

  it('gives folders and files away, but no file that has another name, and nothing behind a link', async () => {
    const disk = realDisk(dir);
    const names = ['alone', 'linked', 'target'];
    for (const name of names) await writeFile(join(dir, name), 'x', { mode: 0o600 });
    await mkdir(join(dir, 'folder'));
    await link(join(dir, 'linked'), join(dir, 'elsewhere'));
    await symlink('target', join(dir, 'pointer'));
    for (const name of ['alone', 'linked', 'pointer', 'folder', 'none'])
      await disk.give(`/${name}`, { uid: 996, gid: 995 });
    const owner = async (name: string): Promise<number> => (await lstat(join(dir, name))).uid;
    // Only root can.
    const given = OWNER.uid === 0 ? 996 : OWNER.uid;
    expect(await Promise.all(['alone', 'folder', 'linked', 'target'].map(owner))).toEqual([
      given,
      given,
      OWNER.uid,
      OWNER.uid,
    ]);
    expect((await disk.stat('/alone'))?.mode).toBe(0o600);
  });

  it('replaces a file whole, keeps its mode, and leaves nothing beside it', async () => {
    const disk = realDisk(dir);
    await writeFile(join(dir, 'm.yaml'), 'old');
    await chmod(join(dir, 'm.yaml'), 0o604);
    await writeFile(join(dir, stagingPath('/m.yaml')), 'left behind by a kill');
    const w = { path: '/m.yaml', bytes: bytes('new'), mode: 0o600, owner: OWNER, guard: always };
    const { ino } = await lstat(join(dir, 'm.yaml'));
    expect(await installFile(disk, w)).toBe('Written');
    const after = await lstat(join(dir, 'm.yaml'));
    expect([after.mode & 0o777, after.ino === ino]).toEqual([0o604, false]);
    expect(await readdir(dir)).toEqual(['m.yaml']);
    expect(await installFile(disk, { ...w, guard: () => false })).toBe('Guarded');
  });

  it('stages as a dotfile in the same folder, which the kubelet does not read', () => {
    expect(stagingPath('/a/kube-apiserver.yaml')).toMatch(/^\/a\/\.[^/]+$/);
  });

  it('makes folders with the mode asked, whatever the umask says of files', async () => {
    const disk = realDisk(dir);
    await makeFolder(disk, '/a/b', 0o700, OWNER);
    expect([(await disk.stat('/a/b'))?.mode, (await disk.stat('/a'))?.kind]).toEqual([0o700, 'dir']);
    await disk.removeDir('/a');
    expect(await disk.stat('/a/b')).not.toBeNull();
  });

  it('gives a folder away, and never what a link in its place names', async () => {
    await mkdir(join(dir, 'theirs'));
    await mkdir(join(dir, 'secret'));
    const { uid } = await lstat(join(dir, 'secret'));
    await giveFolder(join(dir, 'theirs'), { uid: uid + 1, gid: 7 });
    if (process.getuid?.() === 0) expect(await lstat(join(dir, 'theirs'))).toMatchObject({ uid: uid + 1, gid: 7 });
    for (const target of ['secret', 'none']) {
      await symlink(target, join(dir, `to-${target}`));
      await expect(giveFolder(join(dir, `to-${target}`), { uid: uid + 1, gid: 7 })).rejects.toThrow(/E[A-Z]+:/);
    }
    expect((await lstat(join(dir, 'secret'))).uid).toBe(uid);
  });
});

describe('two programs that change one file at once', () => {
  function gate(): { readonly passed: Promise<void>; readonly open: () => void } {
    let open = (): void => undefined;
    const passed = new Promise<void>((resolve) => (open = resolve));
    return { passed, open: () => open() };
  }

  /** Whoever creates first goes on when the other has created too, and the other when the first is through. */
  it('never rename what the other has staged: one is whole, the other is told, and nothing is left', async () => {
    const real = realDisk(dir);
    await writeFile(join(dir, 'm.yaml'), 'old');
    const [secondCreated, firstDone] = [gate(), gate()];
    const after =
      (then: () => Promise<void>): Disk['create'] =>
      async (...args) => {
        await real.create(...args);
        await then();
      };
    const isOld = (now: Uint8Array | null): boolean => new TextDecoder().decode(now ?? bytes('')) === 'old';
    const write = (who: string, create: Disk['create']): ReturnType<typeof installFile> => {
      const w = { path: '/m.yaml', bytes: bytes(who), mode: 0o600, owner: OWNER, guard: isOld, stagedBy: who };
      return installFile({ ...real, create }, w);
    };
    const first = write(
      'first',
      after(() => secondCreated.passed),
    );
    const second = write(
      'second',
      after(() => {
        secondCreated.open();
        return firstDone.passed;
      }),
    );
    expect(await first).toBe('Written');
    expect(await readFile(join(dir, 'm.yaml'), 'utf8')).toBe('first');
    firstDone.open();
    expect(await second).toBe('Guarded');
    expect(await readFile(join(dir, 'm.yaml'), 'utf8')).toBe('first');
    expect(await readdir(dir)).toEqual(['m.yaml']);
  });

  it('leave nothing where the disk refuses, and take away what one that was killed left long ago', async () => {
    const memory = new MemoryDisk({ '/etc/m.yaml': 'old' });
    const w = { path: '/etc/m.yaml', bytes: bytes('new'), mode: 0o600, owner: OWNER, guard: always, stagedBy: 'me' };
    const full = Object.assign(new Error('ENOSPC: full'), { code: 'ENOSPC' });
    const rename = (): Promise<void> => Promise.reject(full);
    await expect(installFile({ ...memory, rename }, w)).rejects.toBe(full);
    expect(Object.keys(memory.snapshot())).toEqual(['/', '/etc', '/etc/m.yaml']);
    memory.clock = () => Date.now() - 3_600_000;
    memory.put(stagingPath('/etc/m.yaml', 'dead'), 'half');
    memory.clock = () => Date.now();
    memory.put(stagingPath('/etc/m.yaml', 'alive'), 'half');
    expect(await installFile(memory, w)).toBe('Written');
    expect(Object.keys(memory.snapshot())).toEqual(['/', '/etc', stagingPath('/etc/m.yaml', 'alive'), '/etc/m.yaml']);
  });
});

describe('a second name of a file', () => {
  it('is the file itself, and takes the place of another one by rename', async () => {
    const disk = realDisk(dir);
    await writeFile(join(dir, 'old'), 'old', { mode: 0o640 });
    const inode = (await lstat(join(dir, 'old'))).ino;
    await disk.link('/old', '/.before');
    await expect(disk.link('/old', '/.before')).rejects.toMatchObject({ code: 'EEXIST' });
    await installFile(disk, { path: '/old', bytes: bytes('new'), mode: 0o600, owner: OWNER, guard: always });
    expect((await lstat(join(dir, 'old'))).ino).not.toBe(inode);
    await disk.rename('/.before', '/old');
    expect((await lstat(join(dir, 'old'))).ino).toBe(inode);
    expect(await readdir(dir)).toEqual(['old']);
  });
});

describe('processes', () => {
  it('are found by program name, with arguments and start', async () => {
    const program = join(dir, 'kube-apiserver');
    await symlink(process.execPath, program);
    const before = await listApiServers();
    const child = spawn(program, ['-e', 'setTimeout(() => {}, 60000)', '--', '--secure-port=1'], { stdio: 'ignore' });
    try {
      await new Promise((resolve) => child.once('spawn', resolve));
      const found = (await listApiServers())?.apiServers.find((p) => p.pid === child.pid);
      expect(found?.args.at(-1)).toBe('--secure-port=1');
      // Both are counted in hundredths of a second since boot.
      expect(found?.startedAt).toBeGreaterThanOrEqual((before?.now ?? Infinity) - 20);
      expect(found?.startedAt).toBeLessThan((before?.now ?? 0) + 10_000);
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('are those of the network of the host: in a pod of its own network is a hosted control plane’s, on whatever port', async () => {
    const stat = (start: number): string => `1 (kube-apiserver) S ${'0 '.repeat(18)}${start} 0`;
    const make = async (pid: number, network: string): Promise<void> => {
      await mkdir(join(dir, `${pid}/net`), { recursive: true });
      await writeFile(join(dir, `${pid}/cmdline`), `/usr/local/bin/kube-apiserver\0--secure-port=6443\0`);
      await writeFile(join(dir, `${pid}/stat`), stat(pid));
      await link(join(dir, network), join(dir, `${pid}/net/dev`));
    };
    for (const [file, text] of [
      ['uptime', '100.00 0'],
      ['host', ''],
      ['pod', ''],
    ] as const)
      // prettier-ignore
      await writeFile(join(dir, file), text);
    for (const [pid, network] of [[10, 'host'], [20, 'pod'], [30, 'host']] as const) await make(pid, network); // prettier-ignore
    const pids = async (): Promise<unknown> => (await listApiServers(dir))?.apiServers.map((p) => p.pid);
    // Where the host's own network cannot be seen, all of them may be it.
    expect(await pids()).toEqual([10, 20, 30]);
    await mkdir(join(dir, '1/net'), { recursive: true });
    await link(join(dir, 'host'), join(dir, '1/net/dev'));
    expect(await pids()).toEqual([10, 30]);
  });

  it('are null where there is no such /proc', async () => {
    expect(await listApiServers(dir)).toBeNull();
  });
});

describe('pods with processes', () => {
  it.each([
    ['cgroup v2, cgroupfs', '0::/kubepods/burstable/podUID/3f'],
    [
      'cgroup v2, systemd',
      '0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice/cri-containerd-3f.scope',
    ],
    ['cgroup v1', '9:name=systemd:/\n3:cpu:/kubepods/burstable/podUID/3f'],
    ['from inside another container', '0::/../../podUID/3f'],
  ])('are told by %s', async (_, cgroup) => {
    const [here, gone, uuid] = ['bf56d8bcb7b6', '6686b5c1a189', '0a1b-2c3d'];
    for (const [pid, uid] of [
      [7, here],
      [8, cgroup.includes('.slice') ? '0a1b_2c3d' : uuid],
    ] as const) {
      await mkdir(join(dir, String(pid)));
      await writeFile(join(dir, String(pid), 'cgroup'), cgroup.replace('UID', uid));
    }
    await mkdir(join(dir, '9'));
    expect(await podsWithProcesses([gone, here, uuid], dir)).toEqual([here, uuid]);
    expect(await podsWithProcesses([], join(dir, 'none'))).toEqual([]);
  });
});

describe('last words', () => {
  const POD = { namespace: 'kube-system', name: 'kube-apiserver', container: 'kube-apiserver' };
  const folder = (uid: string): string => `kube-system_kube-apiserver-cp1_${uid}`;
  const cri = (line: string): string => `2026-11-21T08:00:00.000000000Z stderr F ${line}\n`;

  it('are those of the pod that came with the change, and how often it started', async () => {
    const disk = new MemoryDisk({
      [`/var/log/pods/${folder('old')}/kube-apiserver/7.log`]: cri('E1121 08:00:00 old'),
      [`/var/log/pods/${folder('new')}/kube-apiserver/0.log`]: cri('Error: first'),
      [`/var/log/pods/${folder('new')}/kube-apiserver/1.log`]:
        cri('I1121 all is well') + cri('Error: invalid audit mode'),
      [`/var/log/pods/kube-system_etcd-cp1_x/etcd/9.log`]: cri('Error: etcd'),
    });
    expect(await readLastWords(disk, POD, new Set([folder('old')]))).toEqual({
      starts: 2,
      lines: ['Error: first', 'Error: invalid audit mode'],
    });
    expect(await readLastWords(disk, POD, new Set([folder('old'), folder('new')]))).toBeNull();
    expect(await readLastWords(new MemoryDisk(), POD, new Set())).toBeNull();
  });

  it('are looked for at the end of a log, however long, and not at all where starts are counted', async () => {
    const path = `/var/log/pods/${folder('new')}/kube-apiserver/1.log`;
    const log = cri('Error: long ago') + cri(`I1121 ${'x'.repeat(200)}`).repeat(2_000) + cri('Error: now');
    const memory = new MemoryDisk({ [path]: log });
    let read = 0;
    const disk = {
      ...memory,
      readEnd: async (p: string, n: number) => {
        const bytes = await memory.readEnd(p, n);
        read += bytes?.length ?? 0;
        return bytes;
      },
      read: () => Promise.reject(new Error('read whole')),
    };
    expect(await readStarts(disk, POD, new Set())).toBe(2);
    expect(read).toBe(0);
    expect(await readLastWords(disk, POD, new Set())).toEqual({ starts: 2, lines: ['Error: now'] });
    expect(read).toBeLessThan(70_000);
    await mkdir(join(dir, 'd'));
    await writeFile(join(dir, 'd/f'), 'abcdef');
    const end = await realDisk(dir).readEnd('/d/f', 4);
    expect(new TextDecoder().decode(end ?? bytes(''))).toBe('cdef');
    expect((await realDisk(dir).readEnd('/d/f', 99))?.length).toBe(6);
    expect(await realDisk(dir).readEnd('/d', 4)).toBeNull();
    expect(await realDisk(dir).readEnd('/d/none', 4)).toBeNull();
  });

  it('are few and short', () => {
    const lines = tellingLines(Array.from({ length: 50 }, (_, i) => `E1121 ${i} ${'x'.repeat(9_999)}`));
    expect(lines.length).toBeLessThan(10);
    expect(Math.max(...lines.map((l) => l.length))).toBeLessThan(500);
    expect(tellingLines(['nothing told', ''])).toEqual(['nothing told']);
  });
});
