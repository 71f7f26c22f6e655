/**
 * What this node's own manifest says about its API server, and how old a Kubernetes a policy must load on: a load
 * balancer's answer may come from another node, which in the middle of an upgrade is of another version. Called by
 * worker.ts and node-work.ts.
 */
import type { AuditNodeStatus } from '../api/auditnode.ts';
import { minorNumber, parseMinor } from '../api/versions.ts';
import type { ProbeAddress } from '../host/probe.ts';
import type { NodeHost } from '../node/host.ts';
import type { Place } from '../node/place.ts';
import { UNKNOWN_PORT } from '../targets/server.ts';
import type { ServerView } from '../targets/server.ts';

/** undefined where the manifest cannot be read. */
export async function ownServer(host: NodeHost, spec: Place): Promise<ServerView | undefined> {
  return (await spec.now(host.disk).catch(() => null)) ?? undefined;
}

/** For AuditNode.status: where the other nodes reach it, as far as the manifest says. */
export const reachedAt = ({ advertised, address }: ServerView): AuditNodeStatus['apiServer'] =>
  address.port === UNKNOWN_PORT
    ? undefined
    : { ...(advertised === null ? {} : { host: advertised }), port: address.port };

export type AskVersion = (address: ProbeAddress, signal: AbortSignal) => Promise<string | undefined>;

/**
 * The older of what runs and what the manifest's image is tagged with (between the two, an upgrade is under way);
 * undefined where neither tells.
 */
export async function ownVersion(
  server: ServerView | undefined,
  ask: AskVersion,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (server === undefined) return undefined;
  return oldestOf([await ask(server.address, signal), tagOf(server.image)]);
}

/** `registry:5000/kube-apiserver:v1.36.3@sha256:...` gives `v1.36.3`. */
const tagOf = (image: string): string | undefined => /:([^:/@]+)(?:@.*)?$/.exec(image)?.[1];

const MAX_VERSION = 64;

function oldestOf(all: readonly (string | undefined)[]): string | undefined {
  const known = all.flatMap((text) => {
    const minor = text === undefined || text.length > MAX_VERSION ? undefined : parseMinor(text);
    return text === undefined || minor === undefined ? [] : [{ text, minor: minorNumber(minor) }];
  });
  return [...known].sort((a, b) => a.minor - b.minor)[0]?.text;
}
