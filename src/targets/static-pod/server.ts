/**
 * What a manifest says about the API server that will run from it: where it listens, as which pod, with which audit
 * flags. The node room compares that with the running process, and probes at that address.
 */
import { flagValue, hostOf, inEffect, portOf, scanFlags } from '../audit-flags.ts';
import { specific, UNKNOWN_PORT } from '../server.ts';
import type { ServerView } from '../server.ts';
import { flagWords, readFlags } from './flags.ts';
import { at, readManifest, textOf } from './manifest.ts';
import { containerOf } from './mounts.ts';
import { expanded, isOpen } from './variables.ts';

const isPort = (n: number): boolean => Number.isInteger(n) && n > 0 && n < 65_536;

/** null where the manifest cannot be read. */
export function serverView(manifest: Uint8Array): ServerView | null {
  const read = readManifest(manifest);
  if ('refused' in read) return null;
  const m = read.ok;
  const [words, flags] = [flagWords(m), readFlags(m)];
  if ('refused' in words || 'refused' in flags) return null;
  const container = containerOf(m);
  const told = expanded(words.ok, container);
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
