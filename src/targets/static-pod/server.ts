/**
 * What a manifest says about the API server that will run from it: where it listens, as which pod, with which audit
 * flags. The node room compares that with the running process, and probes at that address.
 */
import { flagWords, inEffect, isBooleanFlag, readFlags, sameValue } from './flags.ts';
import { at, readManifest, textOf } from './manifest.ts';
import { containerOf } from './mounts.ts';

export type ServerView = {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  /** As written; '' where there is none. */
  readonly image: string;
  /** Where the node itself reaches it. */
  readonly address: { readonly host: string; readonly port: number };
  readonly auditFlags: ReadonlyMap<string, string>;
  /** False where every request needs credentials: an anonymous probe then never sees it ready. */
  readonly anonymous: boolean;
};

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

const SECURE_PORT = 6443;

export const portOf = (words: readonly string[]): number => Number(flagValue(words, '--secure-port') ?? SECURE_PORT);

/** kube-apiserver listens on all addresses unless told otherwise; then loopback reaches it. */
function hostOf(words: readonly string[]): string {
  const bind = flagValue(words, '--bind-address') ?? '0.0.0.0';
  if (bind === '0.0.0.0') return '127.0.0.1';
  return bind === '::' ? '::1' : bind;
}

/** null where the manifest cannot be read. */
export function serverView(manifest: Uint8Array): ServerView | null {
  const read = readManifest(manifest);
  if ('refused' in read) return null;
  const m = read.ok;
  const [words, flags] = [flagWords(m), readFlags(m)];
  if ('refused' in words || 'refused' in flags) return null;
  const texts = words.ok.map((w) => w.text);
  const container = containerOf(m);
  return {
    namespace: m.namespace,
    pod: m.name,
    container: textOf(at(container, 'name')) ?? '',
    image: textOf(at(container, 'image')) ?? '',
    address: { host: hostOf(texts), port: portOf(texts) },
    auditFlags: inEffect(flags.ok.found),
    anonymous: flagValue(texts, '--anonymous-auth') !== 'false',
  };
}

/** The audit flags among a process' arguments. */
export function auditFlagsOf(args: readonly string[]): ReadonlyMap<string, string> {
  const names = args.map((a) => (a.split('=')[0] ?? '').replaceAll('_', '-')).filter((n) => n.startsWith('--audit-'));
  return new Map([...new Set(names)].map((n) => [n, flagValue(args, n) ?? '']));
}

export const sameFlags = (a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean =>
  a.size === b.size && [...a].every(([n, v]) => b.has(n) && sameValue(n, v, b.get(n) ?? ''));
