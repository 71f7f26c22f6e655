/**
 * Audit flags among a program's words, read as the API server's own flag library reads them (spf13/pflag: `--name=value`,
 * `--name value`, a bare `--name` for booleans, the last of several wins; kube-apiserver takes `_` for `-` in names).
 * Every kind of place uses it, whatever its words are written in.
 */
import type { ResolvedFlag } from './host-layout.ts';
import { mayBe } from './variables.ts';

/** pflag gives these a value of their own (`true`) when none is attached, and then never eats the next word. */
export const isBooleanFlag = (name: string): boolean =>
  name === '--audit-log-compress' || /^--audit-(log|webhook)-(batch-throttle-enable|truncate-enabled)$/.test(name);

export type FoundFlag<W> = {
  /** Normalised: dashes, as documented. */
  readonly name: string;
  readonly value: string;
  /** The words that make it up: one, or two for `--name value`. */
  readonly words: readonly W[];
};

const NAME = /^--([A-Za-z0-9][A-Za-z0-9_.-]*)(?:=([\s\S]*))?$/;

/** All audit flags in order; `dangling` is a last word whose value is missing, with which the API server does not start. */
export function scanFlags<W extends { readonly text: string }>(
  words: readonly W[],
): { readonly found: readonly FoundFlag<W>[]; readonly dangling: FoundFlag<W> | null } {
  const found: FoundFlag<W>[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    const match = word === undefined ? null : NAME.exec(word.text);
    const name = match?.[1] === undefined ? undefined : `--${match[1].replaceAll('_', '-')}`;
    if (word === undefined || name === undefined || !name.startsWith('--audit-')) continue;
    if (match?.[2] !== undefined) found.push({ name, value: match[2], words: [word] });
    else if (isBooleanFlag(name)) found.push({ name, value: 'true', words: [word] });
    else {
      const next = words[++i];
      if (next === undefined) return { found, dangling: { name, value: '', words: [word] } };
      found.push({ name, value: next.text, words: [word, next] });
    }
  }
  return { found, dangling: null };
}

const TRUE = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);

/** Equal as pflag reads them. */
export const sameValue = (name: string, a: string, b: string): boolean =>
  a === b || (isBooleanFlag(name) && ((TRUE.has(a) && TRUE.has(b)) || (FALSE.has(a) && FALSE.has(b))));

/** What is in effect: the last of several wins. */
export const inEffect = <W>(found: readonly FoundFlag<W>[]): ReadonlyMap<string, string> =>
  new Map(found.map((f) => [f.name, f.value]));

export const sameFlags = (a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean =>
  a.size === b.size && [...a].every(([n, v]) => b.has(n) && sameValue(n, v, b.get(n) ?? ''));

/**
 * A process has exactly the flags that files say. `$(NAME)` in them is what the kubelet put in and the files do not tell: it
 * may be anything.
 */
export const runsWith = (runs: ReadonlyMap<string, string>, said: ReadonlyMap<string, string>): boolean =>
  runs.size === said.size &&
  [...said].every(([n, v]) => {
    const is = runs.get(n);
    return is !== undefined && (sameValue(n, is, v) || mayBe(is, v));
  });

/** The last value of a flag among words, as pflag reads them; null where it is not set. */
export function flagValue(words: readonly string[], name: string): string | null {
  let value: string | null = null;
  for (const [i, w] of words.entries()) {
    const [flag = '', ...rest] = w.split('=');
    if (!flag.startsWith('--') || flag.replaceAll('_', '-') !== name) continue;
    value = rest.length > 0 ? rest.join('=') : isBooleanFlag(name) ? 'true' : (words[i + 1] ?? null);
  }
  return value;
}

/** The audit flags among a process' arguments. */
export function auditFlagsOf(args: readonly string[]): ReadonlyMap<string, string> {
  const names = args.map((a) => (a.split('=')[0] ?? '').replaceAll('_', '-')).filter((n) => n.startsWith('--audit-'));
  return new Map([...new Set(names)].map((n) => [n, flagValue(args, n) ?? '']));
}

const SECURE_PORT = 6443;

export const portOf = (words: readonly string[]): number => Number(flagValue(words, '--secure-port') ?? SECURE_PORT);

/** kube-apiserver listens on all addresses unless told otherwise; then loopback reaches it. */
export function hostOf(words: readonly string[]): string {
  const bind = flagValue(words, '--bind-address') ?? '0.0.0.0';
  if (bind === '0.0.0.0' || bind === '') return '127.0.0.1';
  return bind === '::' ? '::1' : bind;
}

/** An empty path turns a backend off: the same as not to set the flag at all. */
const OFF = ['--audit-log-path', '--audit-webhook-config-file'] as const;
const isOff = (name: string, value: string): boolean => value === '' && OFF.some((n) => n === name);

export const withoutOff = (flags: ReadonlyMap<string, string>): ReadonlyMap<string, string> =>
  new Map([...flags].filter(([name, value]) => !isOff(name, value)));

export type Outvoted = {
  /** What must be said behind all else, so that exactly the wanted flags are in effect. */
  readonly say: readonly ResolvedFlag[];
  /** Flags that somebody else sets and that cannot be unsaid. */
  readonly stuck: readonly string[];
};

/** Which backend a flag belongs to: without its path it does nothing, whatever else is set. */
const backendOf = (name: string): string | undefined =>
  OFF.find((n) => name.startsWith(n.slice(0, n.indexOf('-', 8) + 1)));

/**
 * Where flags of others cannot be taken out, only be outvoted by later ones: paths are set to nothing, flags of a backend
 * that is off do nothing, and what else they set stays.
 */
export function outvote(theirs: ReadonlyMap<string, string>, wanted: readonly ResolvedFlag[]): Outvoted {
  const want = new Map(wanted.map((f) => [f.name, f.value]));
  const extra = [...withoutOff(theirs).keys()].filter((n) => !want.has(n));
  const off = extra.filter((n) => OFF.some((o) => o === n));
  const stuck = extra.filter((n) => {
    const path = backendOf(n);
    return !off.includes(n) && (path === undefined || want.has(path));
  });
  return { say: [...wanted, ...off.map((name) => ({ name, value: '' }))], stuck };
}

/** What others set, without those of their flags that are not wanted and do nothing: they are no drift. */
export function withoutIdle(
  now: ReadonlyMap<string, string>,
  theirs: ReadonlyMap<string, string>,
  wanted: readonly ResolvedFlag[],
): ReadonlyMap<string, string> {
  const want = new Set(wanted.map((f) => f.name));
  const { stuck } = outvote(theirs, wanted);
  const isIdle = (n: string): boolean => theirs.has(n) && !want.has(n) && !stuck.includes(n);
  return new Map([...withoutOff(now)].filter(([name]) => !isIdle(name)));
}
