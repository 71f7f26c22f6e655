/**
 * Small disks under the folders of a node that the agent or its API server writes to, so that each can be full or
 * read-only by itself. Mounted in the mount namespace that main.ts made for the campaign: nothing of the machine sees
 * them, and they are gone with its last process.
 */
import { execFile } from 'node:child_process';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Path on the node, and size in KiB. */
export const DISKS = {
  state: ['/var/lib/auditconfig', 2_048],
  revisions: ['/etc/kubernetes/auditconfig', 2_048],
  manifests: ['/etc/kubernetes/manifests', 512],
  log: ['/var/log/kube-audit', 16_384],
  /** Nothing is on it until a row asks for a log there. */
  spare: ['/var/log/spare', 16_384],
} as const;
export type DiskName = keyof typeof DISKS;

const FILLER = '.filler-of-the-campaign';
const NAMES = Object.keys(DISKS) as readonly DiskName[];

export class Disks {
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
  }

  static async mount(root: string): Promise<Disks> {
    const disks = new Disks(root);
    for (const name of NAMES) {
      const at = disks.#at(name);
      await mkdir(at, { recursive: true });
      await run('mount', ['-t', 'tmpfs', '-o', `size=${DISKS[name][1]}k,mode=755`, 'auditconfig-campaign', at]);
    }
    return disks;
  }

  #at(name: DiskName): string {
    return join(this.#root, DISKS[name][0]);
  }

  /** Not a byte more. */
  async fill(name: DiskName): Promise<void> {
    const file = await open(join(this.#at(name), FILLER), 'w');
    const block = Buffer.alloc(64 * 1024);
    try {
      for (let size = block.length; size >= 1;)
        // What does not fit whole is tried smaller, down to the last byte.
        size = (await fits(file, block.subarray(0, size))) ? size : Math.floor(size / 2);
    } finally {
      await file.close();
    }
  }

  async readOnly(name: DiskName): Promise<void> {
    await run('mount', ['-o', 'remount,ro', this.#at(name)]);
  }

  /** Room and writable again. */
  async mend(name: DiskName): Promise<void> {
    await run('mount', ['-o', 'remount,rw', this.#at(name)]);
    await rm(join(this.#at(name), FILLER), { force: true });
  }

  async mendAll(): Promise<void> {
    for (const name of NAMES) await this.mend(name);
  }

  /** Also where an API server still has its log open. */
  async unmount(): Promise<void> {
    for (const name of NAMES) await run('umount', ['--lazy', this.#at(name)]);
  }
}

async function fits(file: Awaited<ReturnType<typeof open>>, bytes: Uint8Array): Promise<boolean> {
  try {
    return (await file.write(bytes)).bytesWritten === bytes.length;
  } catch (e) {
    if (e instanceof Error && 'code' in e && e.code === 'ENOSPC') return false;
    throw e;
  }
}
