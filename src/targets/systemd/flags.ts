/**
 * The audit flags of a unit's command, those that stand in variables included, and the fewest changes of words after which
 * exactly the wanted ones are in effect. What stands in a variable is not edited: a later flag wins over it.
 */
import { inEffect, outvote, sameValue, scanFlags } from '../audit-flags.ts';
import type { FoundFlag, Outvoted } from '../audit-flags.ts';
import { isWithin } from '../host-layout.ts';
import type { HostLayout, ResolvedFlag } from '../host-layout.ts';
import type { Argument } from './environment.ts';
import type { Command } from './unit.ts';
import type { WordOps } from './edit.ts';

export type CommandFlags = {
  readonly found: readonly FoundFlag<Argument>[];
  /** The last audit flag has no value, and kube-apiserver does not start so. */
  readonly dangling: FoundFlag<Argument> | null;
};

export const flagsOf = (command: Command): CommandFlags => scanFlags(command.args);

export const effective = (command: Command): ReadonlyMap<string, string> => inEffect(flagsOf(command).found);

const isOutside = (f: FoundFlag<Argument>): boolean => f.words.some((w) => w.fromVariable);

/** In effect among those that stand in variables. */
export const outsideFlags = (command: Command): ReadonlyMap<string, string> =>
  inEffect(flagsOf(command).found.filter(isOutside));

/** Words of the command line that make up audit flags. */
const ownWords = (command: Command): readonly number[] =>
  flagsOf(command)
    .found.filter((f) => !isOutside(f))
    .flatMap((f) => f.words.map((w) => command.words.indexOf(w.word)));

/** Those words as they are written. */
export const auditWords = (command: Command): readonly string[] =>
  ownWords(command).map((i) => command.words[i]?.text ?? '');

/** The command line without its audit flags: what both sides of a merge must agree on. */
export const otherWords = (command: Command): readonly string[] => {
  const own = new Set(ownWords(command));
  return command.words.flatMap((w, i) => (own.has(i) ? [] : [w.text]));
};

export const isOurs = (command: Command, layout: HostLayout): boolean =>
  flagsOf(command).found.some((f) => isWithin(f.value, layout.revisionsDir));

/** All audit flags of the command line out, and `values` in. */
export const replaceOps = (command: Command, values: readonly string[]): WordOps => ({
  set: new Map(),
  remove: new Set(ownWords(command)),
  append: values,
});

export type FlagPlan = { readonly ops: WordOps; readonly stuck: Outvoted['stuck'] };

/** The flag's name as it is written, the wanted value. */
function written(flag: FoundFlag<Argument>, value: string): string {
  const [first, second] = flag.words;
  return second === undefined ? `${(first?.text ?? '').split('=')[0] ?? flag.name}=${value}` : value;
}

export function flagOps(command: Command, wanted: readonly ResolvedFlag[]): FlagPlan {
  const { found } = flagsOf(command);
  const { say, stuck } = outvote(outsideFlags(command), wanted);
  const want = new Map(say.map((f) => [f.name, f.value]));
  const lastOf = new Map(found.map((f) => [f.name, f]));
  const inside = found.filter((f) => !isOutside(f));
  const gone = inside.filter((f) => !want.has(f.name));
  const set = new Map<number, string>();
  for (const f of lastOf.values()) {
    const value = want.get(f.name);
    const word = f.words.at(-1)?.word;
    if (value === undefined || word === undefined || isOutside(f) || sameValue(f.name, f.value, value)) continue;
    set.set(command.words.indexOf(word), written(f, value));
  }
  const isSaid = ({ name, value }: ResolvedFlag): boolean => {
    const last = lastOf.get(name);
    return last !== undefined && (!isOutside(last) || sameValue(name, last.value, value));
  };
  return {
    ops: {
      set,
      remove: new Set(gone.flatMap((f) => f.words.map((w) => command.words.indexOf(w.word)))),
      append: say.filter((f) => !isSaid(f)).map((f) => `${f.name}=${f.value}`),
    },
    stuck,
  };
}
