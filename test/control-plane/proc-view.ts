/**
 * `<root>/proc/<pid>` for the processes of the manifest runner: what an agent with `--root` finds when it looks at the
 * node's processes. `cmdline` is the container's command as the manifest has it, where the real one names folders of
 * this machine; the rest are links to the real thing.
 */
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const LINKED = ['stat', 'status', 'comm', 'cgroup', 'limits'] as const;

async function link(target: string, path: string): Promise<void> {
  await symlink(target, path).catch((error: unknown) => {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  });
}

/** Once, before the first process: boot, boot time and uptime, for those who turn ticks into times. */
export async function makeProc(root: string): Promise<void> {
  await mkdir(join(root, 'proc/sys/kernel/random'), { recursive: true });
  for (const name of ['stat', 'uptime', 'sys/kernel/random/boot_id'])
    await link(`/proc/${name}`, join(root, 'proc', name));
}

export async function showProcess(root: string, pid: number, argv: readonly string[]): Promise<void> {
  const folder = join(root, 'proc', String(pid));
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'cmdline'), argv.map((a) => `${a}\0`).join(''));
  for (const name of LINKED) await link(`/proc/${pid}/${name}`, join(folder, name));
}

export async function hideProcess(root: string, pid: number): Promise<void> {
  await rm(join(root, 'proc', String(pid)), { recursive: true, force: true });
}
