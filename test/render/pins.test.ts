/** What a datacenter refers to, pinned: what counts of it, what does not, and that it is read back as it was kept. */
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { contentDigest } from '../../src/config/datacenter.ts';
import type { DatacenterContent } from '../../src/config/types.ts';
import { changedSince, parsePinned, pinned, referenceKey, textOfPinned } from '../../src/render/pins.ts';
import type { Reference } from '../../src/render/references.ts';
import { Secret } from '../../src/render/types.ts';

const HOOK = referenceKey('Secret', 'op', 'hook');
const POLICY = referenceKey('ConfigMap', 'op', 'policy');
const CONTENT: DatacenterContent = {
  defaults: { policy: { configMapRef: { name: 'policy', namespace: 'op' } } },
  enforced: { webhook: { secretRef: { name: 'hook', namespace: 'op' } } },
};
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const there = (data: Readonly<Record<string, string>>): Reference => ({
  found: true,
  data: new Secret(Object.fromEntries(Object.entries(data).map(([k, v]) => [k, encode(v)]))),
});
const hook = (token: string, server = 'https://audit.example.org/'): Reference =>
  there({
    'webhook.yaml': stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
      users: [{ name: 'u', user: { token } }],
    }),
    other: token,
  });
const all = (webhook: Reference, policy = 'rules: []'): ReadonlyMap<string, Reference> =>
  new Map([
    [HOOK, webhook],
    [POLICY, there({ 'policy.yaml': policy, notes: Math.random().toString() })],
  ]);
const GONE: Reference = { found: false, why: 'NotFound' };
const WITH = pinned(CONTENT, all(hook('first')));

describe('what a datacenter refers to', () => {
  it('is a part of its digest, but for credentials and what nobody looks at', () => {
    const digest = contentDigest(WITH);
    expect(contentDigest(pinned(CONTENT, all(hook('second'))))).toBe(digest);
    expect(contentDigest(pinned(CONTENT, all(hook('first'), 'rules: [] ')))).not.toBe(digest);
    expect(contentDigest(pinned(CONTENT, all(hook('first', 'https://other.example.org/'))))).not.toBe(digest);
    expect(contentDigest(pinned(CONTENT, all(there({ 'webhook.yaml': 'rubbish' }))))).not.toBe(digest);
    expect(pinned({ enforced: { state: 'Enabled' } }, new Map())).toEqual({ enforced: { state: 'Enabled' } });
  });

  it('has changed, or not, since it was published', () => {
    expect(changedSince(WITH, all(hook('second')))).toEqual([]);
    expect(changedSince(WITH, all(hook('first', 'https://other.example.org/')))).toEqual([HOOK]);
    expect(changedSince(WITH, all(hook('first'), '')).concat(changedSince(WITH, all(GONE)))).toEqual([POLICY, HOOK]);
    // One that was not pinned is read as it is: it came later, or from a release that pinned nothing.
    expect(changedSince(CONTENT, all(hook('first')))).toEqual([]);
  });

  it('is kept with the keys that count and no other, and read back as long as it is that', () => {
    const text = textOfPinned(WITH, all(hook('second')));
    expect(Object.entries(JSON.parse(text) as object).map(([k, v]) => [k, Object.keys(v as object)])).toEqual([
      [POLICY, ['policy.yaml']],
      [HOOK, ['webhook.yaml']],
    ]);
    const read = parsePinned(WITH, text);
    expect([...read.keys()]).toEqual([POLICY, HOOK]);
    const bytes = read.get(HOOK);
    expect(bytes?.found === true && new TextDecoder().decode(bytes.data.reveal()['webhook.yaml'])).toContain('second');
    const forged = textOfPinned(WITH, all(hook('first', 'https://evil.example.org/')));
    expect([...parsePinned(WITH, forged).keys()]).toEqual([POLICY]);
    for (const rubbish of ['', '[]', '{"Secret/op/hook":7}', '{"Secret/op/hook":{"webhook.yaml":"?"}}'])
      expect(parsePinned(WITH, rubbish).size).toBe(0);
  });
});
