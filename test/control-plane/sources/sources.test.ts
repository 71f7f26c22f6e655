/** Where binaries come from, each source against a stand-in: a local server, a `docker` that is a shell script. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { provide, NoControlPlane } from '../provision.ts';
import { temporaryFolder } from '../reaper.ts';
import { assets } from './assets.ts';
import { cache, cacheFolder } from './cache.ts';
import { docker } from './docker.ts';
import { envtest, findArchive } from './envtest.ts';
import type { Ask } from './types.ts';

let folder: ReturnType<typeof temporaryFolder>;
let server: Server | undefined;

beforeEach(() => {
  folder = temporaryFolder('sources-test');
});
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())));
  server = undefined;
  await folder.remove();
});

/** An environment with nothing: no Go, no Docker, no network, an empty cache. */
const ask = (env: Ask['env'] = {}, version: Ask['version'] = '1.36'): Ask => ({
  version,
  env: {
    XDG_CACHE_HOME: join(folder.path, 'cache'),
    PATH: join(folder.path, 'bin'),
    AUDITCONFIG_ENVTEST_INDEX: '',
    ...env,
  },
  signal: new AbortController().signal,
  progress: () => undefined,
});

async function program(path: string, script: string): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
}

async function binaries(where: string, version: string): Promise<void> {
  await program(join(where, 'kube-apiserver'), `echo 'Kubernetes ${version}'`);
  await program(join(where, 'etcd'), 'echo etcd');
}

const reason = (answer: Awaited<ReturnType<typeof assets.get>>): string =>
  'unavailable' in answer ? answer.unavailable : `found ${answer.binaries.apiserver}`;

describe('KUBEBUILDER_ASSETS', () => {
  it('serves the version that its kube-apiserver says it is, and no other', async () => {
    const where = join(folder.path, 'assets');
    await binaries(where, 'v1.35.9');
    const env = { KUBEBUILDER_ASSETS: where };
    expect(await assets.get(ask(env, '1.35'))).toEqual({
      binaries: { version: '1.35', apiserver: join(where, 'kube-apiserver'), etcd: join(where, 'etcd') },
    });
    expect(reason(await assets.get(ask(env, '1.36')))).toContain('is not 1.36: Kubernetes v1.35.9');
  });

  it('is not taken when it is unset, empty of binaries or does not run', async () => {
    expect(reason(await assets.get(ask()))).toBe('not set');
    expect(reason(await assets.get(ask({ KUBEBUILDER_ASSETS: folder.path })))).toContain('no kube-apiserver and etcd');
    await binaries(folder.path, 'v1.36.0');
    await program(join(folder.path, 'kube-apiserver'), 'echo "wrong machine" >&2; exit 126');
    expect(reason(await assets.get(ask({ KUBEBUILDER_ASSETS: folder.path })))).toContain('does not run here: wrong');
  });
});

const ARCHIVE = `envtest-v1.36.2-${process.platform}-${process.arch === 'x64' ? 'amd64' : process.arch}.tar.gz`;

/** An archive as controller-tools makes it, of a kube-apiserver that says it is `version`. */
async function archive(version: string): Promise<Buffer> {
  await binaries(join(folder.path, 'tar/controller-tools/envtest'), version);
  const file = join(folder.path, 'archive.tar.gz');
  execFileSync('tar', ['-czf', file, '-C', join(folder.path, 'tar'), 'controller-tools']);
  return readFile(file);
}

const indexOf = (url: string, sha512: string): string => `releases:
  v1.36.9-rc.0:
    ${ARCHIVE.replace('1.36.2', '1.36.9-rc.0')}: {hash: ${sha512}, selfLink: '${url}/not-this'}
  v1.36.0:
    ${ARCHIVE.replace('1.36.2', '1.36.0')}: {hash: ${sha512}, selfLink: '${url}/not-this'}
  v1.36.2:
    ${ARCHIVE}: {hash: ${sha512}, selfLink: '${url}/${ARCHIVE}'}
`;

async function serve(handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const s = createServer(handler);
  server = s;
  await new Promise<void>((resolve) => s.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(s.address() as AddressInfo).port}`;
}

/** A server with an index for `real`, which answers the archive with `sent`, and closes early if it is `cut`. */
function serveArchive(real: Buffer, sent: Buffer, cut = false): Promise<string> {
  const sha512 = createHash('sha512').update(real).digest('hex');
  return serve((request, response) => {
    const url = `http://${request.headers.host}`;
    if (request.url === '/index.yaml') return void response.end(indexOf(url, sha512));
    if (request.url !== `/${ARCHIVE}`) return void response.writeHead(404).end();
    response.setHeader('content-length', real.length);
    if (!cut) return void response.end(sent);
    response.write(sent);
    setTimeout(() => response.destroy(), 50);
  });
}

const fromServer = async (url: string): Promise<{ why: string; cached: string[] }> => {
  const a = ask({ AUDITCONFIG_ENVTEST_INDEX: `${url}/index.yaml`, PATH: process.env['PATH'] });
  const answer = await envtest.get(a);
  const cached = await readdir(cacheFolder(a.env)).catch(() => []);
  return { why: reason(answer), cached };
};

describe('envtest archives', () => {
  it('are downloaded, verified, unpacked and kept in the cache', async () => {
    const good = await archive('v1.36.2');
    const url = await serveArchive(good, good);
    const { why, cached } = await fromServer(url);
    expect(why).toMatch(/^found .*\/v1\.36-envtest\/kube-apiserver$/);
    expect(cached).toEqual(['v1.36-envtest']);
    expect(await readdir(join(folder.path, 'cache/auditconfig/control-plane/v1.36-envtest'))).toEqual([
      'etcd',
      'kube-apiserver',
    ]);
    expect(await cache.get(ask())).toHaveProperty('binaries');
  });

  it('are thrown away when a byte differs', async () => {
    const good = await archive('v1.36.2');
    const bad = Buffer.from(good);
    bad.writeUInt8(bad.readUInt8(100) ^ 1, 100);
    expect(await fromServer(await serveArchive(good, bad))).toEqual({
      why: expect.stringMatching(/sha512/) as unknown,
      cached: [],
    });
  });

  it('are thrown away when they end early', async () => {
    const good = await archive('v1.36.2');
    const half = good.subarray(0, good.length / 2);
    const { why, cached } = await fromServer(await serveArchive(good, half, true));
    expect(why).not.toMatch(/^found/);
    expect(cached).toEqual([]);
  });

  it('are thrown away when they hold another version', async () => {
    const other = await archive('v1.34.0');
    const { why, cached } = await fromServer(await serveArchive(other, other));
    expect(why).toContain('is not 1.36: Kubernetes v1.34.0');
    expect(cached).toEqual([]);
  });

  it('are not there when the index says so', async () => {
    expect(reason(await envtest.get(ask({ AUDITCONFIG_ENVTEST_INDEX: await serve((_q, r) => void r.writeHead(403).end()) })))).toBe('HTTP 403'); // prettier-ignore
    expect(findArchive({ releases: { 'v1.35.1': {} } }, '1.36')).toMatch(/nothing for 1.36/);
    expect(findArchive({ releases: { 'v1.36.0': { [ARCHIVE.replace('1.36.2', '1.36.0')]: { hash: 'x', selfLink: 'y' } } } }, '1.36')).toMatch(/nothing/); // prettier-ignore
    expect(findArchive('<html>', '1.36')).toBe('the index has no releases');
  });

  it('are given up within seconds where the network swallows everything', async () => {
    const silent = createTcpServer();
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const before = Date.now();
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/index.yaml`;
    expect(reason(await envtest.get(ask({ AUDITCONFIG_ENVTEST_INDEX: url })))).toMatch(/timeout|aborted/i);
    expect(Date.now() - before).toBeLessThan(18_000);
    silent.close();
  });
});

/** As much of docker as is asked for: `cp` copies out of a folder that stands for the image's file system. */
const FAKE_DOCKER = `
echo "$*" >> "$LOG"
case $1 in
  version) [ -n "$NO_DAEMON" ] && { echo 'Cannot connect to the Docker daemon' >&2; exit 1; }; echo 27.0 ;;
  create) [ -n "$NO_IMAGE" ] && { echo 'Unable to find image locally' >&2; echo 'manifest unknown' >&2; exit 1; }
    echo "Pulling $2" >&2; basename "$2" | cut -d: -f1 ;;
  cp) cp "$IMAGES/\${2%%:*}/\${2#*:}" "$3" ;;
  rm) echo "$3" ;;
esac`;

describe('Docker (a shell script in its place: no daemon runs in these tests)', () => {
  const dockerAsk = async (env: Ask['env'] = {}): Promise<Ask> => {
    await program(join(folder.path, 'bin/docker'), FAKE_DOCKER);
    for (const image of ['kube-apiserver', 'etcd'])
      await binaries(join(folder.path, 'images', image, 'usr/local/bin'), 'v1.36.3');
    const paths = `${join(folder.path, 'bin')}:/usr/bin:/bin`;
    return ask({ PATH: paths, LOG: join(folder.path, 'log'), IMAGES: join(folder.path, 'images'), ...env });
  };

  it('gives both files out of their images, and leaves no container', async () => {
    const answer = await docker.get(await dockerAsk());
    expect(reason(answer)).toMatch(/^found .*\/v1\.36\.3-docker\/kube-apiserver$/);
    const said = (await readFile(join(folder.path, 'log'), 'utf8')).trim().split('\n');
    expect(said.map((l) => l.split(' ').slice(0, 2).join(' '))).toEqual([
      'version --format',
      'create registry.k8s.io/kube-apiserver:v1.36.3',
      'cp kube-apiserver:/usr/local/bin/kube-apiserver',
      'rm --force',
      'create registry.k8s.io/etcd:3.6.8-0',
      'cp etcd:/usr/local/bin/etcd',
      'rm --force',
    ]);
  });

  it('is not there without a program, a daemon or the image', async () => {
    expect(reason(await docker.get(ask()))).toContain('not found');
    expect(reason(await docker.get(await dockerAsk({ NO_DAEMON: '1' })))).toBe('Cannot connect to the Docker daemon');
    expect(reason(await docker.get(await dockerAsk({ NO_IMAGE: '1' })))).toContain('manifest unknown');
  });
});

describe('a machine with none of them', () => {
  it('says once what to install and what was tried', async () => {
    const a = ask({ AUDITCONFIG_RUN: 'run-1' });
    const first: unknown = await provide(a).catch((e: unknown) => e);
    expect(first).toBeInstanceOf(NoControlPlane);
    const { message } = first as NoControlPlane;
    for (const word of ['Go 1.26', 'Docker', 'envtest', 'KUBEBUILDER_ASSETS: not set', 'cache: nothing for v1.36.3'])
      expect(message).toContain(word);
    // The second to ask in the same run is told in one line, and asks nobody.
    await binaries(join(cacheFolder(a.env), 'elsewhere'), 'v1.36.3');
    await expect(provide(a)).rejects.toThrow('no kube-apiserver 1.36: what to install is said above');
    expect((await readdir(cacheFolder(a.env))).sort()).toEqual(['elsewhere', 'run-1.1.36.failed']);
  });
});
