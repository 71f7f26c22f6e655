/** A folder that plays a node's disk, and an AuditConfig beside it: for `patch`, `diff` and what they promise. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import type { CommandResult, Io } from '../../src/cli/types.ts';

export const IO: Io = {
  readFile: (path) => readFile(path),
  fds: { stdin: 0, stdout: 1 },
  stderrIsTTY: false,
  stdoutIsTTY: false,
  env: {},
  signal: new AbortController().signal,
};

export class NodeFolder {
  readonly root: string;
  /** Beside the disk, so that it is no part of it. */
  readonly config: string;
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.root = join(folder, 'disk');
    this.config = join(folder, 'auditconfig.yaml');
  }

  static async make(files: Readonly<Record<string, string>>, config: string): Promise<NodeFolder> {
    const made = new NodeFolder(await mkdtemp(join(tmpdir(), 'auditconfig-node-')));
    await mkdir(made.root);
    for (const [path, text] of Object.entries(files)) await made.write(path, text);
    await writeFile(made.config, config);
    return made;
  }

  /** A file of the host, as this process sees it. */
  at(path: string): string {
    return join(this.root, path);
  }

  read(path: string): Promise<string> {
    return readFile(this.at(path), 'utf8');
  }

  async write(path: string, text: string): Promise<void> {
    await mkdir(dirname(this.at(path)), { recursive: true });
    await writeFile(this.at(path), text);
  }

  /** Every path of the disk, with content for files. */
  async tree(): Promise<Record<string, string>> {
    const entries = await readdir(this.root, { recursive: true, withFileTypes: true });
    const all = entries.map(async (e) => {
      const path = join(e.parentPath, e.name);
      return [path.slice(this.root.length), e.isFile() ? await readFile(path, 'utf8') : '<dir>'] as const;
    });
    return Object.fromEntries((await Promise.all(all)).sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  async unchanged(act: () => Promise<CommandResult>): Promise<CommandResult> {
    const before = await this.tree();
    const result = await act();
    expect(await this.tree()).toEqual(before);
    return result;
  }

  remove(): Promise<void> {
    return rm(this.#folder, { recursive: true, force: true });
  }
}
