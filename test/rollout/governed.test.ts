/** What an owner cannot hold back, and what is kept of it meanwhile: decisions over plain data. */
import { describe, expect, it } from 'vitest';
import type { Datacenter, DatacenterContent } from '../../src/config/types.ts';
import { keptSecret, parseKept } from '../../src/render/last-valid.ts';
import type { Own } from '../../src/render/last-valid.ts';
import type { Reference } from '../../src/render/references.ts';
import { Secret } from '../../src/render/types.ts';
import { accept } from '../../src/rollout/accept.ts';
import { decide } from '../../src/rollout/decide.ts';
import { referenceKey } from '../../src/rollout/facts.ts';
import type { Facts, Governed } from '../../src/rollout/facts.ts';
import { HostedWorld } from './hosted-world.ts';
import { World } from './world.ts';

const holding = (text: string): Reference => ({
  found: true,
  data: new Secret({ 'policy.yaml': new TextEncoder().encode(text) }),
});
const kubeconfig = (server: string, proxy?: string): Reference => ({
  found: true,
  data: new Secret({
    'webhook.yaml': new TextEncoder().encode(
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        'current-context': 'a',
        contexts: [{ name: 'a', context: { cluster: 'a' } }],
        clusters: [{ name: 'a', cluster: { server, ...(proxy === undefined ? {} : { 'proxy-url': proxy }) } }],
      }),
    ),
  }),
});
const POLICY = 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Request\n';
const dc = (content: DatacenterContent, name = 'eu'): Datacenter => ({ name, content });
const EU = dc({ enforced: { log: { retention: { maxAgeDays: 90 } } } });
const governedBy = (datacenters: readonly Datacenter[], more: Partial<Governed> = {}): Governed => ({
  datacenters,
  unreadable: [],
  references: new Map(),
  ...more,
});
const factsOf = (spec: Record<string, unknown>, governed: Governed, more: Partial<Facts> = {}): Facts => {
  const w = new World(['a']);
  w.finalizer = true;
  w.spec = { target: { type: 'StaticPod' }, ...spec };
  return { ...w.facts(), governed, ...more };
};
const flag = (facts: Facts, name: string): unknown =>
  accept(facts).revision?.flags.find((f) => f.name === `--audit-log-${name}`)?.value;
const OWN: Own = { spec: { log: { retention: { maxBackups: 6 } } }, references: {} };
const BROKEN = { policy: { configMapRef: { name: 'gone' } } };

describe('an owner whose settings are not valid', () => {
  it('holds back nothing that is enforced: the last valid settings stay', () => {
    const facts = factsOf(BROKEN, governedBy([EU], { lastValid: OWN }));
    const accepted = accept(facts);
    expect(accepted).toMatchObject({ verdict: { status: 'False', reason: 'ReferenceNotFound' }, keeps: 'LastValid' });
    expect([flag(facts, 'maxage'), flag(facts, 'maxbackup')]).toEqual(['90', '6']);
    const d = decide(facts);
    expect(d.assign?.spec.desired.type).toBe('Revision');
    expect(d.keep).toBeUndefined();
    const degraded = d.status?.conditions?.find((c) => c.type === 'Degraded');
    expect(degraded).toMatchObject({ status: 'True', reason: 'LastValidKept' });
  });

  it('of whom no valid settings are known gets what datacenters say alone', () => {
    const facts = factsOf(BROKEN, governedBy([EU], { lastValid: 'Lost' }));
    expect(accept(facts).keeps).toBe('Nothing');
    expect([flag(facts, 'maxage'), flag(facts, 'maxbackup')]).toEqual(['90', '10']);
  });

  it('whose last valid settings are kept somewhere: they are read before anything is decided', () => {
    const facts = factsOf(BROKEN, governedBy([EU]), { status: { lastValid: { name: 'auditconfig-kept-1' } } });
    const d = decide(facts);
    expect(d).toMatchObject({ needsLastValid: true, finalizer: 'Keep' });
    expect([d.status, d.assign, d.publish]).toEqual([undefined, undefined, undefined]);
  });

  it('waits for nobody, and changes nothing, where a datacenter only has defaults', () => {
    const facts = factsOf(BROKEN, governedBy([dc({ defaults: { log: { type: 'Stdout' } } })], { lastValid: OWN }));
    expect(accept(facts)).toMatchObject({ verdict: { status: 'False' } });
    expect(accept(facts).revision).toBeUndefined();
  });

  it('does not get the node of another one for it', () => {
    const facts = factsOf({}, governedBy([EU], { lastValid: OWN }));
    const elsewhere: Facts = { ...facts, meta: { ...facts.meta, namespace: 'elsewhere' } };
    expect(accept(elsewhere).verdict.reason).toBe('NamespaceNotAllowed');
    expect(accept(elsewhere).revision).toBeUndefined();
  });
});

describe('an owner of a hosted control plane whose settings load, and that its workload cannot take', () => {
  const within = '/var/log/theirs/audit.log';
  /** With a volume that has no limit, and a container that has the shipper's name. */
  const hostedWorld = (): HostedWorld => {
    const w = new HostedWorld();
    const pod = w.object?.spec.template.spec as unknown as Record<string, Record<string, unknown>[]>;
    pod['volumes']?.push({ name: 'theirs', emptyDir: {} });
    (pod['containers']?.at(-1)?.['volumeMounts'] as object[]).push({ name: 'theirs', mountPath: '/var/log/theirs' });
    pod['containers']?.unshift({ name: 'audit-logs', image: 'theirs' });
    return w;
  };
  const SHIPPING = { type: 'FluentBit', fluentBit: { outputs: [{ Name: 'stdout' }] } };
  const args = (w: HostedWorld): string => JSON.stringify(w.object?.spec);

  it.each([
    [
      'a log on a volume without a limit',
      'LogVolumeUnlimited',
      { log: { file: { path: within }, retention: { maxBackups: 8 } } },
    ],
    [
      'a shipper beside a container of its name',
      'ContainerNameTaken',
      { shipping: SHIPPING, log: { retention: { maxBackups: 8 } } },
    ],
  ])('holds back nothing that is enforced: %s', (_name, code, spec) => {
    for (const lastValid of [OWN, 'Lost'] as const) {
      const w = hostedWorld();
      w.governed = governedBy([EU], { lastValid });
      w.spec = { log: { retention: { maxBackups: 6 } } };
      w.run();
      expect(args(w)).toContain('"--audit-log-maxage=90"');
      w.change(spec);
      w.governed = governedBy([dc({ enforced: { log: { retention: { maxAgeDays: 91 } } } })], { lastValid });
      w.run();
      expect(args(w)).toContain('"--audit-log-maxage=91"');
      expect(args(w)).toContain(`"--audit-log-maxbackup=${lastValid === 'Lost' ? 10 : 6}"`);
      expect([w.reason('Accepted'), w.reason('Degraded')]).toEqual(['InvalidSettings', 'LastValidKept']);
      expect(w.status.conditions?.find((c) => c.type === 'Accepted')?.message).toContain(`(${code})`);
    }
  });

  it('is told by its workload where no datacenter binds, and where that takes nothing at all', () => {
    const w = hostedWorld();
    w.governed = governedBy([dc({ defaults: {} })]);
    w.spec = { log: { file: { path: within } } };
    w.run();
    expect([w.reason('Accepted'), w.reason('RolledOut'), w.flags]).toEqual(['Valid', 'WorkloadRefused', 0]);
    const shell = new HostedWorld();
    shell.governed = governedBy([EU]);
    const container = shell.object?.spec.template.spec.containers.at(-1);
    if (container !== undefined) container.command = ['/bin/sh', '-c'];
    shell.run();
    expect([shell.reason('Accepted'), shell.reason('RolledOut')]).toEqual(['Valid', 'WorkloadRefused']);
  });
});

describe("an owner's webhook that sends to where a datacenter does not let it", () => {
  const own = { webhook: { secretRef: { name: 'mine' } }, log: { retention: { maxBackups: 8 } } };
  const references = { webhook: kubeconfig('https://audit.example.org/events') };
  const judged = (content: DatacenterContent, of = references) =>
    accept(factsOf(own, governedBy([dc(content)]), { references: of }));
  const to = (...destinations: readonly { host?: string; cidr?: string; ports?: number[] }[]): DatacenterContent => ({
    limits: { webhook: { destinations: [...destinations] } },
  });

  it('is left out, by name and with the reason, and everything else of the owner counts', () => {
    const { verdict, revision, effective } = judged(to({ host: '*.siem.example.org' }));
    expect(verdict).toMatchObject({ status: 'True', message: expect.stringContaining('WebhookDestination') as string });
    expect(verdict.message).toContain('spec.webhook (Datacenter/eu limits)');
    expect(effective?.ignored).toEqual([{ path: 'webhook', by: { from: 'Datacenter', name: 'eu', part: 'limits' } }]);
    expect(revision?.webhook).toBeUndefined();
    expect(revision?.flags.find((f) => f.name === '--audit-log-maxbackup')?.value).toBe('8');
  });

  it('stays where host and port are allowed, and the port of https counts where none is named', () => {
    expect(judged(to({ host: 'AUDIT.example.org.', ports: [443] })).revision?.webhook).toBeDefined();
    expect(judged(to({ host: 'audit.example.org', ports: [8443] })).revision?.webhook).toBeUndefined();
    expect(judged(to()).revision?.webhook).toBeUndefined();
    expect(judged({ limits: {} }).revision?.webhook).toBeDefined();
  });

  it('is left out when its proxy is elsewhere, although its server is allowed', () => {
    const through = (proxy: string) => ({ webhook: kubeconfig('https://audit.example.org/events', proxy) });
    const allowed = to({ host: 'audit.example.org' }, { cidr: '10.1.0.0/16', ports: [3128] });
    expect(judged(allowed, through('http://10.1.2.3:3128')).revision?.webhook).toBeDefined();
    expect(judged(allowed, through('http://10.1.2.3')).revision?.webhook).toBeUndefined();
    expect(judged(allowed, through('http://10.2.0.1:3128')).revision?.webhook).toBeUndefined();
  });

  it('of its defaults is the datacenter itself to blame for; what it enforces it need not allow', () => {
    const secretRef = { name: 'theirs', namespace: 'op' };
    const theirs = new Map([[referenceKey('Secret', 'op', 'theirs'), references.webhook]]);
    const of = (content: DatacenterContent) =>
      accept(factsOf({}, governedBy([dc({ ...to(), ...content })], { references: theirs })));
    const { verdict, keeps } = of({ defaults: { webhook: { secretRef } } });
    expect([verdict.status, verdict.reason, keeps]).toEqual(['False', 'InvalidWebhook', undefined]);
    expect(of({ enforced: { webhook: { secretRef } } }).revision?.webhook).toBeDefined();
  });
});

describe("an owner's pause", () => {
  const paused = { rollout: { paused: true }, log: { retention: { maxBackups: 8 } } };

  it('keeps what was valid before it, and lets through what is enforced', () => {
    const facts = factsOf(paused, governedBy([EU], { lastValid: OWN }));
    expect([flag(facts, 'maxage'), flag(facts, 'maxbackup')]).toEqual(['90', '6']);
    expect(accept(facts).effective?.spec.rollout.paused).toBe(false);
    expect(decide(facts).assign).toBeDefined();
    expect(decide(facts).keep).toBeUndefined();
  });

  it('holds as ever where no datacenter binds', () => {
    expect(decide(factsOf(paused, governedBy([dc({ defaults: {} })]))).assign).toBeUndefined();
  });
});

describe('what a datacenter refers to', () => {
  const enforcing = dc({ enforced: { policy: { configMapRef: { name: 'p', namespace: 'op' } } } });

  it('is read where it says, whatever the owner has of that name', () => {
    const references = new Map([[referenceKey('ConfigMap', 'op', 'p'), holding(POLICY)]]);
    const accepted = accept(factsOf({}, governedBy([enforcing], { references })));
    expect(new TextDecoder().decode(accepted.revision?.policy)).toContain('Request');
    const own = { policy: { configMapRef: { name: 'p' } } };
    const none = factsOf(own, governedBy([enforcing]), { references: { policy: holding(POLICY) } });
    expect(accept(none).verdict).toMatchObject({ status: 'False', reason: 'ReferenceNotFound' });
  });
});

describe('a datacenter whose content cannot be read', () => {
  it('changes nothing, and is named', () => {
    const accepted = accept(factsOf({}, governedBy([], { unreadable: ['eu'] })));
    expect(accepted.verdict).toMatchObject({ status: 'False', reason: 'DatacenterUnreadable' });
    expect(accepted.verdict.message).toContain('eu');
    expect(accepted.revision).toBeUndefined();
  });
});

describe('valid settings', () => {
  it('are kept before status names them, and only where a datacenter is known', () => {
    const d = decide(factsOf({}, governedBy([EU])));
    expect(d.keep?.spec).toEqual({});
    expect(d.status?.lastValid?.name).toMatch(/^auditconfig-kept-[0-9a-f]{16}$/);
    expect(d.status?.datacenters).toEqual([
      { name: 'eu', digest: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown, binding: true },
    ]);
    const { governed: _none, ...facts } = factsOf({}, governedBy([]));
    expect([decide(facts).keep, decide(facts).status?.lastValid]).toEqual([undefined, undefined]);
  });

  it('come back from where they are kept, with the bytes that they refer to', () => {
    const own: Own = { spec: { policy: { configMapRef: { name: 'p' } } }, references: { policy: holding(POLICY) } };
    const secret = keptSecret('uid-1', own, 'bundles');
    const back = parseKept('uid-1', secret);
    expect(back?.spec).toEqual(own.spec);
    const policy = back?.references.policy;
    expect(policy?.found === true ? new TextDecoder().decode(policy.data.reveal()['policy.yaml']) : '').toBe(POLICY);
  });

  it('are no more than a Secret holds, and hold up nothing where they are', () => {
    const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
    const of = (data: Readonly<Record<string, Uint8Array>>) => {
      const references = { policy: { found: true, data: new Secret(data) } as const };
      const spec = { policy: { configMapRef: { name: 'p' } } };
      return decide(factsOf(spec, governedBy([EU]), { references, status: { lastValid: { name: 'before' } } }));
    };
    const sizeOf = (own: Own): number => Buffer.from(keptSecret('u', own, 'b').data['own.json'], 'base64').length;
    const beside = of({ 'policy.yaml': encode(POLICY), unused: new Uint8Array(900_000) });
    expect(beside.keep === undefined ? Infinity : sizeOf(beside.keep)).toBeLessThan(2_000);
    const long = of({ 'policy.yaml': encode(`${POLICY}# ${'x'.repeat(900_000)}\n`) });
    expect([long.keep, long.status?.lastValid, long.assign?.spec.desired.type]).toEqual([
      undefined,
      { name: 'before' },
      'Revision',
    ]);
  });

  it('are not taken from a Secret that holds something else, or of another AuditConfig', () => {
    const secret = keptSecret('uid-1', OWN, 'bundles');
    expect(parseKept('uid-2', secret)).toBeUndefined();
    const other = keptSecret('uid-1', { ...OWN, spec: { state: 'Disabled' } }, 'bundles');
    expect(parseKept('uid-1', { ...secret, data: other.data })).toBeUndefined();
    expect(parseKept('uid-1', { ...secret, data: { 'own.json': 'e30=' } })).toBeUndefined();
    expect(JSON.stringify(OWN)).not.toContain('reveal');
  });
});
