/**
 * Reads one file of a systemd unit as systemd does (systemd.syntax; src/shared/conf-parser.c): sections, assignments,
 * lines that continue behind a backslash with comment lines in between. Each character of a value keeps its place in the
 * text, so that an edit can leave every other byte alone. Called by unit.ts and edit.ts.
 */
import type { Position } from '../../api/findings.ts';

export type Assignment = {
  readonly section: string;
  readonly key: string;
  /** Continued lines joined; a backslash at a line's end is a space. */
  readonly value: string;
  /** Of each character of `value`, where it stands in the text. */
  readonly offsets: readonly number[];
  /** Where the line begins. */
  readonly offset: number;
};

export type Line = {
  readonly text: string;
  readonly offsets: readonly number[];
};

export type UnitFile = {
  readonly text: string;
  readonly assignments: readonly Assignment[];
  /** Lines that systemd passes over with no more than a warning: arguments that lost their continuation, above all. */
  readonly ignored: readonly (Line & { readonly why: 'NoSection' | 'NotAnAssignment' | 'LooksLikeArgument' })[];
};

/** Line and column from 1, the column in code points. */
export function positionOf(text: string, offset: number): Position {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  const column = [...before.slice(before.lastIndexOf('\n') + 1)].length + 1;
  return { offset: new TextEncoder().encode(before).length, line, column };
}

/** An odd number of backslashes at the end: systemd looks at escapes from the line's beginning. */
function continues(text: string): boolean {
  let escaped = false;
  for (const c of text) escaped = !escaped && c === '\\';
  return escaped;
}

type Physical = { readonly text: string; readonly offset: number };

/** Lines without their ends and without white space in front. */
function physicalLines(text: string): readonly Physical[] {
  const lines: Physical[] = [];
  let at = text.startsWith('\u{feff}') ? 1 : 0;
  while (at < text.length) {
    const end = text.indexOf('\n', at);
    const stop = end < 0 ? text.length : end;
    const raw = text.slice(at, stop).replace(/\r$/, '');
    const lead = /^[ \t\r]*/.exec(raw)?.[0].length ?? 0;
    lines.push({ text: raw.slice(lead), offset: at + lead });
    at = stop + 1;
  }
  return lines;
}

/** Lines as systemd sees them: comments left out, continued ones joined. */
function logicalLines(text: string): readonly Line[] {
  const lines: Line[] = [];
  let open: Line | null = null;
  for (const p of physicalLines(text)) {
    if (p.text.startsWith('#') || p.text.startsWith(';')) continue;
    const offsets: readonly number[] = [
      ...(open?.offsets ?? []),
      ...Array.from({ length: p.text.length }, (_, i) => p.offset + i),
    ];
    const joined: string = (open?.text ?? '') + p.text;
    open = continues(joined) ? { text: `${joined.slice(0, -1)} `, offsets } : null;
    if (open === null) lines.push({ text: joined, offsets });
  }
  return open === null ? lines : [...lines, open];
}

/** Without white space at both ends. */
function trimmed({ text, offsets }: Line): Line {
  const lead = /^\s*/.exec(text)?.[0].length ?? 0;
  const end = text.trimEnd().length;
  return { text: text.slice(lead, Math.max(lead, end)), offsets: offsets.slice(lead, Math.max(lead, end)) };
}

const cut = ({ text, offsets }: Line, from: number, to = text.length): Line =>
  trimmed({ text: text.slice(from, to), offsets: offsets.slice(from, to) });

export function readUnitFile(text: string): UnitFile {
  const assignments: Assignment[] = [];
  const ignored: UnitFile['ignored'][number][] = [];
  let section: string | null = null;
  for (const line of logicalLines(text).map(trimmed)) {
    const [offset] = line.offsets;
    if (offset === undefined) continue;
    const header = /^\[([^\]]*)\]$/.exec(line.text);
    const equals = line.text.indexOf('=');
    const key = cut(line, 0, Math.max(0, equals)).text;
    if (header !== null) section = header[1] ?? '';
    else if (line.text.startsWith('-')) ignored.push({ ...line, why: 'LooksLikeArgument' });
    else if (equals <= 0) ignored.push({ ...line, why: 'NotAnAssignment' });
    else if (section === null) {
      ignored.push({ ...line, why: 'NoSection' });
      assignments.push({ section: '', key, ...valueOf(cut(line, equals + 1)), offset });
    } else assignments.push({ section, key, ...valueOf(cut(line, equals + 1)), offset });
  }
  return { text, assignments, ignored };
}

const valueOf = ({ text, offsets }: Line): Pick<Assignment, 'value' | 'offsets'> => ({ value: text, offsets });
