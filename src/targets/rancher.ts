/**
 * K3s and RKE2: kube-apiserver is started by another program, whose configuration says its arguments. Turns a revision into
 * a drop-in of our own that is read last and appends (`kube-apiserver-arg+:`; a plain key would replace the user's list), so
 * that no file of anybody else is edited. Refuses what such a drop-in cannot win over: the unit's command line, a later
 * file, a flag that cannot be unsaid. `patch`, `diff`, the node room and the agent use it.
 */
import type { Finding } from '../api/findings.ts';
import { minorNumber } from '../api/versions.ts';
import { checkLogPath } from '../render/log-path.ts';
import type { Revision } from '../render/types.ts';
import { adoptionFindings } from './adoption.ts';
import { auditFlagsOf, flagValue, outvote, portOf, sameValue, withoutIdle, withoutOff } from './audit-flags.ts';
import { bookReads, cleanup, fileChange, recordChanges, recordFor, withText } from './bookkeeping.ts';
import { fileDrift, flagDrift } from './drift.ts';
import { isWithin, logFileOf, resolveFlags, revisionChanges, ROOT_OWNER } from './host-layout.ts';
import type { HostLayout, ResolvedFlag } from './host-layout.ts';
import { isInPlace, namedFiles } from './in-place.ts';
import type { SetUp } from './in-place.ts';
import { logChanges, logPlaceFindings, logTakenFindings } from './log-place.ts';
import { ARG, commandFlags, fileFlags, lastOption, rke2Defaults } from './rancher/args.ts';
import { configReads, readConfigs } from './rancher/config.ts';
import type { ConfigFile } from './rancher/config.ts';
import { recordOf } from './record.ts';
import type { Books } from './record.ts';
import { refusal } from './refusal.ts';
import { specific } from './server.ts';
import type { ServerView } from './server.ts';
import type { Argument } from './systemd/environment.ts';
import { commandOf, loadUnit, unitReads, variablesOf } from './systemd/unit.ts';
import type { HostChange, HostObserved, HostPath, HostRead, HostTarget, Plan } from './types.ts';

export type RancherSpec = {
  readonly layout: HostLayout;
  /** As SystemdSpec.adopts. */
  readonly adopts?: boolean;
};

type Distro = {
  readonly name: 'k3s' | 'rke2';
  readonly unit: string;
  readonly dataDir: HostPath;
  /** A static pod of the kubelet, whose process shows its flags; else a part of the program itself. */
  readonly pod: boolean;
};

const K3S: Distro = { name: 'k3s', unit: 'k3s.service', dataDir: '/var/lib/rancher/k3s', pod: false };
const RKE2: Distro = { name: 'rke2', unit: 'rke2-server.service', dataDir: '/var/lib/rancher/rke2', pod: true };

const DROP_IN = '99-auditconfig.yaml';
const configDir = (d: Distro): HostPath => `/etc/rancher/${d.name}`;
const dropInOf = (d: Distro): HostPath => `${configDir(d)}/config.yaml.d/${DROP_IN}`;
const booksOf = (d: Distro, layout: HostLayout): Books => ({ of: dropInOf(d), layout });

type Read<T> = { readonly ok: T } | { readonly refused: readonly Finding[] };

type Place = {
  readonly files: readonly ConfigFile[];
  /** Of the unit's command line, behind the program's name. */
  readonly args: readonly Argument[];
  readonly dataDir: HostPath;
  /** Every audit flag in effect. */
  readonly flags: ReadonlyMap<string, string>;
  /** The words that the API server gets, as far as files tell. */
  readonly words: readonly string[];
};

/** Where the configuration lies is told by an option or a variable; then our drop-in would lie beside the wrong file. */
function configElsewhere(d: Distro, args: readonly Argument[], variable: string | undefined): string | undefined {
  const option = ['config', 'c'].map((n) => lastOption([], args, n)).find((v) => v !== undefined);
  const short = args[args.findIndex((a) => a.text === '-c') + 1]?.text;
  const named = option ?? (args.some((a) => a.text === '-c') ? short : undefined) ?? variable;
  return named === undefined || named === `${configDir(d)}/config.yaml` ? undefined : named;
}

function locate(d: Distro, seen: HostObserved): Read<Place> {
  const unit = loadUnit(d.unit, seen);
  if ('refused' in unit) return unit;
  const command = commandOf(unit.ok, d.name, seen);
  if ('refused' in command) return command;
  const { args } = command.ok;
  const variable = variablesOf(unit.ok, seen).get(d.name === 'k3s' ? 'K3S_CONFIG_FILE' : 'RKE2_CONFIG_FILE');
  const elsewhere = configElsewhere(d, args, variable);
  if (elsewhere !== undefined)
    return { refused: [refusal('ConfigElsewhere', `${d.unit} reads ${elsewhere}, and a drop-in of ${configDir(d)} would count for nothing.`, command.ok.file)] }; // prettier-ignore
  const files = readConfigs(configDir(d), seen);
  if ('refused' in files) return files;
  const dataDir = lastOption(files.ok, args, 'data-dir') ?? d.dataDir;
  const defaults = d.pod ? rke2Defaults(files.ok, args, dataDir) : [];
  const words = [...defaults, ...fileFlags(files.ok), ...commandFlags(args)];
  return { ok: { files: files.ok, args, dataDir, words, flags: auditFlagsOf(words) } };
}

/** A later file that says the key, and so comes between us and the API server. */
function laterFile(d: Distro, place: Place): Finding | undefined {
  const later = place.files.find((f) => f.path > dropInOf(d) && f.entries.some((e) => e.key === ARG));
  return later === undefined
    ? undefined
    : refusal('DropInNotLast', `${later.path} is read behind ${DROP_IN} and says ${ARG}; give it a name that sorts before.`, later.path); // prettier-ignore
}

const setUpOf = (place: Place): SetUp => ({
  flags: withoutOff(place.flags),
  hostPathOf: (path) => (path.startsWith('/') ? path : null),
  writesLog: () => true,
});

function observe(d: Distro, to: Revision | null, seen: HostObserved, { layout }: RancherSpec): readonly HostRead[] {
  const base = locate(d, withText(seen, dropInOf(d), null));
  const named = 'ok' in base ? namedFiles(setUpOf(base.ok)) : [];
  return [
    ...unitReads(d.unit, seen),
    ...configReads(configDir(d), seen),
    { read: 'File', path: dropInOf(d) },
    ...named.map((path): HostRead => ({ read: 'File', path })),
    ...bookReads(to, seen, booksOf(d, layout)),
  ];
}

const yamlText = (d: Distro, flags: readonly ResolvedFlag[]): string =>
  [
    `# Made by auditconfig: audit flags of ${d.name}'s kube-apiserver. Changes made here are undone; a removal takes this`,
    `# file away. It must be the last one here that says ${ARG}.`,
    `${ARG}+:`,
    ...flags.map((f) => `  - ${JSON.stringify(`${f.name.slice(2)}=${f.value}`)}`),
    '',
  ].join('\n');

/** Whoever speaks last wins, and the command line speaks behind every file. */
function commandLineFindings(d: Distro, place: Place, wanted: readonly ResolvedFlag[]): readonly Finding[] {
  const want = new Map(wanted.map((f) => [f.name, f.value]));
  return [...auditFlagsOf(commandFlags(place.args))]
    .filter(([name, value]) => !sameValue(name, value, want.get(name) ?? '\0'))
    .map(([name]) => refusal('FlagOnCommandLine', `${name} stands in ExecStart= of ${d.unit}, which wins over every file. Move it to ${configDir(d)}/config.yaml.`, name)); // prettier-ignore
}

/** Before its fix of May 2023 (rke2#4136) RKE2 mounted any other log file read-only, and `-` as a folder. */
function oldRke2Findings(d: Distro, to: Revision): readonly Finding[] {
  const old = to.versions.some((v) => minorNumber(v) <= 26);
  const path = logFileOf(to)?.path;
  const stdout = to.flags.some((f) => f.name === '--audit-log-path' && f.value === '-');
  if (!d.pod || !old || (path?.includes('audit.log') ?? !stdout)) return [];
  return [refusal('LogNameNotAuditLog', 'RKE2 1.26 fails at its second start unless the log is a file named audit.log.', '--audit-log-path')]; // prettier-ignore
}

function logFindings(to: Revision, layout: HostLayout): readonly Finding[] {
  const log = logFileOf(to);
  if (log === null) return [];
  const own = [layout.revisionsDir, layout.stateDir].find((x) => isWithin(x, log.dir) || isWithin(log.dir, x));
  const clash = own === undefined ? [] : [refusal('LogFolderForbidden', `The log's folder ${log.dir} holds or lies in ${own}. Use a folder of its own.`)]; // prettier-ignore
  return [...clash, ...checkLogPath(log.path).filter((f) => f.severity === 'error')];
}

type Wanted = {
  /** Of the drop-in; null where none is needed. */
  readonly text: string | null;
  readonly base: Place;
  readonly findings: readonly Finding[];
};

function wantedOf(d: Distro, to: Revision, seen: HostObserved, { layout, adopts }: RancherSpec): Read<Wanted> {
  const base = locate(d, withText(seen, dropInOf(d), null));
  if ('refused' in base) return base;
  const wanted = resolveFlags(to, layout);
  const later = laterFile(d, base.ok);
  const { say, stuck } = outvote(base.ok.flags, wanted);
  const now = locate(d, seen);
  const here = 'ok' in now ? now.ok : base.ok;
  const refused = [
    ...(later === undefined ? [] : [later]),
    ...commandLineFindings(d, base.ok, wanted),
    ...stuck.map((name) => refusal('FlagCannotBeTakenOut', `${name} is set in the configuration of ${d.name} and is not in the revision; a drop-in cannot unset it. Take it out there.`, name)), // prettier-ignore
    ...oldRke2Findings(d, to),
    ...logFindings(to, layout),
    ...logPlaceFindings(to, seen),
    ...logTakenFindings(to, seen, {
      logsTo: here.flags.get('--audit-log-path') ?? null,
      books: booksOf(d, layout),
    }),
  ];
  if (refused.length > 0) return { refused };
  const findings = adoptionFindings(base.ok.flags, new Map(wanted.map((f) => [f.name, f.value])));
  const done = adopts !== false && isInPlace(setUpOf(base.ok), { to, seen, layout });
  return { ok: { text: done ? null : yamlText(d, say), base: base.ok, findings } };
}

/** The drop-in is ours alone, whatever somebody wrote into it. */
const textNow = (d: Distro, seen: HostObserved): string | null => {
  const bytes = seen.files.get(dropInOf(d))?.bytes;
  return bytes === undefined ? null : new TextDecoder().decode(bytes);
};

/** A file of our name that we did not write is somebody's, and stays. */
function foreign(d: Distro, seen: HostObserved, { layout }: RancherSpec): readonly Finding[] {
  const now = textNow(d, seen);
  if (now === null || now.startsWith('# Made by auditconfig:') || recordOf(seen, booksOf(d, layout)) !== null)
    return [];
  return [refusal('DropInTaken', `${dropInOf(d)} is there and was not made here; rename it.`, dropInOf(d))];
}

const folderOf = (d: Distro, seen: HostObserved): readonly HostChange[] =>
  (seen.stats.get(`${configDir(d)}/config.yaml.d`) ?? null) === null
    ? [{ do: 'MakeDir', path: `${configDir(d)}/config.yaml.d`, mode: 0o755, owner: ROOT_OWNER }]
    : [];

const restartOf = (d: Distro, change: readonly HostChange[]): readonly HostChange[] =>
  change.length === 0 ? [] : [{ do: 'RestartUnit', unit: d.unit, reload: false }];

function install(d: Distro, to: Revision, seen: HostObserved, spec: RancherSpec): Plan<HostChange> {
  const taken = foreign(d, seen, spec);
  if (taken.length > 0) return { refused: taken };
  const wanted = wantedOf(d, to, seen, spec);
  if ('refused' in wanted) return wanted;
  const { text, base, findings } = wanted.ok;
  const books = booksOf(d, spec.layout);
  const folder = text === null ? [] : folderOf(d, seen);
  const recorded = { manifest: dropInOf(d), adopted: base.flags, before: null, after: text };
  const record = recordFor(to, recorded, seen, books);
  const made = [...new Set([...record.made, ...folder.map((f) => ('path' in f ? f.path : ''))])];
  const change = fileChange(dropInOf(d), text, seen);
  return {
    changes: [
      ...(text === null ? [] : revisionChanges(to, seen, spec.layout, ROOT_OWNER)),
      ...(text === null ? [] : logChanges(to, seen, ROOT_OWNER)),
      ...recordChanges({ ...record, made }, seen, books),
      ...folder,
      ...change,
      ...restartOf(d, change),
    ],
    findings,
    restarts: change.length > 0,
  };
}

function remove(d: Distro, seen: HostObserved, spec: RancherSpec): Plan<HostChange> {
  const taken = foreign(d, seen, spec);
  const change = taken.length > 0 ? [] : fileChange(dropInOf(d), null, seen);
  const restart = 'ok' in locate(d, seen) ? restartOf(d, change) : [];
  return {
    changes: [...change, ...restart, ...cleanup(seen, booksOf(d, spec.layout))],
    findings: [],
    restarts: restart.length > 0,
  };
}

function verify(d: Distro, to: Revision | null, seen: HostObserved, spec: RancherSpec): readonly Finding[] {
  const mine = textNow(d, seen) !== null && foreign(d, seen, spec).length === 0;
  if (to === null) return mine ? [refusal('NotRemoved', `${dropInOf(d)} is still there.`)] : [];
  const here = locate(d, seen);
  if ('refused' in here) return here.refused;
  const input = { to, seen, layout: spec.layout };
  if (!mine && isInPlace(setUpOf(here.ok), input)) return [];
  const later = laterFile(d, here.ok);
  const base = locate(d, withText(seen, dropInOf(d), null));
  const theirs = 'ok' in base ? base.ok.flags : new Map<string, string>();
  const flags = withoutIdle(here.ok.flags, theirs, resolveFlags(to, spec.layout));
  return [
    ...(later === undefined ? [] : [later]),
    ...flagDrift(flags, to, spec.layout),
    ...fileDrift(to, seen, spec.layout),
  ];
}

function server(d: Distro, seen: HostObserved): ServerView | null {
  const here = locate(d, seen);
  if ('refused' in here) return null;
  const { files, args, words, flags } = here.ok;
  const bind = lastOption(files, args, 'bind-address') ?? flagValue(words, '--bind-address') ?? '';
  const port = d.pod ? portOf(words) : Number(lastOption(files, args, 'https-listen-port') ?? 6443);
  return {
    runs: d.pod
      ? { in: 'Pod', namespace: 'kube-system', name: 'kube-apiserver', container: 'kube-apiserver' }
      : { in: 'Unit', unit: d.unit, showsFlags: false },
    restart: { unit: d.unit, reload: false },
    image: '',
    address: { host: bind === '' || bind === '0.0.0.0' ? '127.0.0.1' : bind === '::' ? '::1' : bind, port },
    advertised: lastOption(files, args, 'advertise-address') ?? specific(bind),
    auditFlags: flags,
    // Both switch it off unless told otherwise (k3s pkg/daemons/control/server.go).
    anonymous: flagValue(words, '--anonymous-auth') === 'true',
  };
}

const rancher = (d: Distro): HostTarget<RancherSpec> => ({
  observe: (to, seen, spec) => observe(d, to, seen, spec),
  plan: (to, seen, spec) => (to === null ? remove(d, seen, spec) : install(d, to, seen, spec)),
  verify: (to, seen, spec) => verify(d, to, seen, spec),
  sources: (seen) => [...unitReads(d.unit, seen), ...configReads(configDir(d), seen)],
  named: (seen) => {
    const here = locate(d, seen);
    return 'ok' in here ? namedFiles(setUpOf(here.ok)) : [];
  },
  // Our drop-in is ours alone.
  changed: (_before, seen) => ('ok' in locate(d, seen) ? 'Ours' : 'Unreadable'),
  edited: (seen) => ('ok' in locate(d, seen) ? dropInOf(d) : null),
  server: (seen) => server(d, seen),
  // Nobody else's words are in our drop-in.
  revert: (_current, image) => image.before,
});

export const k3s = rancher(K3S);
export const rke2 = rancher(RKE2);

/** Our drop-in on a host that has no audit flags yet, for those who bring it there by other means. */
export function dropInFor(kind: 'K3s' | 'RKE2', to: Revision, layout: HostLayout): { path: HostPath; text: string } {
  const d = kind === 'K3s' ? K3S : RKE2;
  return { path: dropInOf(d), text: yamlText(d, resolveFlags(to, layout)) };
}
