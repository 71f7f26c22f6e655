/**
 * What variables and specifiers in a command line stand for (systemd.exec: Environment=, EnvironmentFile=;
 * systemd.service: `$NAME` as a word of its own is split into words, `${NAME}` is not). Only as far as files tell: what
 * systemd itself or a manager sets is not known here, and counts as empty. Called by unit.ts.
 */
import { splitText } from './words.ts';
import type { Word } from './words.ts';

export type Variables = ReadonlyMap<string, string>;

/** A word that the program gets, and the word of the file that it comes from. */
export type Argument = {
  readonly text: string;
  readonly word: Word;
  /** It stands in a variable's value, not in the command line: there it cannot be edited from here. */
  readonly fromVariable: boolean;
};

/** An EnvironmentFile: `NAME=value` lines, quotes taken off, `#` and `;` comments, continued behind a backslash. */
export function readEnvironmentFile(text: string): Variables {
  const joined = text.replace(/\\\r?\n/g, '');
  const pairs = joined.split(/\r?\n/).flatMap((line): [string, string][] => {
    const m = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line);
    if (m?.[1] === undefined || /^\s*[#;]/.test(line)) return [];
    const raw = (m[2] ?? '').trim();
    const quoted = /^(["'])([\s\S]*)\1$/.exec(raw);
    return [[m[1], quoted === null ? raw : (quoted[2] ?? '')]];
  });
  return new Map(pairs);
}

/** `Environment=A=1 "B=2 3"`. */
export function readEnvironment(value: string): Variables {
  const pairs = splitText(value).map((w): [string, string] => [w.split('=')[0] ?? '', w.slice(w.indexOf('=') + 1)]);
  return new Map(pairs);
}

/** `%n` and its kin, as far as they follow from the unit's name; null where there is another one. */
export function expandSpecifiers(text: string, unit: string): string | null {
  const stem = unit.replace(/\.service$/, '');
  const known: Readonly<Record<string, string>> = { '%': '%', n: unit, N: stem, p: stem, P: stem, i: '', I: '' };
  let clear = true;
  const out = text.replace(/%(.)/g, (all, c: string) => {
    const value = known[c];
    if (value === undefined) clear = false;
    return value ?? all;
  });
  return clear ? out : null;
}

const inline = (text: string, variables: Variables): string =>
  text.replace(/\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (all, name: string | undefined) =>
    name === undefined ? '$' : (variables.get(name) ?? (all === '$$' ? '$' : '')),
  );

/** The words that the program gets. */
export function expandWords(words: readonly Word[], variables: Variables, unit: string): readonly Argument[] {
  return words.flatMap((word): Argument[] => {
    const bare = /^\$([A-Za-z_][A-Za-z0-9_]*)$/.exec(word.text)?.[1];
    if (bare !== undefined)
      return splitText(variables.get(bare) ?? '').map((text) => ({ text, word, fromVariable: true }));
    const text = inline(expandSpecifiers(word.text, unit) ?? word.text, variables);
    return [{ text, word, fromVariable: false }];
  });
}
