/** What a datacenter refers to, kept beside its content: written once, replaced by a rotation, and gone with it. */
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { DatacenterContent } from '../../src/config/types.ts';
import { PinnedReferences } from '../../src/controllers/pinned.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { fail, ok } from '../../src/kube/errors.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { pinned, referenceKey } from '../../src/render/pins.ts';
import type { Reference } from '../../src/render/references.ts';
import { Secret } from '../../src/render/types.ts';
import { contentName } from '../../src/rollout/datacenter.ts';

const KEY = referenceKey('Secret', 'op', 'hook');
const DIGEST = 'd'.repeat(64);
const signal = new AbortController().signal;
const withToken = (token: string): ReadonlyMap<string, Reference> => {
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server: 'https://audit.example.org/' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
    users: [{ name: 'u', user: { token } }],
  };
  const data = { 'webhook.yaml': new TextEncoder().encode(stringify(kubeconfig)) };
  return new Map([[KEY, { found: true, data: new Secret(data) }]]);
};
const REFERRING: DatacenterContent = { enforced: { webhook: { secretRef: { name: 'hook', namespace: 'op' } } } };
const content = pinned(REFERRING, withToken('first'));

function world() {
  const objects = new Map<string, KubeObject>();
  const asked: string[] = [];
  const client = {
    create: (_: unknown, object: KubeObject) => {
      asked.push('create');
      if (objects.has(object.metadata.name)) return Promise.resolve(fail('AlreadyExists', 'there'));
      objects.set(object.metadata.name, object);
      return Promise.resolve(ok(object));
    },
    get: (_: unknown, { name }: { name: string }) => {
      asked.push('get');
      const found = objects.get(name);
      return Promise.resolve(found === undefined ? fail('NotFound', 'no') : ok(found));
    },
    delete: (_: unknown, { name }: { name: string }) => {
      asked.push('delete');
      return Promise.resolve(objects.delete(name) ? ok({}) : fail('NotFound', 'no'));
    },
  } as unknown as KubeClient;
  const start = (): PinnedReferences => new PinnedReferences(client, 'b');
  const tokenIn = async (p: PinnedReferences): Promise<string | undefined> => {
    const found = (await p.of(DIGEST, content, signal)).get(KEY);
    const text = found?.found === true ? new TextDecoder().decode(found.data.reveal()['webhook.yaml']) : '';
    return /token: (\w+)/.exec(text)?.[1];
  };
  return { start, tokenIn, asked: () => asked.splice(0), objects };
}

describe('what a datacenter refers to', () => {
  it('is kept once, and found by whoever starts anew', async () => {
    const w = world();
    const first = w.start();
    for (let i = 0; i < 2; i++)
      expect((await first.keep({ digest: DIGEST, content, references: withToken('first') }, signal)).ok).toBe(true);
    expect(w.asked()).toEqual(['create']);
    expect(await w.tokenIn(w.start())).toBe('first');
    w.asked();
    const again = w.start();
    await again.keep({ digest: DIGEST, content, references: withToken('first') }, signal);
    await again.keep({ digest: DIGEST, content, references: withToken('first') }, signal);
    expect(w.asked()).toEqual(['create', 'get']);
    expect(w.objects.get(contentName(DIGEST))?.['immutable']).toBe(true);
  });

  it('is there with its newest credentials for those whose turn comes late', async () => {
    const w = world();
    const p = w.start();
    await p.keep({ digest: DIGEST, content, references: withToken('first') }, signal);
    expect(await w.tokenIn(p)).toBe('first');
    await p.keep({ digest: DIGEST, content, references: withToken('second') }, signal);
    expect([await w.tokenIn(p), await w.tokenIn(w.start())]).toEqual(['second', 'second']);
  });

  it('goes with its content, and where there is none nothing is asked', async () => {
    const w = world();
    const p = w.start();
    await p.keep({ digest: DIGEST, content: { enforced: {} }, references: new Map() }, signal);
    expect(w.asked()).toEqual([]);
    await p.keep({ digest: DIGEST, content, references: withToken('first') }, signal);
    expect((await p.forget(contentName(DIGEST), signal)).ok).toBe(true);
    expect([w.objects.size, await w.tokenIn(p), (await p.forget('never', signal)).ok]).toEqual([0, undefined, true]);
  });
});
