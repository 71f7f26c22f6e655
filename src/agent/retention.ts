/** Reads what src/analysis/retention.ts needs: names and sizes in the log's folder, and when its oldest event was. */
import { shareDisk } from '../analysis/disks.ts';
import { parseAuditEvent } from '../analysis/events.ts';
import { measureRetention } from '../analysis/retention.ts';
import type { Measured, RotatedFile } from '../analysis/retention.ts';
import { firstLines, listFiles, mountTable } from '../host/log-files.ts';
import type { Disk } from '../host/types.ts';
import { rotatedName } from '../render/rotated-name.ts';
import { baseOf, parentOf } from '../targets/host-layout.ts';

type Named = RotatedFile & { readonly name: string };

/** Milliseconds since the epoch; JSON and Legacy lines. */
export function timeIn(line: string): number | undefined {
  const told = (text: string | undefined): number | undefined => {
    const at = Date.parse(text ?? '');
    return Number.isNaN(at) ? undefined : at;
  };
  if (!line.startsWith('{')) return told(/^(\d{4}-\d\d-\d\dT\S+) AUDIT: /.exec(line)?.[1]);
  try {
    const parsed = parseAuditEvent(JSON.parse(line));
    return 'event' in parsed ? told(parsed.event.received ?? parsed.event.staged) : undefined;
  } catch {
    return undefined;
  }
}

async function oldestIn(root: string, path: string, gzip: boolean): Promise<number | undefined> {
  for (const line of await firstLines(root, path, gzip)) {
    const at = timeIn(line);
    if (at !== undefined) return at;
  }
  return undefined;
}

/** `flags` are those of the API server. Throws what the disk says. */
export async function measureLog(
  root: string,
  path: string,
  flags: ReadonlyMap<string, string>,
  now: number,
): Promise<Measured & { readonly oldestAt?: number }> {
  const [dir, log] = [parentOf(path), baseOf(path)];
  const files = await listFiles(root, dir);
  const rotated = files
    .flatMap(({ name, bytes }): Named[] => {
      const is = rotatedName(name, log);
      return is === undefined ? [] : [{ ...is, name, bytes }];
    })
    .sort((a, b) => a.rotatedAt - b.rotatedAt);
  const [oldest] = rotated;
  // An event too long to be read at once: then the file's own end, which is later, so that nothing is promised in vain.
  const oldestAt =
    oldest === undefined
      ? await oldestIn(root, path, false)
      : ((await oldestIn(root, `${dir}/${oldest.name}`, oldest.gzip)) ?? oldest.rotatedAt);
  const limit = (name: string): number => Number(flags.get(name) ?? '0');
  const currentBytes = files.find((f) => f.name === log)?.bytes ?? 0;
  const limits = {
    maxAgeDays: limit('--audit-log-maxage'),
    maxBackups: limit('--audit-log-maxbackup'),
    maxSizeMiB: limit('--audit-log-maxsize'),
  };
  const measured = measureRetention({ rotated, currentBytes, oldestAt }, limits, now);
  return { ...measured, ...(oldestAt === undefined ? {} : { oldestAt }) };
}

const ETCD_MANIFEST = 'etcd.yaml';
const ETCD_DATA = '/var/lib/etcd';

/** kubeadm's etcd is a static pod beside the API server; elsewhere its usual folder is believed. */
export async function etcdFolder(disk: Pick<Disk, 'read'>, manifestsDir: string): Promise<string> {
  const bytes = await disk.read(`${manifestsDir}/${ETCD_MANIFEST}`);
  const text = bytes === null ? '' : new TextDecoder().decode(bytes);
  return /--data-dir[= ]"?(\/[^\s"',\]]+)/.exec(text)?.[1] ?? ETCD_DATA;
}

/** A log that fills its disk stops an etcd on the same one. Undefined where that cannot be told. */
export async function sharesDiskWithEtcd(
  q: { readonly disk: Pick<Disk, 'read'>; readonly manifestsDir: string; readonly proc: string },
  log: string,
): Promise<boolean | undefined> {
  const table = await mountTable(q.proc);
  return table === undefined ? undefined : shareDisk(table, parentOf(log), await etcdFolder(q.disk, q.manifestsDir));
}
