/** A folder that the user names, as controller-runtime's tests do: KUBEBUILDER_ASSETS with kube-apiserver and etcd. */
import { join } from 'node:path';
import { planeVersionOf } from '../versions.ts';
import { binariesIn } from './cache.ts';
import { run } from './run.ts';
import type { Source } from './types.ts';

/** What a kube-apiserver says its version is; a program that cannot run here says so in `unavailable`. */
export async function askVersion(apiserver: string, signal: AbortSignal): Promise<string> {
  const { code, stdout, stderr } = await run(apiserver, ['--version'], { signal, timeoutMs: 20_000 });
  return code === 0 ? stdout.trim() : `does not run here: ${(stderr || stdout).trim().split('\n')[0]}`;
}

export const assets: Source = {
  name: 'KUBEBUILDER_ASSETS',
  async get({ version, env, signal }) {
    const folder = env['KUBEBUILDER_ASSETS'];
    if (folder === undefined || folder === '') return { unavailable: 'not set' };
    const binaries = await binariesIn(folder, version);
    if (binaries === undefined) return { unavailable: `no kube-apiserver and etcd in ${folder}` };
    const said = await askVersion(binaries.apiserver, signal);
    if (planeVersionOf(said) !== version)
      return { unavailable: `${join(folder, 'kube-apiserver')} is not ${version}: ${said}` };
    return { binaries };
  },
};
