/**
 * What a manifest says about the API server that will run from it: where it listens, as which pod, with which audit
 * flags. The node room compares that with the running process, and probes at that address.
 */
import { flagValue, hostOf, inEffect, portOf } from '../audit-flags.ts';
import { flagWords, readFlags } from './flags.ts';
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
  /** Where other nodes reach it, as far as the manifest says. */
  readonly advertised: string | null;
  readonly auditFlags: ReadonlyMap<string, string>;
  /** False where every request needs credentials: an anonymous probe then never sees it ready. */
  readonly anonymous: boolean;
};

/** An address that is of one machine: kube-apiserver advertises the one that it is bound to. */
const specific = (bind: string | null): string | null =>
  bind === null || ['0.0.0.0', '::', '127.0.0.1', '::1', 'localhost'].includes(bind) ? null : bind;

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
    advertised: flagValue(texts, '--advertise-address') ?? specific(flagValue(texts, '--bind-address')),
    auditFlags: inEffect(flags.ok.found),
    anonymous: flagValue(texts, '--anonymous-auth') !== 'false',
  };
}
