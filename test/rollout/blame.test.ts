/** Whether a revision is to blame for an API server that fell over: from plain facts. */
import { describe, expect, it } from 'vitest';
import { doubtOf } from '../../src/rollout/blame.ts';
import type { Case } from '../../src/rollout/blame.ts';
import type { Doubt } from '../../src/rollout/node-state.ts';

const LOOP: Case = { why: 'CrashLoop', rebooted: false, doubted: false, words: [] };

const fatal = (words: string): string => `F1121 10:00:20.123456       1 instance.go:233] ${words}`;
const error = (words: string): string => `E1121 10:00:20.123456       1 status.go:71] ${words}`;

describe('a revision with which the API server falls over', () => {
  it.each<[string, Partial<Case>, Doubt | null]>([
    ['is to blame where nothing speaks for it', {}, null],
    [
      'is doubted where the storage did not come',
      { words: [fatal('Error creating leases: error creating storage factory: context deadline exceeded')] },
      'StorageAway',
    ],
    [
      'is doubted where etcd had no leader',
      { words: [error('"Unhandled Error" err="etcdserver: no leader"')] },
      'StorageAway',
    ],
    [
      'is doubted where etcd refused connections',
      {
        words: [
          'W1121 10:00:01.1 1 logging.go:55] [core] grpc: addrConn.createTransport failed to connect to {Addr: "127.0.0.1:2379"}. Err: dial tcp 127.0.0.1:2379: connect: connection refused',
        ],
      },
      'StorageAway',
    ],
    [
      'is doubted where etcd was away for as long as the change may take',
      { why: 'NotHealthyInTime', words: [error('"Unhandled Error" err="rpc error: code = Unavailable desc = EOF"')] },
      'StorageAway',
    ],
    ['is doubted where it fell over in another boot', { rebooted: true }, 'Rebooted'],
    ['is to blame where it hung in another boot', { rebooted: true, why: 'NotHealthyInTime' }, null],
    [
      'is to blame in another boot, too, where auditing is what it ended for',
      { rebooted: true, words: ['Error: loading audit policy file: no such file'] },
      null,
    ],
    [
      'is to blame for its webhook, whatever etcd did before',
      { words: [error('etcdserver: request timed out'), fatal('initializing audit webhook: refused')] },
      null,
    ],
    [
      'is not yet to blame for a receiver that does not answer while etcd is away',
      {
        words: [
          error("Error in audit plugin 'webhook' affecting 1 audit events"),
          fatal('error creating storage factory: context deadline exceeded'),
        ],
      },
      'StorageAway',
    ],
    [
      'is to blame for another server that refuses',
      { words: [error('dial tcp 10.0.0.1:443: connect: connection refused')] },
      null,
    ],
    [
      'is to blame for flags of etcd that are wrong for good',
      { words: ['Error: --etcd-servers must be specified'] },
      null,
    ],
    [
      'is doubted once',
      { doubted: true, rebooted: true, words: [fatal('error creating storage factory: context deadline exceeded')] },
      null,
    ],
    ['is to blame for its memory', { why: 'OutOfMemory', rebooted: true }, null],
  ])('%s', (_, facts, want) => {
    expect(doubtOf({ ...LOOP, ...facts })).toBe(want);
  });
});
