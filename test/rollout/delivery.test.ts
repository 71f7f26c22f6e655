/** WebhookDelivering from what the nodes say: the worst one wins, and old words count for nothing. */
import { describe, expect, it } from 'vitest';
import type { DeliveryResult } from '../../src/api/auditnode.ts';
import { deliveryVerdict } from '../../src/rollout/delivery.ts';
import type { ProofOf } from '../../src/rollout/proof.ts';

const A = 'a'.repeat(64);
const NOW = Date.parse('2026-11-21T12:00:00Z');

const node = (name: string, result: DeliveryResult, more: { time?: string; digest?: string; isThere?: boolean } = {}) =>
  ({
    name,
    isThere: more.isThere ?? true,
    status: {
      current: A,
      webhook: { digest: more.digest ?? A, result, time: more.time ?? '2026-11-21T11:30:00Z', message: `says ${name}` },
    },
  }) satisfies ProofOf;
const silent: ProofOf = { name: 'n9', isThere: true, status: { current: A } };

describe('WebhookDelivering', () => {
  it.each<[string, readonly ProofOf[], string, string]>([
    ['is true when all deliver', [node('n1', 'Delivering'), node('n2', 'Delivering')], 'True', 'Delivering'],
    ['is false when one fails', [node('n1', 'Delivering'), node('n2', 'Failing')], 'False', 'Failing'],
    ['is false when one has lost events', [node('n1', 'EventsLost'), silent], 'False', 'EventsLost'],
    ['is unknown while one was not looked at', [node('n1', 'Delivering'), silent], 'Unknown', 'Pending'],
    [
      'is unknown where one has nothing to deliver',
      [node('n1', 'Delivering'), node('n2', 'NoTraffic')],
      'Unknown',
      'NoTraffic',
    ],
    ['is unknown where metrics cannot be read', [node('n1', 'NoAnswer')], 'Unknown', 'Pending'],
    [
      'is unknown when the agent is silent',
      [node('n1', 'Delivering', { time: '2026-11-21T08:59:00Z' })],
      'Unknown',
      'Pending',
    ],
    ['is unknown of another revision', [node('n1', 'Delivering', { digest: 'b'.repeat(64) })], 'Unknown', 'Pending'],
    [
      'is unknown while another revision is wanted',
      [node('n1', 'Delivering', { isThere: false })],
      'Unknown',
      'Pending',
    ],
    [
      'is false of a failing one, also while another is wanted',
      [node('n1', 'Failing', { isThere: false })],
      'False',
      'Failing',
    ],
    ['is unknown without nodes', [], 'Unknown', 'Pending'],
  ])('%s', (_name, nodes, status, reason) => {
    expect(deliveryVerdict(nodes, NOW)).toMatchObject({ type: 'WebhookDelivering', status, reason });
  });

  it('names the node, and how many more there are', () => {
    expect(deliveryVerdict([node('n1', 'Failing'), node('n2', 'Failing')], NOW).message).toBe(
      'node n1: says n1 (and 1 more)',
    );
  });
});
