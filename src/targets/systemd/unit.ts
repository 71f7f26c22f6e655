/**
 * Puts a unit together from its file and its drop-ins, as systemd does (systemd.unit): which file counts, in which order
 * drop-ins come, what an empty assignment resets. From that: the one command line that starts the program, with the file
 * in which it stands. Called by ../systemd.ts and ../rancher.ts.
 */
import type { Finding } from '../../api/findings.ts';
import { baseOf } from '../host-layout.ts';
import { refusal } from '../refusal.ts';
import type { HostObserved, HostPath, HostRead } from '../types.ts';
import { expandSpecifiers, expandWords, readEnvironment, readEnvironmentFile } from './environment.ts';
import type { Argument, Variables } from './environment.ts';
import { positionOf, readUnitFile } from './unit-file.ts';
import type { Assignment, UnitFile } from './unit-file.ts';
import { splitWords } from './words.ts';
import type { Word } from './words.ts';

/** In the order in which they win; `/lib` is where Debian's older releases keep theirs. */
export const UNIT_DIRS: readonly HostPath[] = [
  '/etc/systemd/system',
  '/run/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
];

/** `a-b.service` has drop-ins of its own, those of `a-.service` and those of all services. */
function dropInFolders(unit: string): readonly string[] {
  const parts = unit.replace(/\.service$/, '').split('-');
  const prefixes = parts.slice(1).map((_, i) => `${parts.slice(0, i + 1).join('-')}-.service.d`);
  return [`${unit}.d`, ...prefixes.reverse(), 'service.d'];
}

/** Drop-ins by name: a name in a folder that wins hides the same name elsewhere. */
function dropIns(unit: string, seen: HostObserved, dirs: readonly HostPath[]): readonly HostPath[] {
  const byName = new Map<string, HostPath>();
  for (const folder of dropInFolders(unit))
    for (const dir of dirs)
      for (const name of seen.dirs.get(`${dir}/${folder}`) ?? [])
        if (name.endsWith('.conf') && !byName.has(name)) byName.set(name, `${dir}/${folder}/${name}`);
  return [...byName].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path);
}

const fragmentOf = (unit: string, seen: HostObserved, dirs: readonly HostPath[]): HostPath | null =>
  dirs.map((d) => `${d}/${unit}`).find((p) => (seen.stats.get(p) ?? null) !== null) ?? null;

/** What to read for a unit, given what was read so far. `dirs` are systemd's folders, or one in which a copy lies. */
export function unitReads(unit: string, seen: HostObserved, dirs = UNIT_DIRS): readonly HostRead[] {
  const files = [...dirs.map((d) => `${d}/${unit}`), ...dropIns(unit, seen, dirs)];
  const loaded = loadUnit(unit, seen, dirs);
  const more = 'refused' in loaded ? [] : environmentFiles(loaded.ok).map((f) => f.path);
  return [
    ...files.flatMap((path): HostRead[] => [
      { read: 'Stat', path },
      { read: 'File', path },
    ]),
    ...dirs.flatMap((d) => dropInFolders(unit).map((f): HostRead => ({ read: 'Dir', path: `${d}/${f}` }))),
    ...more.map((path): HostRead => ({ read: 'File', path })),
  ];
}

export type Placed = Assignment & { readonly file: HostPath };

export type Unit = {
  readonly name: string;
  readonly files: readonly { readonly path: HostPath; readonly file: UnitFile }[];
  /** In the order in which systemd takes them. */
  readonly assignments: readonly Placed[];
};

type Read<T> = { readonly ok: T } | { readonly refused: readonly Finding[] };
const no = (code: string, message: string, path = ''): { readonly refused: readonly Finding[] } => ({
  refused: [refusal(code, message, path)],
});

const textAt = (path: HostPath, seen: HostObserved): string | null => {
  const bytes = seen.files.get(path)?.bytes;
  if (bytes === undefined) return null;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
};

export function loadUnit(unit: string, seen: HostObserved, dirs = UNIT_DIRS): Read<Unit> {
  const path = fragmentOf(unit, seen, dirs);
  if (path === null)
    return no(
      'UnitMissing',
      `There is no unit ${unit} in ${dirs === UNIT_DIRS ? "systemd's folders" : dirs.join(', ')}.`,
    );
  if (seen.stats.get(path)?.kind === 'link')
    return no('UnitIsLink', `${path} is a symbolic link (or masked); an edit would cut the link. Write the unit there as a file.`, path); // prettier-ignore
  // systemd follows links to drop-ins; one to /dev/null is an empty file, which only hides others of its name.
  const files = [path, ...dropIns(unit, seen, dirs)];
  const read = files.flatMap((p) => {
    const text = textAt(p, seen);
    return text === null ? [] : [{ path: p, file: readUnitFile(text) }];
  });
  if (read[0]?.path !== path) return no('UnitUnreadable', `${path} is no text in UTF-8.`, path);
  const assignments = read.flatMap((r) => r.file.assignments.map((a) => ({ ...a, file: r.path })));
  return { ok: { name: unit, files: read, assignments } };
}

/** All that counts of a list setting: an empty assignment forgets what came before it. */
export function listSetting(unit: Unit, key: string): readonly Placed[] {
  const all = unit.assignments.filter((a) => a.section === 'Service' && a.key === key);
  return all.slice(all.findLastIndex((a) => a.value === '') + 1);
}

/** The last one counts; null where it is not set. */
export const setting = (unit: Unit, key: string): string | null =>
  unit.assignments.findLast((a) => a.section === 'Service' && a.key === key)?.value ?? null;

export const isTrue = (value: string | null): boolean => /^(1|y|yes|t|true|on)$/i.test(value ?? '');

function environmentFiles(unit: Unit): readonly { readonly path: HostPath; readonly clear: boolean }[] {
  return listSetting(unit, 'EnvironmentFile').map(({ value }) => {
    const path = expandSpecifiers(value.replace(/^-/, ''), unit.name);
    return { path: path ?? value, clear: path !== null && !/[*?[]/.test(path) };
  });
}

/** EnvironmentFile wins over Environment; of each the later one. */
export function variablesOf(unit: Unit, seen: HostObserved): Variables {
  const inline = listSetting(unit, 'Environment').map((a) => readEnvironment(a.value));
  const files = environmentFiles(unit).map((f) => readEnvironmentFile(textAt(f.path, seen) ?? ''));
  return new Map([...inline, ...files].flatMap((m) => [...m]));
}

/** Arguments that lost their continuation: where the backslash is missing, with line and column. */
export function lostArguments(unit: Unit): readonly Finding[] {
  return unit.files.flatMap(({ path, file }) => {
    const lost = file.ignored.filter((l) => l.why === 'LooksLikeArgument');
    // Of several in a row the first one tells: with its backslash the rest must be looked at again.
    return lost.slice(0, 1).map((line): Finding => {
      const before = file.text.slice(0, line.offsets[0]).trimEnd();
      const doubled = before.endsWith('\\\\');
      const n = lost.length === 1 ? 'This line' : `This line and ${lost.length - 1} more`;
      const why = doubled
        ? 'two backslashes at a line’s end are a backslash, not a continuation (in a shell’s here-document they become one)'
        : 'the line above does not end in a backslash';
      return {
        severity: 'error',
        code: 'ContinuationMissing',
        message: `${n} beginning with ${line.text.split(/[\s=]/)[0] ?? '-'} ${lost.length === 1 ? 'is' : 'are'} no argument: ${why}, so systemd passes over it. End each line but the last in one backslash.`,
        path,
        at: positionOf(file.text, doubled ? before.length - 2 : before.length),
      };
    });
  });
}

export type Command = {
  /** The file in which it stands. */
  readonly file: HostPath;
  readonly text: string;
  /** Which of that file's assignments it is. */
  readonly index: number;
  /** The program first. */
  readonly words: readonly Word[];
  /** What the program gets, without its own name. */
  readonly args: readonly Argument[];
};

const SHELLS = /(^|\/)(ba|da|a|z)?sh$/;

/** The one command that starts the service; `program` is the name that it must have. */
export function commandOf(unit: Unit, program: string, seen: HostObserved): Read<Command> {
  const [only, ...more] = listSetting(unit, 'ExecStart');
  if (only === undefined || more.length > 0)
    return no('ExecStartUnclear', `${unit.name} has ${more.length + (only === undefined ? 0 : 1)} ExecStart= in effect; it is not known which one starts ${program}.`); // prettier-ignore
  const words = splitWords(only);
  if (words === null || words.some((w) => w.text === ';'))
    return no('ExecStartUnclear', 'systemd does not read this ExecStart= as one command.', only.file);
  const first = words[0];
  const name = baseOf((first?.text ?? '').replace(/^[@\-:+!|]+/, ''));
  if (SHELLS.test(name))
    return no('CommandIsShell', 'The unit starts a shell; flags inside a shell script cannot be edited safely.', only.file); // prettier-ignore
  if (first === undefined || name !== program || first.text.startsWith('@'))
    return no('CommandNotUnderstood', `ExecStart= of ${unit.name} does not start ${program} with flags.`, only.file);
  const rest = words.slice(1);
  const unclear = environmentFiles(unit).find((f) => !f.clear);
  if (unclear !== undefined && rest.some((w) => /^\$[A-Za-z_]/.test(w.text)))
    return no('EnvironmentUnclear', `Arguments come from variables, and EnvironmentFile=${unclear.path} cannot be told from here.`, only.file); // prettier-ignore
  const file = unit.files.find((f) => f.path === only.file)?.file;
  if (file === undefined) throw new Error('an assignment of no file');
  return {
    ok: {
      file: only.file,
      text: file.text,
      index: file.assignments.findIndex((a) => a.offset === only.offset),
      words,
      args: expandWords(rest, variablesOf(unit, seen), unit.name),
    },
  };
}
