/** Which published revisions of a hosted control plane may be deleted: never one that something could still need. */
import { describe, expect, it } from 'vitest';
import { namesIn, unused } from '../../src/controllers/hosted/prune.ts';
import type { Published } from '../../src/controllers/hosted/prune.ts';
import type { Digest } from '../../src/render/types.ts';

const OWNER = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'apiserver', uid: 'w1' };
const digest = (n: number): Digest => String(n).repeat(64) as Digest;
const short = (n: number): string => String(n).repeat(16);
const at = (minute: number): string => `2026-01-01T00:0${minute}:00Z`;

const policy = (n: number, owners = [OWNER]): Published => ({
  kind: 'ConfigMap',
  metadata: {
    name: `auditconfig-${short(n)}`,
    labels: { 'auditconfig.dev/revision': short(n) },
    creationTimestamp: at(n),
    ownerReferences: owners,
  },
});
const webhook = (n: number): Published => ({
  kind: 'Secret',
  metadata: { ...policy(n).metadata, name: `auditconfig-${short(n)}-webhook` },
});
const credentials = (name: string, minute: number): Published => ({
  kind: 'Secret',
  metadata: {
    name: `auditconfig-${name}-credentials`,
    labels: { 'auditconfig.dev/part': 'credentials' },
    creationTimestamp: at(minute),
    ownerReferences: [OWNER],
  },
});
const names = (found: readonly Published[]): readonly string[] => found.map((o) => o.metadata.name).sort();
const nobody = { owner: 'w1', digests: [] as Digest[], named: new Set<string>() };

describe('published revisions that may be deleted', () => {
  it('are all but the newest three that nothing needs, policy and webhook together', () => {
    const all = [4, 1, 3, 2, 5].flatMap((n) => [policy(n), webhook(n)]);
    expect(names(unused(all, nobody))).toEqual([1, 2].flatMap((n) => names([policy(n), webhook(n)])));
  });

  it('are none that a digest, a template or a pod names, not by one of its objects only', () => {
    const all = [1, 2, 3, 4, 5, 6, 7].flatMap((n) => [policy(n), webhook(n)]);
    const named = new Set([`auditconfig-${short(2)}-webhook`]);
    expect(names(unused(all, { ...nobody, digests: [digest(1)], named }))).toEqual(
      [3, 4].flatMap((n) => names([policy(n), webhook(n)])),
    );
  });

  it('are none of another workload, or of several', () => {
    const other = { ...OWNER, uid: 'w2' };
    const all = [policy(1, [other]), policy(2, [OWNER, other]), policy(3, []), ...[4, 5, 6].map((n) => policy(n))];
    expect(unused(all, nobody)).toEqual([]);
  });

  it('keep credentials as long as a template names them, however old they are', () => {
    const all = [credentials('a', 1), credentials('b', 2), ...[4, 5, 6].map((n) => policy(n))];
    expect(names(unused(all, { ...nobody, named: new Set(['auditconfig-a-credentials']) }))).toEqual([
      'auditconfig-b-credentials',
    ]);
  });

  it('are looked for in projected volumes, plain ones, and whatever holds a template', () => {
    const template = {
      spec: {
        volumes: [
          { name: 'r', projected: { sources: [{ configMap: { name: 'a' } }, { secret: { name: 'b' } }] } },
          { name: 's', secret: { secretName: 'c' } },
          { name: 'm', configMap: { name: 'd' } },
        ],
      },
    };
    expect(namesIn([{ template }, undefined])).toEqual(['a', 'b', 'c', 'd']);
  });
});
