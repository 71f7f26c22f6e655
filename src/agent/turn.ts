/**
 * This node's side of the one Lease under which API servers restart (rules: src/rollout/turn.ts). Taken by compare and
 * swap: the other API servers are asked between the read and the write, and the write only succeeds if the Lease is still
 * as it was read, so whoever restarted in between is seen. Given back by worker.ts when the node's health is proven;
 * nothing here gives it back because time has passed. A process that is killed while it holds the Lease holds it on.
 */
import { RESTART_LEASE, INSTANCES_ANNOTATION, holderOf, nodeOfHolder, parseInstances } from '../api/restart-lease.ts';
import type { KubeClient } from '../kube/client.ts';
import type { ServerAddress } from '../kube/direct.ts';
import type { KubeError } from '../kube/errors.ts';
import { LEASES } from '../kube/lease.ts';
import { isRecord } from '../kube/types.ts';
import type { KubeObject } from '../kube/types.ts';
import { mayAsk, wait, waitForPeers } from '../rollout/turn.ts';
import type { Ask, LeaseView, Turn, Wait } from '../rollout/turn.ts';
import type { Logger } from '../telemetry/logger.ts';

export type TurnOptions = {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly node: string;
  /** uid of the Node object; '' where it is not known. */
  readonly nodeUid: () => string;
  /** Where this node's own API server listens; undefined where its manifest cannot be read. */
  readonly ownPort: () => Promise<number | undefined>;
  /** null when it is ready, else why it is not. */
  readonly askPeer: (address: ServerAddress, signal: AbortSignal) => Promise<string | null>;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
};

/** What worker.ts needs of it. */
export interface RestartTurn {
  /** The Lease is this node's from now on, or why not. Nothing may be changed before. */
  take(signal: AbortSignal): Promise<Turn>;
  /**
   * Holds the Lease if nobody does, for what goes on without waiting for it: an undoing, or a change that was in flight
   * when this process started. Ours already: it is written anew, so that who is about to take it from a dead node fails.
   */
  announce(signal: AbortSignal): Promise<void>;
  /** True when it is not ours any more. Only to be called when the node's health is proven. */
  giveBack(signal: AbortSignal): Promise<boolean>;
}

/** Somebody else wrote the Lease just then: looked at anew, this often. */
const TRIES = 5;

export function leaseView(object: KubeObject): LeaseView {
  const spec = isRecord(object['spec']) ? object['spec'] : {};
  const { holderIdentity } = spec;
  return {
    holder: typeof holderIdentity === 'string' ? holderIdentity : '',
    instances: parseInstances(object.metadata.annotations?.[INSTANCES_ANNOTATION]),
  };
}

const unreadable = (error: KubeError): Wait =>
  wait('LeaseUnreadable', `the Lease ${RESTART_LEASE} cannot be read or taken: ${error.message} (${error.code})`);

/** MicroTime: RFC 3339 with six digits. */
const microTime = (ms: number): string => new Date(ms).toISOString().replace('Z', '000Z');

export function createRestartTurn(o: TurnOptions): RestartTurn {
  const ref = { namespace: o.namespace, name: RESTART_LEASE };
  const isMine = (lease: LeaseView): boolean => nodeOfHolder(lease.holder) === o.node;

  const write = (object: KubeObject, holder: string, signal: AbortSignal) => {
    const { resourceVersion } = object.metadata;
    const time = holder === '' ? {} : { acquireTime: microTime(o.now()) };
    const patch = { metadata: { resourceVersion }, spec: { holderIdentity: holder, ...time } };
    return o.client.mergePatch(LEASES, ref, patch, { signal, fieldManager: 'auditconfig-agent' });
  };

  const notReady = async (ask: Ask, signal: AbortSignal): Promise<Wait | undefined> => {
    if (ask.needed === 0) return undefined;
    const own = await o.ownPort();
    const answers = await Promise.all(
      ask.peers.map(async ({ node, host, port = own }) => {
        if (host === undefined || port === undefined) return { node, why: 'its address is not known' };
        const why = await o.askPeer({ host, port }, signal);
        return { node, why: why === null ? null : `${host}:${port}: ${why}` };
      }),
    );
    return waitForPeers(ask, answers);
  };

  /** One read, all questions, one write. 'Again': it was overtaken. */
  const tryOnce = async (signal: AbortSignal): Promise<Turn | 'Again'> => {
    const read = await o.client.get(LEASES, ref, { signal });
    if (!read.ok && read.error.code !== 'NotFound') return unreadable(read.error);
    const lease = read.ok ? leaseView(read.value) : undefined;
    const asked = mayAsk(lease, o.node, o.now());
    if (asked.granted === false) return asked;
    const refused = await notReady(asked, signal);
    if (refused !== undefined) return refused;
    if (!read.ok || lease === undefined) return 'Again';
    // Ours already: a former life of this process took it. The write also says that nobody took it from us meanwhile.
    const written = await write(read.value, holderOf(o.node, o.nodeUid()), signal);
    if (written.ok) return { granted: true };
    return written.error.code === 'Conflict' || written.error.code === 'NotFound' ? 'Again' : unreadable(written.error);
  };

  return {
    take: async (signal) => {
      for (let i = 0; i < TRIES; i++) {
        const turn = await tryOnce(signal);
        if (turn === 'Again') continue;
        o.log.info(turn.granted ? {} : { reason: turn.reason, node: turn.node }, turn.granted ? 'its turn' : 'waits');
        return turn;
      }
      return wait('LeaseUnreadable', `the Lease ${RESTART_LEASE} changes all the time`);
    },
    announce: async (signal) => {
      const read = await o.client.get(LEASES, ref, { signal });
      if (!read.ok) return;
      const lease = leaseView(read.value);
      if (lease.holder === '' || isMine(lease)) await write(read.value, holderOf(o.node, o.nodeUid()), signal);
    },
    giveBack: async (signal) => {
      const read = await o.client.get(LEASES, ref, { signal });
      if (!read.ok) return read.error.code === 'NotFound';
      if (!isMine(leaseView(read.value))) return true;
      return (await write(read.value, '', signal)).ok;
    },
  };
}
