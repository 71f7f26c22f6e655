/**
 * The audit flags among a container's words, as kube-apiserver gets them: after the kubelet has put variables in
 * (`$(NAME)`), read as its flag library reads them. Ours go to the end of the last list as one block, so that an owner's own
 * words keep their order, and so that the admission policy that puts them back (deploy/hosted) arrives at the same list.
 */
import { scanFlags } from '../audit-flags.ts';
import type { FoundFlag } from '../audit-flags.ts';
import { refusal } from '../refusal.ts';
import { expand, isOpen } from '../variables.ts';
import { no } from './workload.ts';
import type { ListName, Lists, Read, Workload } from './workload.ts';

/** `text` is what the API server gets; what is written stands in the list. */
export type Word = { readonly list: ListName; readonly index: number; readonly raw: string; readonly text: string };

const SHELLS = new Set(['sh', 'bash', 'dash', 'ash', 'busybox', 'zsh']);
const LISTS = ['command', 'args'] as const;
const basename = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

const placeOf = (w: Pick<Word, 'list' | 'index'>, { container }: Workload): string =>
  `spec.template.spec.containers[${container}].${w.list}[${w.index}]`;

/** As the container gets it; undefined where a value is not known here. */
function expanded(raw: string, w: Pick<Workload, 'variables' | 'hasMoreVariables'>): string | undefined {
  let known = true;
  const text = expand(raw, (name) => {
    const value = w.variables.get(name);
    if (typeof value === 'string') return value;
    if (value === null || w.hasMoreVariables) known = false;
    return undefined;
  });
  return known ? text : undefined;
}

/** A flag whose name stands in a variable may be any flag, audit flags too. */
const hidesName = (raw: string, before: string | undefined): boolean => {
  const name = raw.split('=')[0] ?? '';
  if (!isOpen(name)) return false;
  const isValue = before !== undefined && /^--?[^=]+$/.test(before) && !raw.startsWith('-');
  return !isValue;
};

/** No shell, and evidence that flags of a kube-apiserver begin behind the returned place. */
function flagsFrom(all: readonly Word[], w: Workload): Read<readonly Word[]> {
  const [head] = all;
  const program = all.findIndex((x) => basename(x.text) === 'kube-apiserver');
  if (head !== undefined && program !== 0 && SHELLS.has(basename(head.text)))
    return no(
      'CommandIsShell',
      `Container ${w.containerName} starts a shell; flags inside a shell script cannot be edited safely.`,
      placeOf(head, w),
    );
  if (program >= 0) return { ok: all.slice(program + 1) };
  const hasCommand = (w.lists.command ?? []).length > 0;
  const looksLikeOne =
    /kube-apiserver/.test(basename(w.image.split('@')[0] ?? '')) ||
    all.some((x) => x.text.startsWith('--etcd-servers'));
  if (!hasCommand && all.length > 0 && looksLikeOne) return { ok: all };
  return no(
    'CommandNotUnderstood',
    `Container ${w.containerName} does not start kube-apiserver with flags: name the container that does in target.hosted.container.`,
    `spec.template.spec.containers[${w.container}].command`,
  );
}

export type FlagWords = {
  /** Audit flags, in order. */
  readonly found: readonly FoundFlag<Word>[];
  /** Where flags can be added: the last list that has any. */
  readonly into: ListName;
};

/** All audit flags of the container, or why they cannot be told. */
export function readFlags(w: Workload): Read<FlagWords> {
  const all: Word[] = [];
  for (const list of LISTS)
    for (const [index, raw] of (w.lists[list] ?? []).entries()) {
      const text = expanded(raw, w);
      if (text === undefined && hidesName(raw, all.at(-1)?.text))
        return no(
          'VariableInFlags',
          'A flag whose name stands in a variable cannot be told from an audit flag. Write the flag out.',
          placeOf({ list, index }, w),
        );
      all.push({ list, index, raw, text: text ?? raw });
    }
  const words = flagsFrom(all, w);
  if ('refused' in words) return words;
  const end = words.ok.find((x) => x.text === '--');
  if (end !== undefined)
    return no('CommandNotUnderstood', '`--` ends the flags; kube-apiserver takes no other arguments.', placeOf(end, w));
  const { found, dangling } = scanFlags(words.ok);
  const [word] = dangling?.words ?? [];
  if (dangling !== null && word !== undefined)
    return {
      refused: [
        refusal(
          'FlagWithoutValue',
          `${dangling.name} has no value, and kube-apiserver does not start so.`,
          placeOf(word, w),
        ),
      ],
    };
  return { ok: { found, into: (w.lists.args ?? []).length > 0 ? 'args' : 'command' } };
}

/** Words of an audit flag that somebody else had set, and where. */
export type Adopted = {
  readonly list: ListName;
  readonly index: number;
  readonly words: readonly string[];
};

/** A flag at the end of `command` whose value begins `args` becomes one word: its two could not go to an end together. */
export const adoptedFrom = (found: readonly FoundFlag<Word>[]): readonly Adopted[] =>
  found.flatMap(({ words: [first, second] }) => {
    if (first === undefined) return [];
    const { list, index, raw } = first;
    if (second === undefined) return [{ list, index, words: [raw] }];
    return [{ list, index, words: second.list === list ? [raw, second.raw] : [`${raw}=${second.raw}`] }];
  });

/** The lists without any audit flag. */
export function withoutFlags(lists: Lists, found: readonly FoundFlag<Word>[]): Lists {
  const gone = new Set(found.flatMap((f) => f.words.map((x) => `${x.list} ${x.index}`)));
  const rest = (list: ListName): readonly string[] | null =>
    lists[list]?.filter((_, i) => !gone.has(`${list} ${i}`)) ?? null;
  return { command: rest('command'), args: rest('args') };
}

/** `exact`: nothing else has changed, so that each goes where it was; otherwise all go to the end, where none does harm. */
export function giveBack(lists: Lists, adopted: readonly Adopted[], exact: boolean): Lists {
  const into = (list: ListName): readonly string[] | null => {
    const mine = adopted.filter((a) => a.list === list);
    if (mine.length === 0) return lists[list];
    const out = [...(lists[list] ?? [])];
    for (const a of mine) out.splice(exact ? a.index : out.length, 0, ...a.words);
    return out;
  };
  return { command: into('command'), args: into('args') };
}

export const append = (lists: Lists, into: ListName, words: readonly string[]): Lists => ({
  ...lists,
  [into]: [...(lists[into] ?? []), ...words],
});
