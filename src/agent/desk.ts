/** What every part of the agent works with: the node's files and processes, and the way to the API. Made by agent.ts. */
import type { Kube } from '../kube/connect.ts';
import type { NodeHost } from '../node/host.ts';
import type { Place } from '../node/place.ts';
import type { KubeMetrics } from '../telemetry/kube-metrics.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { AgentOptions } from './options.ts';
import type { OwnNode } from './own-node.ts';
import type { PeerOptions } from './peers.ts';

export type Desk = {
  readonly o: AgentOptions;
  readonly host: NodeHost;
  readonly spec: Place;
  readonly kube: Kube;
  readonly own: OwnNode;
  /** How API servers are asked one by one, this node's own among them. */
  readonly peers: PeerOptions;
  readonly metrics: KubeMetrics;
  readonly log: Logger;
};
