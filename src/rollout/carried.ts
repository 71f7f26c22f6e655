/**
 * Another certificate or token of the webhook, for nodes that are still asked to run an older revision, because the newest one
 * waits for a window, a pause or its turn: they get it beside that one, one after the other, and restart nothing. Where it
 * cannot be told whether it belongs to what they run, they keep what they have, and that is said. Pure; called by decide.ts.
 */
import type { Verdict } from '../api/conditions.ts';
import { shortDigest } from '../render/digest.ts';
import { Secret } from '../render/types.ts';
import type { Credentials, Digest, Revision } from '../render/types.ts';
import { carryOver } from '../render/webhook/carry.ts';
import { credentialsDigest, salted } from '../render/webhook/credentials.ts';
import type { AuditNodeSpec } from '../api/auditnode.ts';
import type { Facts, NodeFact } from './facts.ts';

/** To be published under the older revision's name, before a node is told. */
export type Rotation = {
  readonly digest: Digest;
  readonly credentials: Secret<Credentials>;
  readonly credentialsDigest: Digest;
};

export type CarriedStep = {
  /** Revisions whose kubeconfigs are to be read before anything is decided. */
  readonly needs: readonly Digest[];
  readonly next?: { readonly node: NodeFact; readonly spec: AuditNodeSpec; readonly rotation: Rotation };
  readonly verdict?: Verdict<'Degraded'>;
};

/** With the salt of the kubeconfig that they are for. */
export function saltedFor(
  files: Credentials,
  kubeconfig: Secret<Uint8Array>,
  { credentialsKey }: Pick<Facts['settings'], 'credentialsKey'>,
): Credentials {
  if (credentialsKey === undefined) return files;
  return salted(files, { key: credentialsKey.reveal(), of: kubeconfig.reveal() });
}

type Older = { readonly node: NodeFact; readonly spec: AuditNodeSpec; readonly digest: Digest; readonly has: string };

/** Nodes of ours that are asked for another revision than the newest, with files that they read again. */
function olderOf(facts: Facts, nodes: readonly NodeFact[], newest: Revision): readonly Older[] {
  return nodes.flatMap((node): Older[] => {
    const spec = node.auditNode?.spec;
    const revision = spec?.desired.revision;
    if (spec === undefined || spec.auditConfigRef.uid !== facts.meta.uid) return [];
    if (revision?.credentials === undefined || revision.digest === newest.digest) return [];
    return [{ node, spec, digest: revision.digest as Digest, has: revision.credentials }];
  });
}

type Judged = {
  /** What nodes shall have that run it; undefined where that cannot be told, or nothing is to be had. */
  readonly rotation?: Rotation;
  /** Digest of the newest files, as if they were of what runs: whoever has that has nothing old. */
  readonly newest?: Digest;
  readonly isUnknown: boolean;
};

function judge(digest: Digest, facts: Facts, newest: Revision): Judged {
  const kubeconfig = facts.older?.get(digest);
  // What was published of it is gone: then so is what could be said of it.
  if (kubeconfig === undefined || kubeconfig === null) return { isUnknown: true };
  const carried = carryOver(kubeconfig.reveal(), newest);
  if (carried.is === 'None') return { isUnknown: false };
  const credentials = saltedFor(carried.files, kubeconfig, facts.settings);
  const as = credentialsDigest(credentials);
  if (carried.is === 'Unknown') return { isUnknown: true, newest: as };
  return { isUnknown: false, rotation: { digest, credentials: new Secret(credentials), credentialsDigest: as } };
}

/** `who` is a node or a workload; `newest` what is rolled out to it when it is its turn. */
export const credentialsWaiting = (who: string, newest: Digest): Verdict<'Degraded'> => ({
  type: 'Degraded',
  status: 'Unknown',
  reason: 'CredentialsWaiting',
  message: `${who} sends with the webhook's certificate or token of before until revision ${shortDigest(newest)} is rolled out: the newest ones are of another server, authority or user than those of what it runs`,
});

/** `nodes`: those that the question is about. */
export function carriedStep(facts: Facts, nodes: readonly NodeFact[], newest: Revision | undefined): CarriedStep {
  if (newest?.webhook === undefined) return { needs: [] };
  const older = olderOf(facts, nodes, newest);
  const digests = [...new Set(older.map((o) => o.digest))];
  const needs = digests.filter((d) => facts.older?.get(d) === undefined);
  if (needs.length > 0) return { needs };
  const judged = new Map(digests.map((d) => [d, judge(d, facts, newest)]));
  for (const { node, spec, digest, has } of older) {
    const rotation = judged.get(digest)?.rotation;
    const { revision } = spec.desired;
    if (rotation === undefined || revision === undefined || rotation.credentialsDigest === has) continue;
    const desired = { ...spec.desired, revision: { ...revision, credentials: rotation.credentialsDigest } };
    return { needs: [], next: { node, spec: { ...spec, desired }, rotation } };
  }
  const stale = older.find((o) => judged.get(o.digest)?.isUnknown === true && judged.get(o.digest)?.newest !== o.has);
  return stale === undefined
    ? { needs: [] }
    : { needs: [], verdict: credentialsWaiting(`node ${stale.node.name}`, newest.digest) };
}
