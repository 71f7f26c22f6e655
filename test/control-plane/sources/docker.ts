/**
 * kube-apiserver and etcd out of their published images: created, never run, and the two files copied out. Needs a
 * Docker daemon on Linux of the same platform; elsewhere the copied programs do not run, and that is the answer.
 */
import { join } from 'node:path';
import { PINNED, planeVersionOf } from '../versions.ts';
import { askVersion } from './assets.ts';
import { addEntry, entryFolder } from './cache.ts';
import { run } from './run.ts';
import type { Ask, Source } from './types.ts';

const PULL_MS = 15 * 60_000;

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';

/** undefined when the file is in `folder`. */
async function copyOut(image: string, path: string, folder: string, ask: Ask): Promise<string | undefined> {
  const docker = (args: readonly string[], timeoutMs: number) =>
    run('docker', args, { env: ask.env, signal: ask.signal, timeoutMs });
  ask.progress(`docker: ${image}`);
  // No command is ever run, but the etcd image has none of its own in some versions, and create wants one.
  const created = await docker(['create', image, path], PULL_MS);
  if (created.code !== 0) return `docker create ${image}: ${lastLine(created.stderr)}`;
  const id = lastLine(created.stdout);
  const copied = await docker(['cp', `${id}:${path}`, `${folder}/`], 120_000);
  await docker(['rm', '--force', id], 60_000);
  return copied.code === 0 ? undefined : `docker cp out of ${image}: ${lastLine(copied.stderr)}`;
}

async function fill(folder: string, ask: Ask): Promise<string | undefined> {
  const { kubernetes, etcdImageTag } = PINNED[ask.version];
  const failed =
    (await copyOut(`registry.k8s.io/kube-apiserver:${kubernetes}`, '/usr/local/bin/kube-apiserver', folder, ask)) ??
    (await copyOut(`registry.k8s.io/etcd:${etcdImageTag}`, '/usr/local/bin/etcd', folder, ask));
  if (failed !== undefined) return failed;
  const said = await askVersion(join(folder, 'kube-apiserver'), ask.signal);
  return planeVersionOf(said) === ask.version ? undefined : `its kube-apiserver is not ${ask.version}: ${said}`;
}

export const docker: Source = {
  name: 'Docker',
  async get(ask) {
    const options = { env: ask.env, signal: ask.signal, timeoutMs: 10_000 };
    const server = await run('docker', ['version', '--format', '{{.Server.Version}}'], options);
    if (server.code !== 0) return { unavailable: lastLine(server.stderr) || 'no daemon answers' };
    return addEntry(await entryFolder('docker', ask), ask.version, (folder) => fill(folder, ask));
  },
};
