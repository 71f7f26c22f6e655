/** A webhook in the life of an AuditConfig: its credentials rotate beside every rollout, its certificate ends, its condition comes and goes. */
import { describe, expect, it } from 'vitest';
import { credentialsName } from '../../src/render/bundle/names.ts';
import { Secret } from '../../src/render/types.ts';
import type { Digest } from '../../src/render/types.ts';
import type { DatacenterContent } from '../../src/config/types.ts';
import { accept } from '../../src/rollout/accept.ts';
import { decide } from '../../src/rollout/decide.ts';
import type { Governed } from '../../src/rollout/facts.ts';
import { Authority } from '../control-plane/pki.ts';
import { World } from './world.ts';

const DAY = 86_400_000;
const authority = new Authority('ca');
const b64 = (text: string): string => Buffer.from(text).toString('base64');
const user = (commonName: string, to: number): object => {
  const { cert, key } = authority.issue({
    commonName,
    usages: ['client'],
    valid: { from: new Date(to - 30 * DAY), to: new Date(to) },
  });
  return { 'client-certificate-data': b64(cert), 'client-key-data': b64(key) };
};
const kubeconfig = (of: object, server = 'https://r', cluster: object = {}): string =>
  JSON.stringify({
    clusters: [{ name: 'c', cluster: { server, ...cluster } }],
    users: [{ name: 'u', user: of }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  });

function hooked(names: readonly string[], text: string): World {
  const w = new World(names);
  w.change({ webhook: { secretRef: { name: 'w' } } });
  give(w, text);
  return w;
}
function give(w: World, text: string): void {
  const data = { 'webhook.yaml': new TextEncoder().encode(text) };
  w.references = { webhook: { found: true, data: new Secret(data) } };
}
const credentialsOf = (w: World): readonly (string | undefined)[] =>
  [...w.nodes.values()].map((n) => n.spec?.desired.revision?.credentials);

describe('another certificate or token', () => {
  it('reaches all nodes, restarts none, and is published before it is named', () => {
    const w = hooked(['a', 'b', 'c'], kubeconfig({ token: 'one' }));
    w.run();
    const digest = w.status.revision?.digest;
    const before = credentialsOf(w);
    expect(new Set(before).size).toBe(1);
    // Paused, and outside of every window: nothing restarts, so nothing waits.
    w.change({ rollout: { paused: true, windows: [{ start: '03:00', durationMinutes: 1 }] } });
    w.run();
    give(w, kubeconfig({ token: 'two' }));
    const d = decide(w.facts());
    expect(d.publish?.credentials?.reveal().token).toEqual(new TextEncoder().encode('two'));
    const told = d.assign?.spec.desired.revision;
    expect(credentialsName(told?.digest as Digest, told?.credentials as Digest)).toMatch(
      new RegExp(`^auditconfig-${digest?.slice(0, 16)}-credentials-[0-9a-f]{16}$`),
    );
    let restarted = 0;
    for (let i = 0; i < 10; i++) {
      w.act(decide(w.facts()));
      restarted += w.runAgents().length;
    }
    expect(restarted).toBe(0);
    expect(w.status.revision?.digest).toBe(digest);
    expect(new Set(credentialsOf(w)).size).toBe(1);
    expect(credentialsOf(w)[0]).not.toBe(before[0]);
    expect(w.condition('RolledOut')).toMatchObject({ status: 'True' });
    expect(decide(w.facts()).assign).toBeUndefined();
  });

  it('that comes with another receiver is a rollout', () => {
    const w = hooked(['a'], kubeconfig({ token: 'one' }));
    w.run();
    const digest = w.status.revision?.digest;
    give(w, kubeconfig({ token: 'two' }, 'https://other'));
    w.run();
    expect(w.status.revision?.digest).not.toBe(digest);
    expect(w.currents()).toEqual([w.status.revision?.digest]);
  });
});

describe('another certificate or token, while another revision waits', () => {
  const CLOSED = { paused: true };
  const other = { maxSize: 17 };
  /** Both run with the token `one`, and another policy waits. */
  const waiting = (text: string, change: Record<string, unknown> = {}): { w: World; digest: string } => {
    const w = hooked(['a', 'b'], kubeconfig({ token: 'one' }));
    w.run();
    const digest = w.status.revision?.digest ?? '';
    w.change({ rollout: CLOSED, webhook: { secretRef: { name: 'w' }, batch: other }, ...change });
    give(w, text);
    return { w, digest };
  };
  /** So many looks, half a minute apart: a certificate that has an end would be looked at day by day for ever. */
  const look = (w: World, times = 8): void => {
    for (let i = 0; i < times; i++) {
      w.act(decide(w.facts()));
      w.runAgents();
      w.now += 30_000;
    }
  };
  const tokenFor = (w: World): string => [...w.rotated.values()].map((c) => new TextDecoder().decode(c.token)).join();

  it('reaches the API servers that run the old one, and restarts none', () => {
    const { w, digest } = waiting(kubeconfig({ token: 'one' }));
    w.run();
    const before = credentialsOf(w);
    expect([w.condition('RolledOut')?.reason, tokenFor(w)]).toEqual(['Paused', '']);
    give(w, kubeconfig({ token: 'two' }));
    w.run();
    expect([...w.nodes.values()].map((n) => n.spec?.desired.revision?.digest)).toEqual([digest, digest]);
    expect([tokenFor(w), new Set(credentialsOf(w)).size]).toEqual(['two', 1]);
    expect(credentialsOf(w)[0]).not.toBe(before[0]);
    expect(w.currents()).toEqual([digest, digest]);
    expect(decide(w.facts()).assign).toBeUndefined();
    // Its turn comes, with what is the newest by then.
    w.change({ rollout: {} });
    w.run();
    expect(w.currents()).toEqual([w.status.revision?.digest, w.status.revision?.digest]);
    expect(w.condition('Degraded')).toMatchObject({ status: 'False' });
  });

  it('reaches them where the kubeconfig itself is another one, as long as it is of the same server and kind of user', () => {
    const { w } = waiting(kubeconfig({ token: 'two' }, 'https://r', { 'disable-compression': true }));
    w.run();
    expect([tokenFor(w), w.condition('Degraded')?.status]).toEqual(['two', 'False']);
  });

  it.each([
    ['another server', kubeconfig({ token: 'two' }, 'https://other')],
    ['another name in its certificate', kubeconfig({ token: 'two' }, 'https://r', { 'tls-server-name': 'x' })],
    ['another authority, which must not learn a token', kubeconfig({ token: 'two' }, 'https://r', { 'certificate-authority-data': b64(authority.cert) })],
    ['another kind of user', kubeconfig(user('one', Date.parse('2030-01-01')))],
    ['another user besides', kubeconfig({ ...user('one', Date.parse('2030-01-01')), token: 'two' })],
  ])('is not told to %s, and that is said', (_what, text) => {
    const { w, digest } = waiting(text);
    const before = credentialsOf(w);
    look(w);
    expect([credentialsOf(w), tokenFor(w)]).toEqual([before, '']);
    expect(w.condition('Degraded')).toMatchObject({ status: 'Unknown', reason: 'CredentialsWaiting' });
    expect(w.condition('RolledOut')).toMatchObject({ status: 'False', reason: 'Paused' });
    expect(w.condition('Degraded')?.message).toContain(`node a`);
    expect(w.condition('Degraded')?.message).not.toMatch(/two|https:/);
    w.change({ rollout: {} });
    look(w);
    expect(w.condition('Degraded')).toMatchObject({ status: 'False', reason: 'AsExpected' });
    expect(w.currents()).not.toContain(digest);
  }); // prettier-ignore

  it('is no alarm while an ordinary rollout to another receiver goes from node to node', () => {
    const w = hooked(['a', 'b', 'c'], kubeconfig({ token: 'one' }));
    w.run();
    const digest = w.status.revision?.digest;
    give(w, kubeconfig({ token: 'two' }, 'https://other'));
    const said = new Set<string | undefined>();
    const seen = new Set<number>();
    for (let i = 0; i < 12; i++) {
      w.act(decide(w.facts()));
      said.add(w.condition('Degraded')?.reason);
      seen.add(w.currents().filter((c) => c === digest).length);
      w.runAgents();
      w.now += 30_000;
    }
    expect([[...said], [...seen].sort()]).toEqual([['AsExpected'], [0, 1, 2, 3]]);
  });

  it('is an alarm where such a rollout takes longer than any should, without anybody who tells that time has passed', () => {
    const w = hooked(['a', 'b'], kubeconfig({ token: 'one' }));
    w.run();
    give(w, kubeconfig({ token: 'two' }, 'https://other'));
    w.act(decide(w.facts()));
    // The first node's agent is at it, and does not end.
    const node = w.nodes.get('a');
    if (node?.spec === undefined) throw new Error('it was told');
    node.status = { ...node.status, observedGeneration: node.generation, phase: 'Probing' };
    w.act(decide(w.facts()));
    expect([w.condition('RolledOut')?.reason, w.condition('Degraded')?.reason]).toEqual(['Progressing', 'AsExpected']);
    const { requeueAfterMs = 0 } = decide(w.facts());
    expect(requeueAfterMs).toBeGreaterThan(0);
    w.now += requeueAfterMs - 1_000;
    w.act(decide(w.facts()));
    expect(w.condition('Degraded')?.reason).toBe('AsExpected');
    w.now += 1_000;
    w.act(decide(w.facts()));
    expect(w.condition('Degraded')).toMatchObject({ status: 'Unknown', reason: 'CredentialsWaiting' });
  });

  it('says nothing where none of them is another one, or where no webhook is wanted any more', () => {
    const same = waiting(kubeconfig({ token: 'one' }, 'https://r', { 'disable-compression': true }));
    const moved = waiting(kubeconfig({ token: 'one' }, 'https://other'));
    const none = waiting(kubeconfig({ token: 'two' }), { webhook: undefined });
    delete none.w.spec['webhook'];
    for (const { w } of [same, moved, none]) {
      w.run();
      expect([tokenFor(w), w.condition('Degraded')?.reason]).toEqual(['', 'AsExpected']);
    }
  });

  it('is published before a node is told of it, and asks for no kubeconfig twice', () => {
    const { w, digest } = waiting(kubeconfig({ token: 'two' }));
    w.act(decide(w.facts()));
    const asked = decide({ ...w.facts(), older: new Map() });
    expect([asked.needsOlder, asked.status, asked.assign]).toEqual([[digest], undefined, undefined]);
    const d = decide(w.facts());
    expect(d.needsOlder).toBeUndefined();
    expect(d.rotate?.digest).toBe(digest);
    expect(d.assign?.spec.desired.revision).toMatchObject({ digest, credentials: d.rotate?.credentialsDigest });
    // What is gone is no reason to stop.
    expect(decide({ ...w.facts(), older: new Map([[digest, null]]) }).status).toBeDefined();
  });
});

describe('a client certificate', () => {
  it('is looked at again when it comes to its end, is refused then, and what runs stays', () => {
    const w = hooked(['a'], '');
    const end = w.now + 20 * DAY;
    give(w, kubeconfig(user('one', end)));
    for (let i = 0; i < 6; i++) {
      w.act(decide(w.facts()));
      w.runAgents();
    }
    const { digest } = w.status.revision ?? {};
    expect(w.currents()).toEqual([digest]);
    w.now = end - 15 * DAY;
    expect(w.condition('Accepted')?.message).not.toContain('WebhookCertificateExpiring');
    // No timer lasts for weeks, so it is a day at most.
    expect(decide(w.facts()).requeueAfterMs).toBeLessThanOrEqual(DAY);
    w.now = end - 14 * DAY;
    w.act(decide(w.facts()));
    expect(w.condition('Accepted')).toMatchObject({ status: 'True' });
    expect(w.condition('Accepted')?.message).toContain('WebhookCertificateExpiring');
    w.now = end - 3_600_000;
    expect(decide(w.facts()).requeueAfterMs).toBeLessThanOrEqual(3_600_000);
    w.now = end;
    w.act(decide(w.facts()));
    expect(w.condition('Accepted')).toMatchObject({ status: 'False', reason: 'InvalidWebhook' });
    expect(w.condition('Accepted')?.message).toMatch(/line 1, column \d+: .*\(WebhookCertificateExpired\)/);
    expect(decide(w.facts()).requeueAfterMs).toBeUndefined();
    expect(w.currents()).toEqual([digest]);
    give(w, kubeconfig(user('two', end + 300 * DAY)));
    w.act(decide(w.facts()));
    expect(w.condition('Accepted')).toMatchObject({ status: 'True' });
    expect(w.status.revision?.digest).toBe(digest);
  });
});

describe('WebhookDelivering', () => {
  it('is there with a webhook only, and makes Ready false where it is false', () => {
    const w = hooked(['a'], kubeconfig({ token: 'one' }));
    w.run();
    expect(w.condition('WebhookDelivering')).toMatchObject({ status: 'Unknown', reason: 'Pending' });
    expect(w.condition('Ready')?.status).toBe('True');
    const node = w.nodes.get('a');
    if (node === undefined) throw new Error('there is a node');
    const say = (result: 'Failing' | 'Delivering'): void => {
      const time = new Date(w.now).toISOString();
      node.status = { ...node.status, webhook: { digest: node.status.current ?? '', result, time, message: 'm' } };
      w.act(decide(w.facts()));
    };
    say('Failing');
    expect(w.condition('Ready')).toMatchObject({ status: 'False', reason: 'Failing' });
    say('Delivering');
    expect(w.condition('Ready')).toMatchObject({ status: 'True' });
    // A Secret that is gone says nothing of what runs.
    w.references = {};
    w.act(decide(w.facts()));
    expect(w.condition('Accepted')).toMatchObject({ status: 'False', reason: 'ReferenceNotFound' });
    expect(w.condition('WebhookDelivering')).toMatchObject({ status: 'True', reason: 'Delivering' });
    w.change({ webhook: undefined });
    delete w.spec['webhook'];
    w.run();
    expect(w.condition('WebhookDelivering')).toBeUndefined();
  });
});

describe('a mode that blocks', () => {
  const MODES = ['Blocking', 'BlockingStrict'] as const;
  const governed = (content: DatacenterContent): Governed => ({
    datacenters: [{ name: 'eu', content }],
    unreadable: [],
    references: new Map(),
  });
  const accepted = (spec: object, of?: Governed): string => {
    const w = hooked(['a'], kubeconfig({ token: 'one' }));
    w.change({ ...spec });
    const { verdict } = accept({ ...w.facts(), ...(of === undefined ? {} : { governed: of }) });
    return `${verdict.status} ${verdict.reason}`;
  };
  const asking = (mode: string): Record<string, unknown> => ({ webhook: { secretRef: { name: 'w' }, mode } });

  it('is refused where no datacenter permits it, and changes nothing', () => {
    const w = hooked(['a'], kubeconfig({ token: 'one' }));
    w.run();
    const before = w.currents();
    for (const mode of MODES) {
      w.change(asking(mode));
      w.run();
      expect(w.condition('Accepted')).toMatchObject({ status: 'False', reason: 'NotPermitted' });
      expect(w.condition('Accepted')?.message).toContain('WebhookModeNotPermitted');
      expect(w.currents()).toEqual(before);
      expect(accepted(asking(mode), governed({ defaults: { log: { type: 'File' } } }))).toBe('False NotPermitted');
    }
  });

  it('is what a datacenter lists, and no other one', () => {
    const of = governed({ limits: { webhook: { modes: ['Batch', 'Blocking'] } } });
    expect(accepted(asking('Blocking'), of)).toBe('True Valid');
    const w = hooked(['a'], kubeconfig({ token: 'one' }));
    w.change(asking('BlockingStrict'));
    const strict = accept({ ...w.facts(), governed: of });
    expect(strict.revision?.flags).toContainEqual({ name: '--audit-webhook-mode', value: 'batch' });
  });

  it('is for targets with somebody who holds the way back, and for no other one, whoever permits it', () => {
    const of = governed({ limits: { webhook: { modes: [...MODES] } } });
    for (const mode of MODES)
      for (const type of ['StaticPod', 'Systemd', 'K3s', 'RKE2']) {
        expect(accepted({ ...asking(mode), target: { type } }, of)).toBe('True Valid');
        expect(accepted({ ...asking(mode), target: { type } })).toBe('False NotPermitted');
      }
    for (const target of [
      { type: 'Hosted', hosted: { kind: 'Deployment', name: 'apiserver' } },
      { type: 'KubeadmControlPlane', kubeadmControlPlane: { name: 'cp' } },
      { type: 'TenantControlPlane', tenantControlPlane: { name: 'cp' } },
    ])
      expect(accepted({ ...asking('Blocking'), target }, of)).toBe('False Unsupported');
  });
});
