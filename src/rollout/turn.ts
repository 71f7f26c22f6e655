/**
 * May this node's API server be restarted now? Every restart asks: a rollout, a repair of drift, an adoption, a removal.
 * Only undoing one's own change does not. Small rules in a fixed order over the Lease as it was read; that all other API
 * servers are ready is for the caller to find out before it takes the Lease (src/agent/turn.ts). The Lease is freed by
 * health that was proven, and never by time.
 */
import { nodeOfHolder } from '../api/restart-lease.ts';
import type { Instance } from '../api/restart-lease.ts';
import { windowed } from './windows.ts';

export type WaitReason =
  /** Another node's API server is restarting, or has not proven itself. */
  | 'LeaseHeld'
  /** An API server is not ready, so that a restart of this one could leave none. */
  | 'PeerNotReady'
  | 'OutsideWindow'
  | 'Paused'
  /** The controller has not written it yet, or somebody deleted it. */
  | 'LeaseMissing'
  /** The controller does not count this node among the control plane's. */
  | 'NotAnInstance'
  /** The API could not be asked. */
  | 'LeaseUnreadable';

export type Wait = {
  readonly granted: false;
  readonly reason: WaitReason;
  readonly message: string;
  /** Which node it waits for. */
  readonly node?: string;
  /** When only time must pass. */
  readonly afterMs?: number;
};
/** What who wants to restart an API server is told. */
export type Turn = { readonly granted: true } | Wait;

export const wait = (reason: WaitReason, message: string, more: Pick<Wait, 'node' | 'afterMs'> = {}): Wait => ({
  granted: false,
  reason,
  message,
  ...more,
});

/** The Lease as it was read. */
export type LeaseView = {
  /** '' where nobody holds it. */
  readonly holder: string;
  /** undefined where what the controller wrote is not to be read. */
  readonly instances: readonly Instance[] | undefined;
};

/** Whom to ask whether it is ready, before the Lease is taken, and how many must be. */
export type Ask = { readonly granted: 'AskPeers'; readonly peers: readonly Instance[]; readonly needed: number };

/** What a peer answered; `why` it is not ready, null where it is. */
export type PeerAnswer = { readonly node: string; readonly why: string | null };

type Rule = (lease: LeaseView, me: Instance, now: number) => Wait | undefined;

const notHeld: Rule = ({ holder }, { node }) => {
  const other = nodeOfHolder(holder);
  return other === '' || other === node
    ? undefined
    : wait('LeaseHeld', `the API server of node ${other} is being restarted, or has not proven itself`, {
        node: other,
      });
};

const notPaused: Rule = (_lease, { paused }) =>
  paused === true ? wait('Paused', 'rollout.paused holds back every restart') : undefined;

/** RFC 3339 with whole seconds. */
export const timestamp = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

const inWindow: Rule = (_lease, { windows }, now) => {
  const w = windowed(windows, now);
  if (w.open) return undefined;
  return wait('OutsideWindow', `the next window opens at ${timestamp(w.opensAt)}`, { afterMs: w.opensAt - now });
};

const RULES: readonly Rule[] = [notPaused, inWindow, notHeld];

/** `now` in ms since the epoch. */
export function mayAsk(lease: LeaseView | undefined, node: string, now: number): Ask | Wait {
  if (lease?.instances === undefined)
    return wait('LeaseMissing', 'the Lease auditconfig-restart is not there, or not as the controller writes it');
  const me = lease.instances.find((i) => i.node === node);
  if (me === undefined)
    return wait('NotAnInstance', `the controller does not count node ${node} among the control plane's`);
  for (const rule of RULES) {
    const refused = rule(lease, me, now);
    if (refused !== undefined) return refused;
  }
  const peers = lease.instances.filter((i) => i.node !== node);
  return {
    granted: 'AskPeers',
    peers,
    needed: me.allowDegraded === true ? neededDegraded(peers.length) : peers.length,
  };
}

/**
 * allowDegraded means that a dead node holds nobody back, not that the last API server may go: of several others one
 * must be ready. Of two, the one that is left is all there is, as on a single node: the user said so.
 */
const neededDegraded = (peers: number): number => (peers >= 2 ? 1 : 0);

/** Undefined where enough of them are ready. */
export function waitForPeers({ needed }: Ask, answers: readonly PeerAnswer[]): Wait | undefined {
  const down = answers.filter(({ why }) => why !== null);
  const [first] = down;
  if (first === undefined || answers.length - down.length >= needed) return undefined;
  const alone = needed < answers.length ? ', nor is any other' : '';
  return wait('PeerNotReady', `the API server of node ${first.node} is not ready (${first.why})${alone}`, {
    node: first.node,
  });
}
