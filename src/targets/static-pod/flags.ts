/**
 * The audit flags among a container's words, and what must happen to the words so that exactly the wanted audit flags are
 * in effect.
 */
import type { Finding } from '../../api/findings.ts';
import { sameValue, scanFlags } from '../audit-flags.ts';
import type { FoundFlag as Found } from '../audit-flags.ts';
import type { ResolvedFlag } from '../host-layout.ts';
import { refusal } from '../refusal.ts';
import { basename, wordTexts } from './manifest.ts';
import type { Manifest, Read } from './manifest.ts';
import type { ListOp } from './ops.ts';

type WordList = 'command' | 'args';
export type Word = { readonly list: WordList; readonly index: number; readonly text: string };

export type FoundFlag = Found<Word>;

export type FlagWords = {
  readonly found: readonly FoundFlag[];
  /** All words from the program's name on, in order. */
  readonly words: readonly Word[];
  readonly findings: readonly Finding[];
};

const SHELLS = new Set(['sh', 'bash', 'dash', 'ash', 'busybox', 'zsh']);

export const pathOf = (w: { readonly list: string; readonly index: number }, m: Manifest): string =>
  `spec.containers[${m.container}].${w.list}[${w.index}]`;

/** The words behind the program's name. */
export function flagWords(m: Manifest): Read<readonly Word[]> {
  const all = (['command', 'args'] as const).flatMap((list) =>
    wordTexts(m.lists[list]).map((text, index): Word => ({ list, index, text })),
  );
  const program = all.findIndex((w) => basename(w.text) === 'kube-apiserver');
  const head = all[0];
  if (head !== undefined && program !== 0 && SHELLS.has(basename(head.text)))
    return {
      refused: [
        refusal(
          'CommandIsShell',
          'The container starts a shell; flags inside a shell script cannot be edited safely.',
          pathOf(head, m),
        ),
      ],
    };
  // No command at all: the image's entrypoint is kube-apiserver, and args are its flags.
  const rest =
    program < 0 && (m.lists.command.seq?.items.length ?? 0) === 0 ? all : program < 0 ? [] : all.slice(program);
  if (rest.length === 0)
    return {
      refused: [
        refusal(
          'CommandNotUnderstood',
          'The container named kube-apiserver does not start kube-apiserver with flags.',
          `spec.containers[${m.container}].command`,
        ),
      ],
    };
  const end = rest.find((w) => w.text === '--');
  if (end !== undefined)
    return {
      refused: [
        refusal(
          'CommandNotUnderstood',
          '`--` ends the flags; kube-apiserver takes no other arguments.',
          pathOf(end, m),
        ),
      ],
    };
  return { ok: rest };
}

const swallowed = (text: string): boolean => /^--[^\s]*\s+(?:-\s+)?--[a-z]/.test(text);

/** All audit flags, in order. */
export function readFlags(m: Manifest): Read<FlagWords> {
  const words = flagWords(m);
  if ('refused' in words) return words;
  const findings = words.ok
    .filter((w) => swallowed(w.text))
    .map((word): Finding => ({
      severity: 'warning',
      code: 'SeveralFlagsInOneArgument',
      message: `${pathOf(word, m)} is one argument, not several: the API server takes the rest as part of the first flag's value. Give each flag a line of its own.`,
      path: pathOf(word, m),
    }));
  const { found, dangling } = scanFlags(words.ok);
  const [word] = dangling?.words ?? [];
  if (dangling !== null && word !== undefined) {
    const message = `${dangling.name} has no value, and kube-apiserver does not start so.`;
    return { refused: [refusal('FlagWithoutValue', message, pathOf(word, m))] };
  }
  return { ok: { found, words: words.ok, findings } };
}

function setValue(flag: FoundFlag, value: string): ListOp {
  const [first, second] = flag.words;
  if (first === undefined) throw new Error('a flag without words');
  if (second !== undefined) return { op: 'Set', list: second.list, index: second.index, value };
  return {
    op: 'Set',
    list: first.list,
    index: first.index,
    value: `${first.text.split('=')[0] ?? flag.name}=${value}`,
  };
}

const at = (w: Word): string => `${w.list} ${w.index}`;

/**
 * Puts `values` behind a word that stays: the last of `preferred`, else the last of all. Where every word goes (args of an
 * image with an entrypoint of its own), they come first in that list.
 */
export function insertWords(
  words: FlagWords,
  values: readonly string[],
  gone: readonly Word[],
  preferred: readonly Word[] = [],
): readonly ListOp[] {
  if (values.length === 0) return [];
  const out = new Set(gone.map(at));
  const stays = (w: Word): boolean => !out.has(at(w));
  const anchor = preferred.findLast(stays) ?? words.words.findLast(stays);
  return [
    { op: 'Insert', list: anchor?.list ?? words.words[0]?.list ?? 'command', after: anchor?.index ?? -1, values },
  ];
}

export const removeWords = (words: readonly Word[]): readonly ListOp[] =>
  words.map((w): ListOp => ({ op: 'Remove', list: w.list, index: w.index }));

/** The fewest changes of words after which exactly `wanted` are the audit flags in effect. */
export function flagOps(words: FlagWords, wanted: readonly ResolvedFlag[]): readonly ListOp[] {
  const want = new Map(wanted.map((f) => [f.name, f.value]));
  const lastOf = new Map(words.found.map((f) => [f.name, f]));
  const kept = words.found.filter((f) => want.has(f.name));
  const gone = words.found.filter((f) => !want.has(f.name));
  const changed = [...lastOf.values()].flatMap((f): ListOp[] => {
    const value = want.get(f.name);
    return value === undefined || sameValue(f.name, f.value, value) ? [] : [setValue(f, value)];
  });
  const added = wanted.filter((f) => !lastOf.has(f.name)).map((f) => `${f.name}=${f.value}`);
  const goneWords = gone.flatMap((f) => f.words);
  return [
    ...changed,
    ...removeWords(goneWords),
    ...insertWords(
      words,
      added,
      goneWords,
      kept.flatMap((f) => f.words),
    ),
  ];
}
