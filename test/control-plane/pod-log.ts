/**
 * `<root>/var/log/pods/NAMESPACE_NAME-NODE_UID/CONTAINER/N.log`, as the kubelet and containerd keep it: one file for each
 * start, N being the restarts so far, of which the last two stay; each line with its time and stream in front.
 */
import { mkdirSync, writeFileSync, appendFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Container, StaticPod } from './static-pod.ts';

/** The node's name, in the folder's name and nowhere else. */
const NODE = 'node-1';

export class PodLog {
  readonly #folder: string;
  #starts = 0;
  #file = '';

  constructor(root: string, pod: StaticPod, container: Container) {
    const [namespace = '', name = ''] = pod.key.split('/');
    this.#folder = join(root, 'var/log/pods', `${namespace}_${name}-${NODE}_${pod.uid}`, container.name);
  }

  /** A new file, for the next start. */
  async next(): Promise<void> {
    this.#file = join(this.#folder, `${this.#starts}.log`);
    mkdirSync(this.#folder, { recursive: true });
    writeFileSync(this.#file, '', { mode: 0o640 });
    await rm(join(this.#folder, `${this.#starts - 2}.log`), { force: true });
    this.#starts++;
  }

  /** Synchronous: a reader that sees the process gone sees its last line too. */
  write(stream: 'stdout' | 'stderr', line: string): void {
    try {
      appendFileSync(this.#file, `${new Date().toISOString()} ${stream} F ${line}\n`);
    } catch {
      // The node's folder went away under the runner: a test that is over.
    }
  }
}
