/**
 * What a manifest says about the API server that will run from it: where it listens, as which pod, with which audit
 * flags. The node room compares that with the running process, and probes at that address.
 */
import { flagValue, hostOf, inEffect, portOf, scanFlags } from '../audit-flags.ts';
import { specific, UNKNOWN_PORT } from '../server.ts';
import type { ServerView } from '../server.ts';
import { expand, isOpen } from '../variables.ts';
import { flagWords, readFlags } from './flags.ts';
import { at, listOf, readManifest, textOf } from './manifest.ts';
import type { Json } from './manifest.ts';
import { containerOf } from './mounts.ts';

const isPort = (n: number): boolean => Number.isInteger(n) && n > 0 && n < 65_536;

type ValueOf = (name: string) => string | undefined;

/** Each variable may use those above it; one that is read from elsewhere (`valueFrom`) is not known. */
function variablesOf(container: Json | undefined): ValueOf {
  const known = new Map<string, string>();
  const valueOf: ValueOf = (name) => known.get(name);
  for (const entry of listOf(at(container, 'env'))) {
    const name = textOf(at(entry, 'name'));
    if (name === undefined) continue;
    if (at(entry, 'valueFrom') === undefined) known.set(name, expand(textOf(at(entry, 'value')) ?? '', valueOf));
    else known.delete(name);
  }
  return valueOf;
}

/** null where the manifest cannot be read. */
export function serverView(manifest: Uint8Array): ServerView | null {
  const read = readManifest(manifest);
  if ('refused' in read) return null;
  const m = read.ok;
  const [words, flags] = [flagWords(m), readFlags(m)];
  if ('refused' in words || 'refused' in flags) return null;
  const container = containerOf(m);
  const valueOf = variablesOf(container);
  const told = words.ok.map((w) => ({ ...w, text: expand(w.text, valueOf) }));
  const texts = told.map((w) => w.text);
  const port = portOf(texts);
  const advertised = flagValue(texts, '--advertise-address') ?? specific(flagValue(texts, '--bind-address'));
  return {
    runs: { in: 'Pod', namespace: m.namespace, name: m.name, container: textOf(at(container, 'name')) ?? '' },
    restart: null,
    image: textOf(at(container, 'image')) ?? '',
    address: { host: hostOf(texts), port: isPort(port) ? port : UNKNOWN_PORT },
    // Only the kubelet knows it: the controller then takes the Node's own address.
    advertised: advertised === null || isOpen(advertised) ? null : advertised,
    auditFlags: inEffect(scanFlags(told).found),
    anonymous: flagValue(texts, '--anonymous-auth') !== 'false',
  };
}
