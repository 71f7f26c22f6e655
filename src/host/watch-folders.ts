/**
 * Tells of changes in folders of the host, as inotify does. It may miss some (a folder that is made later or replaced, a
 * queue that overflows): who needs to be sure looks now and then, and calls `watch` again, which mends what is broken.
 * Called by the agent.
 */
import { statSync, watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { join } from 'node:path';

type Watched = { readonly inode: number; readonly watcher: FSWatcher };

function inodeOf(path: string): number | null {
  try {
    return statSync(path).ino;
  } catch {
    return null;
  }
}

export class FolderWatch {
  readonly #root: string;
  readonly #onChange: (dir: string, name: string | null) => void;
  readonly #watched = new Map<string, Watched>();

  /** `onChange` gets the folder as the host names it, and the name in it where that is known. */
  constructor(root: string, onChange: (dir: string, name: string | null) => void) {
    this.#root = root;
    this.#onChange = onChange;
  }

  /** From now on these and no others. Folders that are not there are left out. */
  watch(dirs: readonly string[]): void {
    for (const dir of [...this.#watched.keys()]) if (!dirs.includes(dir)) this.#unwatch(dir);
    for (const dir of dirs) {
      const inode = inodeOf(join(this.#root, dir));
      if (this.#watched.get(dir)?.inode === inode) continue;
      this.#unwatch(dir);
      if (inode !== null) this.#open(dir, inode);
    }
  }

  close(): void {
    this.watch([]);
  }

  #open(dir: string, inode: number): void {
    try {
      const watcher = watch(join(this.#root, dir), { persistent: false }, (_kind, name) => this.#onChange(dir, name));
      watcher.on('error', () => this.#unwatch(dir));
      this.#watched.set(dir, { inode, watcher });
    } catch {
      // No more inotify instances, or gone again: the next call tries anew.
    }
  }

  #unwatch(dir: string): void {
    this.#watched.get(dir)?.watcher.close();
    this.#watched.delete(dir);
  }
}
