/**
 * Systemd: kube-apiserver runs from a unit. Turns a revision and the files that were read into changes: the revision's
 * files, a record of what was there before, and last the unit's ExecStart, of which only audit flags are edited
 * (docs/decisions/0006), then a reload and a restart. Refuses units whose arguments cannot be told, with line and column
 * where a continuation is missing. `patch`, `diff`, the node room and the agent use it.
 */
import type { Finding } from '../api/findings.ts';
import type { Revision } from '../render/types.ts';
import { adoptionFindings, RECORD_MISSING } from './adoption.ts';
import { flagValue, hostOf, portOf, withoutIdle, withoutOff } from './audit-flags.ts';
import { bookReads, cleanup, fileChange, recordChanges, recordFor, withText } from './bookkeeping.ts';
import { fileDrift, flagDrift } from './drift.ts';
import { logFileOf, isWithin, resolveFlags, revisionChanges } from './host-layout.ts';
import type { HostLayout } from './host-layout.ts';
import { isInPlace, namedFiles } from './in-place.ts';
import type { SetUp } from './in-place.ts';
import { logChanges, logPlaceFindings, logTakenFindings } from './log-place.ts';
import { recordOf, textsOf } from './record.ts';
import type { Books } from './record.ts';
import { refusal } from './refusal.ts';
import { specific } from './server.ts';
import type { ServerView } from './server.ts';
import { editCommand } from './systemd/edit.ts';
import { effective, flagOps, flagsOf, isOurs, otherWords, outsideFlags } from './systemd/flags.ts';
import { ownerOf, PASSWD, sandboxFindings } from './systemd/sandbox.ts';
import { revertEdit, undo } from './systemd/undo.ts';
import type { ReadAs } from './systemd/undo.ts';
import { commandOf, loadUnit, lostArguments, UNIT_DIRS, unitReads } from './systemd/unit.ts';
import type { Command, Unit } from './systemd/unit.ts';
import type { HostChange, HostObserved, HostPath, HostRead, HostTarget, Owner, Plan } from './types.ts';

export type SystemdSpec = {
  /** `kube-apiserver.service`, as a rule. */
  readonly unit: string;
  /** Where the unit's file and its drop-ins lie, if that is none of systemd's folders: a copy to work on. */
  readonly dir?: HostPath;
  readonly layout: HostLayout;
  /** False: what was set by hand is taken over with a restart, though it looks right: who knows what was loaded. */
  readonly adopts?: boolean;
};

type Read<T> = { readonly ok: T } | { readonly refused: readonly Finding[] };

/** Named by the unit, not by the file: a drop-in that takes over ExecStart is still the same place. */
const booksOf = ({ unit, dir, layout }: SystemdSpec): Books => ({
  of: `${dir ?? '/etc/systemd/system'}/${unit}`,
  layout,
});

const dirsOf = ({ dir }: SystemdSpec): readonly HostPath[] => (dir === undefined ? UNIT_DIRS : [dir]);

const PROGRAM = 'kube-apiserver';

type Place = { readonly unit: Unit; readonly command: Command };

function locate(seen: HostObserved, spec: SystemdSpec): Read<Place> {
  const unit = loadUnit(spec.unit, seen, dirsOf(spec));
  if ('refused' in unit) return unit;
  const lost = lostArguments(unit.ok);
  if (lost.length > 0) return { refused: lost };
  const command = commandOf(unit.ok, PROGRAM, seen);
  if ('refused' in command) return command;
  if (command.ok.file.startsWith('/run/'))
    return { refused: [refusal('UnitNotPersistent', `ExecStart= stands in ${command.ok.file}, which is gone after a reboot: whoever writes that file must be configured.`, command.ok.file)] }; // prettier-ignore
  if (seen.stats.get(command.ok.file)?.kind === 'link')
    return { refused: [refusal('UnitIsLink', `${command.ok.file} is a symbolic link; an edit would cut the link. Write the drop-in there as a file.`, command.ok.file)] }; // prettier-ignore
  return { ok: { unit: unit.ok, command: command.ok } };
}

const readAs =
  (file: HostPath, seen: HostObserved, spec: SystemdSpec): ReadAs =>
  (text) => {
    const there = locate(withText(seen, file, text), spec);
    return 'ok' in there && there.ok.command.file === file ? there.ok.command : null;
  };

function observe(to: Revision | null, seen: HostObserved, spec: SystemdSpec): readonly HostRead[] {
  const file = (path: HostPath): HostRead => ({ read: 'File', path });
  const here = locate(seen, spec);
  const named = 'ok' in here ? namedFiles(setUpOf(here.ok)) : [];
  const recorded = recordOf(seen, booksOf(spec))?.manifest;
  return [
    ...unitReads(spec.unit, seen, dirsOf(spec)),
    file(PASSWD),
    ...named.map(file),
    ...(recorded === undefined ? [] : [file(recorded)]),
    ...bookReads(to, seen, booksOf(spec)),
  ];
}

const setUpOf = ({ unit, command }: Place): SetUp => ({
  flags: withoutOff(effective(command)),
  hostPathOf: (path) => (path.startsWith('/') ? path : null),
  writesLog: (to) => logFindings(unit, to, null).length === 0,
});

/** The log's folder becomes the API server's to write in: not one of ours, and one that its sandbox lets it write. */
function logFindings(unit: Unit, to: Revision, layout: HostLayout | null): readonly Finding[] {
  const log = logFileOf(to);
  const own = [layout?.revisionsDir, layout?.stateDir, '/etc/systemd'].filter((d) => d !== undefined);
  const clash = log === null ? undefined : own.find((d) => isWithin(d, log.dir) || isWithin(log.dir, d));
  return [
    ...(clash === undefined
      ? []
      : [refusal('LogFolderForbidden', `The log's folder ${log?.dir ?? ''} holds or lies in ${clash}. Use a folder of its own, such as /var/log/kube-audit.`)]), // prettier-ignore
    ...sandboxFindings(unit, { log: log?.dir ?? null, revisions: layout?.revisionsDir ?? '/' }),
  ];
}

type Seen = Place & {
  /** The place as it would be without us. */
  readonly base: Place;
  readonly writer: Owner;
  readonly findings: readonly Finding[];
  /** Our edit in a file whose ExecStart counts no more. */
  readonly elsewhere: readonly HostChange[];
};

/** A drop-in of somebody else has taken over: what we left in the former file goes, and nobody notices. */
function leftElsewhere(file: HostPath, seen: HostObserved, spec: SystemdSpec): readonly HostChange[] {
  const record = recordOf(seen, booksOf(spec));
  if (record === null || record.manifest === file || record.before === null) return [];
  const bytes = seen.files.get(record.manifest)?.bytes;
  if (bytes === undefined || new TextDecoder().decode(bytes) !== record.after) return [];
  return fileChange(record.manifest, record.before, seen);
}

/** What stands there now, and what would without us. */
function read(seen: HostObserved, spec: SystemdSpec): Read<Seen> {
  const here = locate(seen, spec);
  if ('refused' in here) return here;
  const { command, unit } = here.ok;
  const record = recordOf(seen, booksOf(spec));
  const texts = record?.manifest === command.file ? textsOf(record) : null;
  const undone = undo(command, texts, spec.layout, readAs(command.file, seen, spec));
  const base = undone === null ? null : locate(withText(seen, command.file, undone.text), spec);
  if (undone === null || base === null || 'refused' in base)
    return { refused: [refusal('EditNotExact', 'Our earlier edit cannot be taken out of this unit without touching more than it.', command.file)] }; // prettier-ignore
  const writer = ownerOf(unit, seen);
  if (writer === null)
    return { refused: [refusal('UserUnknown', `Who ${unit.name} runs as cannot be told from /etc/passwd, and the policy must be readable for that user alone.`, command.file)] }; // prettier-ignore
  const findings = undone.lost ? [RECORD_MISSING] : [];
  return { ok: { ...here.ok, base: base.ok, writer, findings, elsewhere: leftElsewhere(command.file, seen, spec) } };
}

type Wanted = { readonly text: string; readonly done: boolean; readonly findings: readonly Finding[] };

function wantedText(base: Place, to: Revision, seen: HostObserved, spec: SystemdSpec): Read<Wanted> {
  const { command, unit } = base;
  const { dangling } = flagsOf(command);
  if (dangling !== null)
    return { refused: [refusal('FlagWithoutValue', `${dangling.name} has no value, and kube-apiserver does not start so.`, command.file)] }; // prettier-ignore
  const log = logFindings(unit, to, spec.layout);
  if (log.length > 0) return { refused: log };
  const wanted = resolveFlags(to, spec.layout);
  const names = new Map(wanted.map((f) => [f.name, f.value]));
  const findings = adoptionFindings(effective(command), names);
  if (spec.adopts !== false && isInPlace(setUpOf(base), { to, seen, layout: spec.layout }))
    return { ok: { text: command.text, done: true, findings } };
  const { ops, stuck } = flagOps(command, wanted);
  if (stuck.length > 0)
    return { refused: stuck.map((name) => refusal('FlagCannotBeTakenOut', `${name} stands in a variable's value and is not in the revision; take it out there.`, name)) }; // prettier-ignore
  const text = editCommand(command, ops);
  if (text === null)
    return { refused: [refusal('EditNotExact', 'This unit is laid out so that the edit would touch more than it should. Write its arguments one a line.', command.file)] }; // prettier-ignore
  return { ok: { text, done: false, findings } };
}

const restartOf = (now: Seen, text: string, spec: SystemdSpec): readonly HostChange[] =>
  text === now.command.text ? [] : [{ do: 'RestartUnit', unit: spec.unit, reload: true }];

function install(to: Revision, seen: HostObserved, spec: SystemdSpec): Plan<HostChange> {
  const now = read(seen, spec);
  if ('refused' in now) return now;
  const { base, writer, command } = now.ok;
  const wanted = wantedText(base, to, seen, spec);
  if ('refused' in wanted) return wanted;
  const books = booksOf(spec);
  const logsTo = effective(command).get('--audit-log-path') ?? null;
  const place = [...logPlaceFindings(to, seen), ...logTakenFindings(to, seen, { logsTo, books })];
  if (place.length > 0) return { refused: place };
  const { text, done } = wanted.ok;
  const adopted = effective(base.command);
  const record = recordFor(to, { manifest: command.file, adopted, before: base.command.text, after: text }, seen, books); // prettier-ignore
  const restart = restartOf(now.ok, text, spec);
  return {
    changes: [
      ...(done ? [] : revisionChanges(to, seen, spec.layout, writer)),
      ...(done ? [] : logChanges(to, seen, writer, books)),
      ...now.ok.elsewhere,
      ...recordChanges(record, seen, books),
      ...fileChange(command.file, text, seen),
      ...restart,
    ],
    findings: [...now.ok.findings, ...wanted.ok.findings],
    restarts: restart.length > 0,
  };
}

function remove(seen: HostObserved, spec: SystemdSpec): Plan<HostChange> {
  const unit = loadUnit(spec.unit, seen, dirsOf(spec));
  // A node whose API server was taken away keeps none of our files either.
  if ('refused' in unit && unit.refused.some((f) => f.code === 'UnitMissing'))
    return { changes: cleanup(seen, booksOf(spec)), findings: [], restarts: false };
  const now = read(seen, spec);
  if ('refused' in now) return now;
  const { text } = now.ok.base.command;
  const restart = restartOf(now.ok, text, spec);
  return {
    changes: [
      ...now.ok.elsewhere,
      ...fileChange(now.ok.command.file, text, seen),
      ...restart,
      ...cleanup(seen, booksOf(spec)),
    ],
    findings: now.ok.findings,
    restarts: restart.length > 0,
  };
}

function verify(to: Revision | null, seen: HostObserved, spec: SystemdSpec): readonly Finding[] {
  const here = locate(seen, spec);
  if ('refused' in here) return to === null && here.refused.some((f) => f.code === 'UnitMissing') ? [] : here.refused;
  const { command, unit } = here.ok;
  const ours = isOurs(command, spec.layout);
  if (to === null) return ours ? [refusal('NotRemoved', `${command.file} still holds our flags.`)] : [];
  if (!ours && isInPlace(setUpOf(here.ok), { to, seen, layout: spec.layout })) return [];
  const flags = withoutIdle(effective(command), outsideFlags(command), resolveFlags(to, spec.layout));
  return [
    ...flagDrift(flags, to, spec.layout),
    ...logFindings(unit, to, spec.layout),
    ...fileDrift(to, seen, spec.layout),
  ];
}

function server(seen: HostObserved, spec: SystemdSpec): ServerView | null {
  const here = locate(seen, spec);
  if ('refused' in here) return null;
  const words = here.ok.command.args.map((a) => a.text);
  return {
    runs: { in: 'Unit', unit: spec.unit, showsFlags: true },
    restart: { unit: spec.unit, reload: true },
    image: '',
    address: { host: hostOf(words), port: portOf(words) },
    advertised: flagValue(words, '--advertise-address') ?? specific(flagValue(words, '--bind-address')),
    auditFlags: effective(here.ok.command),
    anonymous: flagValue(words, '--anonymous-auth') !== 'false',
  };
}

export const systemd: HostTarget<SystemdSpec> = {
  observe,
  plan: (to, seen, spec) => (to === null ? remove(seen, spec) : install(to, seen, spec)),
  verify,
  sources: (seen, spec) => unitReads(spec.unit, seen),
  named: (seen, spec) => {
    const here = locate(seen, spec);
    return 'ok' in here ? namedFiles(setUpOf(here.ok)) : [];
  },
  changed: (before, seen, spec) => {
    const here = locate(seen, spec);
    if ('refused' in here) return 'Unreadable';
    const { command } = here.ok;
    const was = before === null ? null : readAs(command.file, seen, spec)(before);
    if (was === null) return 'Rewrite';
    const [now, then] = [otherWords(command), otherWords(was)];
    if (now[0] !== then[0]) return 'Upgrade';
    return now.join('\0') === then.join('\0') ? 'Ours' : 'Rewrite';
  },
  edited: (seen, spec) => {
    const here = locate(seen, spec);
    return 'ok' in here ? here.ok.command.file : null;
  },
  server,
  revert: (current, image, seen, spec) => {
    const file = systemd.edited(seen, spec);
    if (file === null || image.before === null || image.after === null) return undefined;
    const as = readAs(file, seen, spec);
    const command = as(current);
    if (command === null) return undefined;
    return revertEdit(command, { before: image.before, after: image.after }, as) ?? undefined;
  },
};
