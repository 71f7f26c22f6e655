/**
 * What a manifest says about the API server that will run from it: where it listens, as which pod, with which audit
 * flags. The node room compares that with the running process, and probes at that address.
 */
import { flagValue, hostOf, inEffect, portOf } from '../audit-flags.ts';
import { specific } from '../server.ts';
import type { ServerView } from '../server.ts';
import { flagWords, readFlags } from './flags.ts';
import { at, readManifest, textOf } from './manifest.ts';
import { containerOf } from './mounts.ts';

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
    runs: { in: 'Pod', namespace: m.namespace, name: m.name, container: textOf(at(container, 'name')) ?? '' },
    restart: null,
    image: textOf(at(container, 'image')) ?? '',
    address: { host: hostOf(texts), port: portOf(texts) },
    advertised: flagValue(texts, '--advertise-address') ?? specific(flagValue(texts, '--bind-address')),
    auditFlags: inEffect(flags.ok.found),
    anonymous: flagValue(texts, '--anonymous-auth') !== 'false',
  };
}
