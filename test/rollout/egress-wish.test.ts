/** When a hosted control plane wants a NetworkPolicy, and for which revisions' webhooks. */
import { describe, expect, it } from 'vitest';
import type { Accepted } from '../../src/rollout/accept.ts';
import { egressWishOf } from '../../src/rollout/hosted/egress-wish.ts';
import type { WishInput } from '../../src/rollout/hosted/egress-wish.ts';
import { Secret } from '../../src/render/types.ts';

const KUBECONFIG = JSON.stringify({ clusters: [{ cluster: { server: 'https://audit.example.org' } }] });
const accepted = (networkPolicy: 'Auto' | 'None' | undefined, set?: object): Accepted =>
  ({
    effective: {
      spec: { state: 'Enabled', ...(networkPolicy === undefined ? {} : { webhook: { networkPolicy } }) },
      provenance: set === undefined ? {} : { 'webhook.secretRef': { set, overrode: [] } },
    },
    revision: { digest: 'new', ...(networkPolicy === undefined ? {} : { webhook: new Secret(new TextEncoder().encode(KUBECONFIG)) }) },
  }) as unknown as Accepted; // prettier-ignore
const input = (more: Partial<WishInput> = {}): WishInput => ({
  accepted: accepted('Auto'),
  workload: { object: {} } as WishInput['workload'],
  view: { hostNetwork: false } as WishInput['view'],
  memory: { lastKnownGood: 'new' },
  removing: 'No',
  datacenters: [],
  ...more,
});
const webhookIs = (enforced: boolean): object => ({ rights: { 'the webhook': { enforced } } });
const want = (more: Partial<WishInput>): string => egressWishOf(input(more)).want;

describe('what pods must reach', () => {
  it('is the webhook of what is wanted', () => {
    expect(egressWishOf(input())).toEqual({
      want: 'Reach',
      destinations: [{ what: 'the webhook', host: 'audit.example.org', port: 443, protocol: 'TCP' }],
      rights: {
        'the webhook': { allowed: [], enforced: false },
        'the shipper': { allowed: [], enforced: false },
      },
      silent: false,
    });
  });

  it('and that of the last good revision while others may run it, the one without a webhook included', () => {
    expect(egressWishOf(input({ memory: { lastKnownGood: 'old' } }))).toMatchObject({ want: 'Reach', also: 'old' });
    const gone = { accepted: accepted(undefined), memory: { lastKnownGood: 'old' } };
    expect(egressWishOf(input(gone))).toMatchObject({ destinations: [], also: 'old', silent: true });
    expect(want({ accepted: accepted(undefined) })).toBe('Nothing');
  });

  it('is nothing with networkPolicy None, on the host’s network, without a workload, and after removal', () => {
    expect(want({ accepted: accepted('None') })).toBe('Nothing');
    expect(egressWishOf(input({ view: { hostNetwork: true } as WishInput['view'] }))).toMatchObject({ want: 'Nothing', said: expect.any(String) as string }); // prettier-ignore
    expect(want({ workload: { object: null } as WishInput['workload'] })).toBe('Nothing');
    expect(want({ removing: 'Done' })).toBe('Nothing');
  });

  it('is not known while flags are taken out, where the spec is refused, and where the workload cannot be read', () => {
    expect(want({ removing: 'Begun' })).toBe('Keep');
    const refused = { verdict: accepted('Auto').verdict, findings: [] };
    expect(want({ accepted: refused })).toBe('Keep');
    expect(want({ view: undefined })).toBe('Keep');
    expect(want({ workload: { object: null, forbidden: 'no' } as WishInput['workload'], view: undefined })).toBe(
      'Keep',
    );
  });

  it('is a datacenter’s own word where it enforces the webhook', () => {
    const by = (part: string): object => ({ from: 'Datacenter', name: 'eu', part });
    expect(egressWishOf(input({ accepted: accepted('Auto', by('enforced')) }))).toMatchObject(webhookIs(true));
    expect(egressWishOf(input({ accepted: accepted('Auto', by('defaults')) }))).toMatchObject(webhookIs(false));
  });

  it('is the shipper’s too, and the shipper’s alone where there is no webhook', () => {
    const config = new TextEncoder().encode('pipeline: {outputs: [{name: forward, host: logs.example.org}]}');
    const alone = accepted(undefined);
    const revision = { ...alone.revision, shipping: { config } } as unknown as NonNullable<Accepted['revision']>;
    const list = [{ host: 'logs.example.org' }];
    const datacenters = [{ name: 'eu', content: { limits: { shipping: { destinations: list } } } }];
    expect(egressWishOf(input({ accepted: { ...alone, revision }, datacenters }))).toMatchObject({
      destinations: [{ what: 'the shipper', host: 'logs.example.org', port: 24224, protocol: 'TCP' }],
      rights: { 'the shipper': { allowed: [list], enforced: false } },
      silent: false,
    });
    const none = accepted('None');
    expect(want({ accepted: { ...none, revision: { ...revision, ...none.revision } as typeof revision } })).toBe(
      'Nothing',
    );
  });
});
