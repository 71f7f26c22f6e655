/** One provider at a time, whoever dies: real processes of provision-main.ts with a `go` that is a shell script. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { chmod, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isAlive } from './alive.ts';
import { tryLock } from './lock.ts';
import { temporaryFolder } from './reaper.ts';

/** Counts its builds, takes $SECONDS_A_BUILD for each, and names packages as `go build -v` does. */
const FAKE_GO = `#!/bin/sh
case $1 in
  version) echo "go version $GO_VERSION linux/amd64"; exit ;;
  list) seq 20; exit ;;
esac
echo "$$" >> "$BUILDS"
for i in $(seq 20); do echo "k8s.io/package$i" >&2; done
sleep "$SECONDS_A_BUILD"
while [ "$1" != -o ]; do shift; done
for name in kube-apiserver etcd; do
  printf '#!/bin/sh\\necho Kubernetes v1.36.3\\n' > "$2/$name"; chmod +x "$2/$name"
done
`;

let folder: ReturnType<typeof temporaryFolder>;
const started: ChildProcess[] = [];

beforeEach(async () => {
  folder = temporaryFolder('provision-test');
  await mkdir(join(folder.path, 'bin'));
  await writeFile(join(folder.path, 'bin/go'), FAKE_GO);
  await chmod(join(folder.path, 'bin/go'), 0o755);
});
afterEach(async () => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  await sleep(50);
  await folder.remove();
});

const builds = async (): Promise<number[]> =>
  (await readFile(join(folder.path, 'builds'), 'utf8').catch(() => '')).split('\n').filter(Boolean).map(Number);
const cached = async (): Promise<string[]> =>
  (await readdir(join(folder.path, 'cache/auditconfig/control-plane')).catch(() => []))
    .map((n) => n.replace(/-[0-9a-f]{16}/, '-KEY').replace(/\.new-.*/, '.new'))
    .sort();

type Provider = { readonly child: ChildProcess; readonly done: Promise<number | null>; stderr: string };

function provider(secondsABuild: number, go = 'go1.26.8'): Provider {
  const root = join(import.meta.dirname, '../..');
  const main = join(import.meta.dirname, 'provision-main.ts');
  const child = spawn(process.execPath, ['--import', './test/house/typescript.mjs', main], {
    cwd: root,
    stdio: ['pipe', 'ignore', 'pipe'],
    env: {
      PATH: `${join(folder.path, 'bin')}:/usr/bin:/bin`,
      XDG_CACHE_HOME: join(folder.path, 'cache'),
      AUDITCONFIG_ENVTEST_INDEX: '',
      DOCKER_HOST: 'unix:///nowhere',
      GO_VERSION: go,
      BUILDS: join(folder.path, 'builds'),
      SECONDS_A_BUILD: String(secondsABuild),
    },
  });
  started.push(child);
  const made: Provider = {
    child,
    done: new Promise((resolve) => child.once('close', (code) => resolve(code))),
    stderr: '',
  };
  child.stderr.setEncoding('utf8').on('data', (d: string) => (made.stderr += d));
  return made;
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 30_000;
  while (!(await what())) {
    if (Date.now() > end) throw new Error(`not in 30 s: ${what}`);
    await sleep(20);
  }
}
const BOTH = ['v1.35.4-go-KEY', 'v1.36.3-go-KEY'];

describe('providing the binaries', { timeout: 60_000 }, () => {
  it('builds each version once, 1.36 first, however many ask, and tells how far it is', async () => {
    const [a, b] = [provider(0.5), provider(0.5)];
    expect(await Promise.all([a.done, b.done])).toEqual([0, 0]);
    expect(await builds()).toHaveLength(2);
    expect(await cached()).toEqual(BOTH);
    const said = a.stderr + b.stderr;
    expect(said).toMatch(/v1\.36\.3: 50 % of 20 packages[\s\S]*v1\.36\.3: built in[\s\S]*v1\.35\.4: building/);
    expect(said).toContain('waiting for another process');
    const again = provider(0.5);
    expect(await again.done).toBe(0);
    expect(again.stderr).toBe('');
  });

  it('builds again for another Go', async () => {
    expect(await provider(0).done).toBe(0);
    expect(await provider(0, 'go1.26.9').done).toBe(0);
    expect(await builds()).toHaveLength(4);
    expect(await cached()).toEqual([...BOTH, ...BOTH].sort());
  });

  it('goes on after a builder that was killed, and clears up behind it', async () => {
    const dead = provider(30);
    await until(async () => (await builds()).length === 1);
    dead.child.kill('SIGKILL');
    await dead.done;
    expect(await cached()).toEqual(['lock', 'v1.36.3-go-KEY.new']);
    const [compiler = 0] = await builds();
    await until(() => !isAlive(compiler));
    const next = provider(0.1);
    expect(await next.done).toBe(0);
    expect(await cached()).toEqual(BOTH);
  });

  it('ends with the process that started it, and the compiler with it', async () => {
    const p = provider(30);
    await until(async () => (await builds()).length === 1);
    p.child.stdin?.end();
    expect(await p.done).toBe(0);
    const [compiler = 0] = await builds();
    await until(() => !isAlive(compiler));
    expect(await cached()).toEqual([]);
  });
});

describe('the lock', () => {
  it('is held by one, and free afterwards', async () => {
    const file = join(folder.path, 'lock');
    const unlock = await tryLock(file);
    expect(unlock).toBeDefined();
    expect(await tryLock(file)).toBeUndefined();
    await unlock?.();
    expect(await tryLock(file)).toBeDefined();
  });

  it('is taken from a process of this machine that is gone, not from one of another machine', async () => {
    const file = join(folder.path, 'lock');
    await writeFile(file, JSON.stringify({ pid: 2 ** 22 + 1, host: 'elsewhere' }));
    expect(await tryLock(file)).toBeUndefined();
    await writeFile(file, JSON.stringify({ pid: 2 ** 22 + 1, host: (await import('node:os')).hostname() }));
    expect(await tryLock(file)).toBeDefined();
  });
});
