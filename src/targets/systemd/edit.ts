/**
 * Edits of a command line in a unit's text, by word: what no op names keeps its bytes, comments and continuations. Done
 * twice, to the text and to the list of words, and given only where both agree and no other assignment changed: so a fault
 * here, or a layout that it does not know, ends in a refusal and never in a wrong unit.
 */
import type { Command } from './unit.ts';
import { readUnitFile } from './unit-file.ts';
import { splitWords } from './words.ts';
import type { Word } from './words.ts';

/** Indices of `Command.words`. What is appended comes behind the last word that stays: nothing can come after it. */
export type WordOps = {
  readonly set: ReadonlyMap<number, string>;
  readonly remove: ReadonlySet<number>;
  readonly append: readonly string[];
};

type TextEdit = { readonly from: number; readonly to: number; readonly text: string };

/** Needs neither quotes nor escapes, and holds no variable or specifier. */
const PLAIN = /^[A-Za-z0-9._/=:,@+-]+$/;

const lineStart = (text: string, offset: number): number => text.lastIndexOf('\n', offset - 1) + 1;

function lineEnd(text: string, offset: number): number {
  const n = text.indexOf('\n', offset);
  return n < 0 ? text.length : n + 1;
}

/** Words that go, as runs of neighbours. */
function runsOf(words: readonly Word[], gone: ReadonlySet<number>): readonly (readonly [number, number])[] {
  const runs: [number, number][] = [];
  for (const i of words.keys()) {
    const last = runs.at(-1);
    if (!gone.has(i)) continue;
    if (last !== undefined && last[1] === i - 1) last[1] = i;
    else runs.push([i, i]);
  }
  return runs;
}

/** With whole lines where nothing else stands on them, so that comments in between stay. */
function removal(text: string, words: readonly Word[], [first, last]: readonly [number, number]): readonly TextEdit[] {
  const [a, b, before] = [words[first], words[last], words[first - 1]];
  if (a === undefined || b === undefined || before === undefined) return [];
  const between = text.slice(before.to, b.to);
  const isTail = last === words.length - 1;
  // Without a comment in between: from word to word, the continuation that led here with it.
  if (!/^\s*[#;]/m.test(between.replace(/^[^\n]*\n/, ''))) return [{ from: before.to, to: b.to, text: '' }];
  return byLine(text, words.slice(first, last + 1)).map(({ from, to }): TextEdit => {
    const [start, end] = [lineStart(text, from), lineEnd(text, to)];
    const alone = text.slice(start, from).trim() === '' && /^[ \t]*\\\r?\n$/.test(text.slice(to, end));
    return alone && !(isTail && to === b.to) ? { from: start, to: end, text: '' } : { from, to, text: '' };
  });
}

/** From the first to the last of these words on each line. */
function byLine(text: string, words: readonly Word[]): readonly { readonly from: number; readonly to: number }[] {
  const lines = new Map<number, { from: number; to: number }>();
  for (const { from, to } of words) {
    const start = lineStart(text, from);
    lines.set(start, { from: lines.get(start)?.from ?? from, to });
  }
  return [...lines.values()];
}

function appended(text: string, words: readonly Word[], after: number, values: readonly string[]): readonly TextEdit[] {
  const [head, anchor] = [words[0], words[after]];
  if (head === undefined || anchor === undefined || values.length === 0) return [];
  const start = lineStart(text, anchor.from);
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  const oneLine = lineStart(text, head.from) === lineStart(text, (words.at(-1) ?? head).to);
  const lead = /^[ \t]*/.exec(text.slice(start))?.[0] ?? '';
  const indent = start === lineStart(text, head.from) || lead === '' ? '  ' : lead;
  const glue = oneLine ? ' ' : ` \\${eol}${indent}`;
  return [{ from: anchor.to, to: anchor.to, text: values.map((v) => glue + v).join('') }];
}

/** `text` with all edits, or null where two of them touch the same bytes. */
function splice(text: string, edits: readonly TextEdit[]): string | null {
  let out = '';
  let at = 0;
  for (const e of [...edits].sort((a, b) => a.from - b.from || a.to - b.to)) {
    if (e.from < at) return null;
    out += text.slice(at, e.from) + e.text;
    at = e.to;
  }
  return out + text.slice(at);
}

/** The words that the edited command must have. */
function applyToWords(words: readonly Word[], ops: WordOps): readonly string[] {
  const kept = words.flatMap((w, i) => (ops.remove.has(i) ? [] : [ops.set.get(i) ?? w.text]));
  return [...kept, ...ops.append];
}

const same = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((x, i) => x === b[i]);

/** Every assignment but the command's is what it was, and the command is what was meant. */
function isExact(command: Command, edited: string, ops: WordOps): boolean {
  const [was, is] = [readUnitFile(command.text), readUnitFile(edited)];
  const plain = (f: typeof was): readonly string[] =>
    f.assignments.map((a, i) => (i === command.index ? '' : JSON.stringify([a.section, a.key, a.value])));
  const line = is.assignments[command.index];
  const words = line === undefined ? null : splitWords(line);
  const ignored = (f: typeof was): readonly string[] => f.ignored.map((l) => l.text);
  return (
    same(plain(was), plain(is)) &&
    same(ignored(was), ignored(is)) &&
    words !== null &&
    same(words.map((w) => w.text), applyToWords(command.words, ops)) // prettier-ignore
  );
}

/** The file's text with all ops done; null where it is not exactly what they mean. */
export function editCommand(command: Command, ops: WordOps): string | null {
  const { text, words } = command;
  if ([...ops.set.values(), ...ops.append].some((v) => !PLAIN.test(v))) return null;
  const after = words.findLastIndex((_, i) => !ops.remove.has(i));
  const sets = [...ops.set].flatMap(([i, value]): TextEdit[] => {
    const w = words[i];
    return w === undefined ? [] : [{ from: w.from, to: w.to, text: value }];
  });
  const removals = runsOf(words, ops.remove).flatMap((run) => removal(text, words, run));
  const edited = splice(text, [...sets, ...removals, ...appended(text, words, after, ops.append)]);
  return edited !== null && isExact(command, edited, ops) ? edited : null;
}
