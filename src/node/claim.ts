/**
 * Agent and guard must never act at the same time, and whoever is killed must not bar the other. So who acts has a claim
 * in the state folder: a file whose name alone says which process it is (pid, start, boot), so that it dies with its
 * process, and nobody has to believe a clock. The rule is "write yours, then read the others': where a living one stands,
 * take yours back"; of two who come at the same moment the later reader sees the other, so never do both act.
 * It needs that all see the same process ids (hostPID). Called by the agent and the guard.
 */
import { diskCode } from '../host/disk-error.ts';
import { makeFolder, removeFolder } from '../host/install.ts';
import type { ProcessId } from '../host/processes.ts';
import type { Disk } from '../host/types.ts';
import { ROOT_OWNER } from '../targets/host-layout.ts';
import type { HostPath } from '../targets/types.ts';
import type { NodeHost } from './host.ts';
import { statePath } from './state-file.ts';

export type Role = 'agent' | 'guard';
export type Claim = { readonly role: Role; readonly process: ProcessId };

export const claimName = ({ role, process: p }: Claim): string => `claim-${role}-${p.pid}-${p.start}-${p.boot}`;

export function parseClaim(name: string): Claim | null {
  const [, role, pid, start, boot] = /^claim-(agent|guard)-(\d+)-(\d+)-([\w-]*)$/.exec(name) ?? [];
  if (role === undefined || boot === undefined) return null;
  return { role: role === 'agent' ? 'agent' : 'guard', process: { pid: Number(pid), start: Number(start), boot } };
}

export type Verdict = {
  /** A living process of another claim stands in the way. */
  readonly busy: Claim | null;
  /** Names of claims whose process is gone. */
  readonly stale: readonly string[];
};

/** Names of a folder, and which of the processes they name live. `mine` never stands in its own way. */
export function judgeClaims(names: readonly string[], mine: string, lives: (p: ProcessId) => boolean): Verdict {
  const others = names
    .filter((n) => n !== mine)
    .flatMap((name) => {
      const claim = parseClaim(name);
      return claim === null ? [] : [{ name, claim }];
    });
  return {
    busy: others.find((o) => lives(o.claim.process))?.claim ?? null,
    stale: others.filter((o) => !lives(o.claim.process)).map((o) => o.name),
  };
}

async function look(host: NodeHost, stateDir: HostPath, mine: string): Promise<Verdict> {
  const names = (await host.disk.list(stateDir)) ?? [];
  const alive = new Set<string>();
  for (const name of names) {
    const claim = parseClaim(name);
    if (claim !== null && (await host.lives(claim.process))) alive.add(claimName(claim));
  }
  return judgeClaims(names, mine, (p) =>
    (['agent', 'guard'] as const).some((role) => alive.has(claimName({ role, process: p }))),
  );
}

/** Only its name counts. On a full disk it is a second name of the state file, which takes no space. */
async function writeClaim(disk: Disk, stateDir: HostPath, path: HostPath): Promise<void> {
  try {
    await disk.create(path, new Uint8Array(), { kind: 'file', mode: 0o600, owner: ROOT_OWNER });
  } catch (e) {
    if (diskCode(e) !== 'ENOSPC' || (await disk.stat(statePath(stateDir))) === null) throw e;
    await disk.link(statePath(stateDir), path);
  }
}

/** Gives the claim back, and takes the folder with it where nothing else is in it. */
export type Release = () => Promise<void>;

/** One attempt: the claim's release, or who stands in the way. Disk errors throw, with no claim left that lives on. */
export async function takeClaim(
  host: NodeHost,
  stateDir: HostPath,
  role: Role,
): Promise<{ readonly taken: Release } | { readonly busy: Claim }> {
  const mine = claimName({ role, process: await host.me() });
  const path = `${stateDir}/${mine}`;
  const before = await look(host, stateDir, mine);
  if (before.busy !== null) return { busy: before.busy };
  await makeFolder(host.disk, stateDir, 0o700, ROOT_OWNER);
  if ((await host.disk.stat(path)) === null) await writeClaim(host.disk, stateDir, path);
  const after = await look(host, stateDir, mine);
  if (after.busy !== null) {
    await host.disk.remove(path);
    return { busy: after.busy };
  }
  for (const name of after.stale) await host.disk.remove(`${stateDir}/${name}`);
  const release = async (): Promise<void> => {
    await host.disk.remove(path);
    await removeFolder(host.disk, stateDir);
  };
  return { taken: release };
}

type Waiting = {
  readonly role: Role;
  readonly pollMs: number;
  /** Told once for each new obstacle: a living claim, or what the disk says. */
  readonly onObstacle: (what: Claim | Error) => void;
  readonly signal: AbortSignal;
};

const nameOf = (what: Claim | Error): string => (what instanceof Error ? what.message : claimName(what));

/** Tries until the claim is taken; null when the signal has aborted. A disk that fails is tried again. */
export async function waitForClaim(host: NodeHost, stateDir: HostPath, w: Waiting): Promise<Release | null> {
  let told = '';
  while (!w.signal.aborted) {
    const got = await takeClaim(host, stateDir, w.role).catch((e: unknown) => {
      if (e instanceof Error && diskCode(e) !== null) return { busy: e };
      throw e;
    });
    if ('taken' in got) return got.taken;
    if (told !== nameOf(got.busy)) w.onObstacle(got.busy);
    told = nameOf(got.busy);
    await host.sleep(w.pollMs, w.signal).catch((e: unknown) => {
      if (!w.signal.aborted) throw e;
    });
  }
  return null;
}
