/** The kubelet's rules for a manifests folder, held with a small shell program in place of a kube-apiserver. */
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManifestRunner } from './manifest-runner.ts';
import type { PodView } from './manifest-runner.ts';
import type { RunnerTimes } from './pod-run.ts';
import { temporaryFolder } from './reaper.ts';

/** Writes its arguments and its start and end to the journal; ends on SIGTERM unless it is stubborn or to crash. */
const PROGRAM = `
journal=$1; shift
case " $* " in
  *' --crash '*) echo "start $$ $*" >> "$journal"; echo 'no such luck' >&2; exit 3 ;;
  *' --stubborn '*) trap '' TERM ;;
  *) trap 'sleep 0.1; echo "end $$ $*" >> "$journal"; exit 0' TERM ;;
esac
echo "start $$ $*" >> "$journal"
while :; do sleep 0.05; done
`;

const QUICK: RunnerTimes = { relist: 400, backoff: 150, maxBackoff: 600, maxGrace: 500, mountRetry: 50 };
/** So long that what a test sees comes from watch events alone. */
const NO_RELIST: RunnerTimes = { ...QUICK, relist: 3_600_000 };

let folder: ReturnType<typeof temporaryFolder>;
let runner: ManifestRunner | undefined;

beforeEach(async () => {
  folder = temporaryFolder('runner-test');
  await mkdir(join(folder.path, 'etc/kubernetes/manifests'), { recursive: true });
});
afterEach(async () => {
  await runner?.stop();
  await folder.remove();
});

const journalPath = (): string => join(folder.path, 'journal');
const manifest = (name: string): string => join(folder.path, 'etc/kubernetes/manifests', name);
const journal = async (): Promise<string[]> =>
  (await readFile(journalPath(), 'utf8').catch(() => '')).trim().split('\n').filter(Boolean);
/** The journal without process ids: `start --a`. */
const story = async (): Promise<string[]> => (await journal()).map((l) => l.replace(/ \d+/, ''));

async function startRunner(times: RunnerTimes): Promise<ManifestRunner> {
  runner = new ManifestRunner({
    root: folder.path,
    times,
    resolve: (c) =>
      c.argv[0] === 'program' ? { file: '/bin/sh', args: ['-c', PROGRAM, 'program', journalPath()] } : undefined,
  });
  await runner.start();
  return runner;
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 20_000;
  while (!(await what())) {
    if (Date.now() > end) throw new Error(`not in 20 s: ${what}\n${(await journal()).join('\n')}`);
    await sleep(10);
  }
}

const pod = (...args: string[]): string => `apiVersion: v1
kind: Pod
metadata: {name: p, namespace: kube-system}
spec:
  containers:
  - name: c
    image: i
    command: [${['program', ...args].map((a) => JSON.stringify(a)).join(', ')}]
`;
const view = (): PodView | undefined => runner?.pod('kube-system/p');
const running = (): boolean => view()?.phase === 'Running';
/** Runs and is ready for signals, which a process that was only just started is not. */
const up = (args: string): Promise<void> => until(async () => (await story()).includes(`start ${args}`) && running());

describe('the manifest runner', { timeout: 60_000 }, () => {
  it('runs what is in the folder, and ignores dotfiles', async () => {
    await writeFile(manifest('.staged.yaml'), pod('--hidden'));
    await writeFile(manifest('p.yaml'), pod('--shown'));
    await startRunner(QUICK);
    await up('--shown');
    await writeFile(manifest('.kube-apiserver.yaml.new'), pod('--staged'));
    await sleep(900);
    expect(await story()).toEqual(['start --shown']);
    expect(runner?.events.map((e) => e.what)).toEqual(['Applied', 'Started']);
  });

  it('has no filter by extension, and the last name in sort order wins at a relist', async () => {
    await writeFile(manifest('p.yaml'), pod('--new'));
    await writeFile(manifest('p.yaml.bak'), pod('--old'));
    await startRunner(QUICK);
    await up('--old');
    await sleep(600);
    expect(await story()).toEqual(['start --old']);
    expect(view()?.file).toBe(manifest('p.yaml.bak'));
  });

  it('removes a pod whose file is deleted, although another file defines it, until the next relist', async () => {
    await writeFile(manifest('p.yaml'), pod('--a'));
    await writeFile(manifest('p.yaml.bak'), pod('--a'));
    await startRunner({ ...QUICK, relist: 1_500 });
    await up('--a');
    await rm(manifest('p.yaml.bak'));
    await until(async () => (await story()).length === 3);
    expect(await story()).toEqual(['start --a', 'end --a', 'start --a']);
    expect(view()?.file).toBe(manifest('p.yaml'));
  });

  it('restarts nothing for comments, white space and the order of keys', async () => {
    await writeFile(manifest('p.yaml'), pod('--a'));
    await startRunner(QUICK);
    await up('--a');
    const { pid, uid } = view() ?? {};
    await writeFile(manifest('p.yaml'), `# hello\n${pod('--a').replace('name: p, namespace: kube-system', 'namespace:   kube-system,  name: p')}`); // prettier-ignore
    await sleep(700);
    expect(view()).toMatchObject({ pid, uid, restarts: 0 });
    expect(await story()).toEqual(['start --a']);
  });

  it('restarts for any annotation', async () => {
    await writeFile(manifest('p.yaml'), pod('--a'));
    await startRunner(NO_RELIST);
    await up('--a');
    await writeFile(manifest('p.yaml'), pod('--a').replace('{name: p,', '{annotations: {a: b}, name: p,'));
    await until(async () => (await story()).length === 3);
    expect(await story()).toEqual(['start --a', 'end --a', 'start --a']);
  });

  it('ends the old one before it starts the new one, and says when it applied and started', async () => {
    await writeFile(manifest('p.yaml'), pod('--a'));
    await startRunner(NO_RELIST);
    await up('--a');
    const before = Date.now();
    await writeFile(manifest('.p.new'), pod('--b'));
    await rename(manifest('.p.new'), manifest('p.yaml'));
    await until(async () => (await story()).includes('start --b'));
    expect(await story()).toEqual(['start --a', 'end --a', 'start --b']);
    const { appliedAt = 0, processStart = 0 } = view() ?? {};
    expect(appliedAt).toBeGreaterThanOrEqual(before);
    expect(processStart).toBeGreaterThanOrEqual(appliedAt + 100); // the old one takes 100 ms to end
  });

  it('kills a pod that does not end within the grace period', async () => {
    await writeFile(manifest('p.yaml'), pod('--stubborn'));
    await startRunner(NO_RELIST);
    await up('--stubborn');
    const { pid = 0 } = view() ?? {};
    const before = Date.now();
    await writeFile(manifest('p.yaml'), pod('--b'));
    await until(async () => (await story()).includes('start --b'));
    expect(Date.now() - before).toBeGreaterThanOrEqual(QUICK.maxGrace);
    expect(() => process.kill(pid, 0)).toThrow();
    expect(await story()).toEqual(['start --stubborn', 'start --b']);
  });

  it('keeps the newest of several changes that come while the old one ends', async () => {
    await writeFile(manifest('p.yaml'), pod('--stubborn'));
    await startRunner(NO_RELIST);
    await up('--stubborn');
    await writeFile(manifest('p.yaml'), pod('--b'));
    await sleep(100);
    await writeFile(manifest('p.yaml'), pod('--c'));
    await until(async () => (await story()).includes('start --c'));
    expect(await story()).toEqual(['start --stubborn', 'start --c']);
  });

  it('keeps a pod whose manifest no longer parses until the relist removes it', async () => {
    await writeFile(manifest('p.yaml'), pod('--a'));
    await startRunner({ ...QUICK, relist: 2_500 });
    await up('--a');
    await writeFile(manifest('p.yaml'), 'kind: Pod\n  nonsense: [');
    await sleep(300);
    expect(running()).toBe(true);
    await until(() => view() === undefined);
    await until(async () => (await story()).includes('end --a'));
    expect(runner?.events.some((e) => e.what === 'Refused')).toBe(true);
  });

  it('starts a crashed container again with a growing back-off, and keeps what it said', async () => {
    await writeFile(manifest('p.yaml'), pod('--crash'));
    await startRunner(NO_RELIST);
    await until(() => (view()?.starts.length ?? 0) === 4);
    const [, second = 0, third = 0, fourth = 0] = view()?.starts ?? [];
    expect(third - second).toBeGreaterThanOrEqual(QUICK.backoff);
    expect(fourth - third).toBeGreaterThanOrEqual(2 * QUICK.backoff);
    await until(() => view()?.lines.length === 4);
    expect(view()?.lines.at(-1)).toBe('no such luck');
    expect(view()?.restarts).toBe(3);
    const logs = join(folder.path, 'var/log/pods', `kube-system_p-node-1_${view()?.uid}`, 'c');
    expect((await readFile(join(logs, '2.log'), 'utf8')).replace(/^\S+ /, '')).toBe('stderr F no such luck\n');
    expect(await readdir(logs)).not.toContain('0.log');
  });

  it('waits neither before the first restart nor before a changed pod', async () => {
    await writeFile(manifest('p.yaml'), pod('--crash'));
    await startRunner({ ...NO_RELIST, backoff: 300_000, maxBackoff: 300_000 });
    await until(() => view()?.restarts === 1 && view()?.phase === 'BackOff');
    await writeFile(manifest('p.yaml'), pod('--a'));
    await up('--a');
    expect(view()?.restarts).toBe(0);
  });

  it('runs two pods side by side, such as a guard beside the API server', async () => {
    await writeFile(manifest('p.yaml'), pod('--a'));
    await writeFile(manifest('guard.yaml'), pod('--guard').replace('name: p,', 'name: guard,'));
    await startRunner(QUICK);
    await until(async () => (await story()).length === 2);
    await rm(manifest('guard.yaml'));
    await until(async () => (await story()).includes('end --guard'));
    expect(await story()).not.toContain('end --a');
    expect(running()).toBe(true);
  });

  it('finds a folder that appears later', async () => {
    await rm(join(folder.path, 'etc/kubernetes/manifests'), { recursive: true });
    await startRunner(QUICK);
    await mkdir(join(folder.path, 'etc/kubernetes/manifests'));
    await writeFile(manifest('p.yaml'), pod('--a'));
    await up('--a');
  });

  it('maps mounted paths in flags, and gives others an empty file system', async () => {
    const mounted = pod('--policy=/etc/audit/p.yaml', '--elsewhere=/var/x', '--etcd-prefix=/registry', '/etc/audit');
    const volume = `    volumeMounts: [{name: v, mountPath: /etc/audit, readOnly: true}]
  volumes: [{name: v, hostPath: {path: /srv/audit, type: DirectoryOrCreate}}]
`;
    await writeFile(manifest('p.yaml'), mounted + volume);
    await startRunner(QUICK);
    await until(running);
    await until(async () => (await story()).length === 1);
    const [, policy, elsewhere, prefix, bare] = ((await story())[0] ?? '').split(' ');
    expect(policy).toBe(`--policy=${folder.path}/srv/audit/p.yaml`);
    expect(elsewhere).toMatch(/^--elsewhere=.+\/rootfs\/var\/x$/);
    expect(prefix).toBe('--etcd-prefix=/registry');
    expect(bare).toBe(`${folder.path}/srv/audit`);
  });

  it('shows its processes below <root>/proc with the arguments of the manifest, as long as they run', async () => {
    await writeFile(manifest('p.yaml'), pod('--file=/etc/x'));
    await startRunner(QUICK);
    await until(async () => (await story()).length === 1);
    const { pid = 0 } = view() ?? {};
    const proc = join(folder.path, 'proc');
    const pids = async (): Promise<string[]> => (await readdir(proc)).filter((n) => /^\d+$/.test(n));
    expect(await pids()).toEqual([String(pid)]);
    expect(await readFile(join(proc, `${pid}/cmdline`), 'utf8')).toBe('program\0--file=/etc/x\0');
    expect(await readFile(join(proc, `${pid}/stat`), 'utf8')).toMatch(new RegExp(`^${pid} \\(`));
    await rm(manifest('p.yaml'));
    await until(async () => (await pids()).length === 0);
  });

  it('leaves no process behind when it stops', async () => {
    await writeFile(manifest('p.yaml'), pod('--stubborn'));
    await startRunner(QUICK);
    await up('--stubborn');
    const { pid = 0 } = view() ?? {};
    await runner?.stop();
    expect(() => process.kill(pid, 0)).toThrow();
  });
});
