/**
 * Looks at a node on which a revision was installed: does anything differ from it, who changed how much, and does the
 * process that runs know the right files? Reads the disk and /proc; the API server itself is asked for its health only
 * where something differs. Gathers what src/rollout/drift.ts decides on; the agent calls it.
 */
import type { Finding } from '../api/findings.ts';
import type { ApiServerProcess, ProcessView } from '../host/processes.ts';
import type { Revision } from '../render/types.ts';
import type { DriftFacts, DriftKind } from '../rollout/drift.ts';
import { parentOf, resolveFlags, revisionDir } from '../targets/host-layout.ts';
import { unifiedDiff } from '../targets/diff.ts';
import { parseRecord, recordPath } from '../targets/record.ts';
import type { ServerView } from '../targets/server.ts';
import type { HostObserved, HostPath } from '../targets/types.ts';
import type { DriftMemory } from './drift-file.ts';
import type { NodeHost } from './host.ts';
import type { Place } from './place.ts';
import { hasFlags, lookAt, processesOf } from './running.ts';
import { decode } from './sources.ts';
import { holdPath } from './state-file.ts';

export type ProcessStart = NonNullable<DriftMemory['loaded']>;

export type DriftLook = Pick<DriftFacts, 'hold' | 'kind' | 'health' | 'loaded'> & {
  /** Of the file that is edited. */
  readonly text: string | null;
  /** Of the webhook: those on disk and those that it should have. Written without a restart, and counted by nobody. */
  readonly credentials: 'Same' | 'Differ';
  /** When what differs was last changed, in ms since 1970: that file, or only those that the flags name. */
  readonly changedAt: number | null;
  /** The node room left another text here: somebody else wrote this one. */
  readonly foreign: boolean;
  /** What differs: `-` is there, `+` is wanted. Nothing of a Secret. */
  readonly diff: readonly string[];
  /** The process that runs with the flags that the files say. */
  readonly process: (ProcessStart & { readonly pid: number }) | null;
};

export type DriftPlace = {
  readonly host: NodeHost;
  readonly spec: Place;
  readonly to: Revision;
  /** The edited file as it was when nothing differed; null: not in this life, the record on disk must do. */
  readonly base: string | null;
  /** The process that is known to have started with the right files. */
  readonly known: ProcessStart | null;
  readonly signal: AbortSignal;
};

export async function lookForDrift(p: DriftPlace): Promise<DriftLook> {
  const { host, spec, to, signal } = p;
  const seen = await spec.gather(host.disk, to);
  const all = spec.verify(to, seen);
  // Another certificate or token of the webhook is a rotation, not somebody's hand: no rule of drift is about it.
  const findings = all.filter((f) => f.code !== 'CredentialsDrift');
  const [edited, server] = [spec.edited(seen), spec.server(seen)];
  const bytes = edited === null ? undefined : seen.files.get(edited)?.bytes;
  const text = bytes === undefined ? null : decode(bytes);
  const view = server === null ? await host.processes() : (await lookAt(host, server, signal)).view;
  const running = view === null || server === null ? null : runningAs(view, server);
  const recorded = recordedText(seen, spec);
  const kind = kindOf(findings, seen, () => spec.changed(p.base ?? recorded, seen));
  const named = spec.named(seen);
  const loaded = await loadedBy(p, { files: deciding({ named, edited, server }), findings, view, running });
  const asks = (kind !== 'None' || loaded === 'Unsure') && server !== null;
  return {
    hold: (await host.disk.stat(holdPath(spec.layout.stateDir))) !== null,
    kind,
    credentials: all.length > findings.length ? 'Differ' : 'Same',
    health: asks ? await host.probe(server.address, signal) : 'Down',
    loaded,
    text,
    changedAt: await lastChange(host, kind === 'Files' || kind === 'Gone' ? named : [edited ?? spec.manifest]),
    foreign: recorded !== null && text !== null && text !== recorded,
    diff: kind === 'None' ? [] : diffLines(p, seen, findings, server),
    process:
      view === null || running === null ? null : { boot: view.bootId, start: running.startedAt, pid: running.pid },
  };
}

/** The newest process of this server with exactly the flags that its files say, where it shows them. */
export const runningAs = (view: ProcessView, server: ServerView): ApiServerProcess | null =>
  processesOf(view, server).findLast((p) => hasFlags(p, server)) ?? null;

type Said = {
  readonly named: readonly HostPath[];
  readonly edited: HostPath | null;
  readonly server: ServerView | null;
};

/** Files that a process may have read otherwise than they are now: where it shows no flags, that with the flags too. */
const deciding = ({ named, edited, server }: Said): readonly HostPath[] =>
  server?.runs.in === 'Unit' && !server.runs.showsFlags && edited !== null ? [...named, edited] : named;

/** A file that is not there any more was changed when its folder was. */
async function lastChange(host: NodeHost, paths: readonly HostPath[]): Promise<number | null> {
  const stats = await Promise.all(
    paths.map(async (path) => (await host.disk.stat(path)) ?? (await host.disk.stat(parentOf(path)))),
  );
  const times = stats.flatMap((s) => s?.changedAt ?? []);
  return times.length === 0 ? null : Math.max(...times);
}

function recordedText(seen: HostObserved, { manifest, layout }: Place): string | null {
  const file = seen.files.get(recordPath(manifest, layout)) ?? null;
  return file === null ? null : (parseRecord(file.bytes)?.after ?? null);
}

function kindOf(findings: readonly Finding[], seen: HostObserved, changed: () => DriftKind): DriftKind {
  if (findings.length === 0) return 'None';
  if (findings.some((f) => f.code !== 'FileDrift')) return changed();
  return findings.every((f) => (seen.files.get(f.path) ?? null) === null) ? 'Gone' : 'Files';
}

type Running = {
  readonly files: readonly HostPath[];
  readonly findings: readonly Finding[];
  readonly view: ProcessView | null;
  readonly running: ApiServerProcess | null;
};

/** A kube-apiserver opens its policy later than this after its start, and clocks tick in hundredths of a second. */
const START_MS = 50;

/** Its files are right now, and were last touched before it began: then it read what is there. */
async function loadedBy({ host, known }: DriftPlace, r: Running): Promise<DriftFacts['loaded']> {
  if (r.view === null) return 'Hidden';
  if (r.running === null) return 'None';
  if (known !== null && known.boot === r.view.bootId && known.start === r.running.startedAt) return 'Right';
  if (r.findings.some((f) => f.code === 'FileDrift')) return 'Unsure';
  const stats = await Promise.all(r.files.map((path) => host.disk.stat(path)));
  const touched = stats.map((s) => s?.changedAt);
  if (touched.some((t) => t === undefined)) return 'Hidden';
  const startedAt = host.now() - (r.view.now - r.running.startedAt);
  return touched.every((t) => t !== undefined && t <= startedAt + START_MS) ? 'Right' : 'Unsure';
}

function flagLines(to: Revision, server: ServerView | null, spec: Place): readonly string[] {
  const now = server?.auditFlags ?? new Map<string, string>();
  const want = new Map(resolveFlags(to, spec.layout).map((f) => [f.name, f.value]));
  const line = (sign: string, [name, value]: readonly [string, string]): string => `${sign}${name}=${value}`;
  return [
    ...[...now].filter(([n, v]) => want.get(n) !== v).map((f) => line('-', f)),
    ...[...want].filter(([n, v]) => now.get(n) !== v).map((f) => line('+', f)),
  ];
}

/** Lines of a unified diff that are differences; a policy that came from a Secret, and every kubeconfig, is only named. */
function fileLines({ to, spec }: DriftPlace, seen: HostObserved, path: string): readonly string[] {
  const policy = `${revisionDir(to.digest, spec.layout)}/policy.yaml`;
  if (path !== policy || to.confidential) return [`${path}: not what the revision holds; its content is not shown`];
  const there = seen.files.get(path) ?? null;
  if (there === null) return [`${path}: not there`];
  const diff = unifiedDiff({ name: path, text: decode(there.bytes) }, { name: path, text: decode(to.policy) });
  return [`${path}:`, ...diff.split('\n').filter((l) => /^[-+](?![-+]{2} )/.test(l))];
}

function diffLines(
  p: DriftPlace,
  seen: HostObserved,
  findings: readonly Finding[],
  server: ServerView | null,
): readonly string[] {
  const mounts = findings.filter((f) => f.code === 'MountDrift').map(() => '+a mount that the API server needs');
  const files = findings.filter((f) => f.code === 'FileDrift').map((f) => f.path);
  return [
    ...(server === null ? [] : flagLines(p.to, server, p.spec)),
    ...mounts,
    ...files.flatMap((path) => fileLines(p, seen, path)),
  ];
}
