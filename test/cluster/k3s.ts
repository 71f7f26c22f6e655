/**
 * A real K3s in a container, started with the files of a folder that plays its disk, where a Docker daemon answers. There is
 * no systemd in it: K3s is the container's first process, and other files mean another container. For k3s.node.test.ts.
 */
import { K3sContainer } from '@testcontainers/k3s';
import { run } from '../control-plane/sources/run.ts';

const IMAGE = 'rancher/k3s:v1.36.1-k3s1';
export const KUBERNETES = '1.36';

/** What is missing here; undefined where it can run. */
export async function noDockerHere(): Promise<string | undefined> {
  const { code, stdout } = await run('docker', ['version', '--format', '{{.Server.Version}}'], { timeoutMs: 10_000 });
  return code === 0 && stdout.trim() !== '' ? undefined : 'a Docker daemon';
}

/** The last command line that K3s says its kube-apiserver has; null before it said one. */
export function apiServerWords(log: string): readonly string[] | null {
  const said = [...log.matchAll(/msg="Running kube-apiserver ([^\n]*)"\r?$/gm)].at(-1)?.[1];
  return said === undefined ? null : said.replaceAll('\\"', '"').split(' ');
}

export type Started = {
  /** Arguments of the kube-apiserver, as K3s says them. */
  readonly words: readonly string[];
  /** Runs a program in the container, and gives what it said, whatever its exit code. */
  readonly exec: (...command: readonly string[]) => Promise<string>;
};

/** Starts K3s with `etc` as its /etc, lets `look` look, and takes it away again. */
export async function withK3s<T>(etc: string, look: (k3s: Started) => Promise<T>): Promise<T> {
  let log = '';
  const container = await new K3sContainer(IMAGE)
    .withCopyDirectoriesToContainer([{ source: etc, target: '/etc' }])
    .withLogConsumer((stream) => void stream.on('data', (chunk: Buffer | string) => (log += chunk.toString())))
    .withStartupTimeout(300_000)
    .start();
  try {
    const words = apiServerWords(log);
    if (words === null) throw new Error(`K3s did not say how it starts its kube-apiserver:\n${log.slice(-4000)}`);
    const exec = async (...command: readonly string[]): Promise<string> => (await container.exec([...command])).output;
    return await look({ words, exec });
  } finally {
    await container.stop();
  }
}
