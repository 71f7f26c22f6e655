/**
 * Which NetworkPolicy a hosted control plane gets. A little of Kubernetes' own arithmetic of policies is played here, to ask
 * what counts: is any pod restricted by ours that was free before, and is anything let out that should not be?
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matchesLabels } from '../../src/api/label-selector.ts';
import type { LabelSelector, Labels } from '../../src/api/label-selector.ts';
import { egressName } from '../../src/render/egress/policy.ts';
import type { EgressPolicy, OtherPolicy } from '../../src/render/egress/policy.ts';
import { rangesOf } from '../../src/render/egress/refused.ts';
import { decideEgress } from '../../src/rollout/hosted/egress.ts';
import { DNS_SERVICE, lookups } from '../../src/rollout/hosted/egress-rules.ts';
import type { EgressDecision } from '../../src/rollout/hosted/egress.ts';
import type {
  DestinationRights,
  EgressFacts,
  EgressWish,
  OwnPolicy,
  PodsFact,
  ServiceFact,
} from '../../src/rollout/hosted/egress-facts.ts';

type Reach = Extract<EgressWish, { want: 'Reach' }>;
type More = Partial<Reach> & Partial<DestinationRights>;
const reach = (host: string, { allowed = [], enforced = false, ...more }: More = {}): Reach => ({
  want: 'Reach',
  destinations: [{ what: 'the webhook', host, port: 8443, protocol: 'TCP' }],
  rights: { 'the webhook': { allowed, enforced }, 'the shipper': { allowed: [], enforced: false } },
  silent: false,
  ...more,
});
const pods = (more: Partial<PodsFact> = {}): PodsFact => ({
  labels: { app: 'apiserver', version: '2' },
  selector: { matchLabels: { app: 'apiserver' } },
  dnsPolicy: 'ClusterFirst',
  nameservers: [],
  ...more,
});
const other = (name: string, podSelector: LabelSelector | undefined, more: Partial<OtherPolicy> = {}): OtherPolicy => ({
  name,
  uid: `uid-${name}`,
  created: '2026-01-01T00:00:00Z',
  podSelector,
  restricts: true,
  opens: false,
  ...more,
});
const DENY = other('default-deny', {});
const AUDIT: ServiceFact = {
  is: 'Selector',
  selector: { app: 'receiver' },
  headless: false,
  ports: [{ name: 'https', port: 8443, protocol: 'TCP', target: 'in' }],
};
const DNS: ServiceFact = {
  is: 'Selector',
  selector: { 'k8s-app': 'kube-dns' },
  headless: false,
  ports: [
    { name: 'dns', port: 53, protocol: 'UDP', target: 5353 },
    { name: 'dns-tcp', port: 53, protocol: 'TCP', target: 5353 },
    { name: 'metrics', port: 9153, protocol: 'TCP', target: 9153 },
  ],
};
const facts = (wish: EgressWish, more: Partial<EgressFacts> = {}): EgressFacts => ({
  namespace: 'tenant',
  kind: 'Deployment',
  name: 'apiserver',
  wish,
  pods: pods(),
  others: [DENY],
  existing: undefined,
  services: new Map<string, ServiceFact | null>([
    ['logging/audit', AUDIT],
    [DNS_SERVICE, DNS],
  ]),
  names: new Map([['audit.example.org', ['2001:db8::7', '203.0.113.7']]]),
  ranges: { nodes: rangesOf(['10.0.0.4']), services: rangesOf(['10.96.0.0/12']) },
  ...more,
});
const stored = (p: EgressPolicy, uid = 'ours'): OwnPolicy => ({
  uid,
  labels: p.metadata.labels,
  ownerReferences: structuredClone(p.metadata.ownerReferences),
  spec: structuredClone(p.spec),
});
const ours = (d: EgressDecision): EgressPolicy => {
  if (d.apply === undefined) throw new Error(`no policy: ${JSON.stringify(d)}`);
  return d.apply;
};
const said = ({ verdict }: EgressDecision): string =>
  verdict === undefined || verdict === 'AsBefore' ? String(verdict) : `${verdict.status} ${verdict.reason}`;
const own = (host = 'audit.logging.svc'): OwnPolicy => stored(ours(decideEgress(facts(reach(host)))));

const DNS_RULE = {
  to: [
    {
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } },
      podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } },
    },
  ],
  ports: [
    { protocol: 'UDP', port: 5353 },
    { protocol: 'TCP', port: 5353 },
  ],
};

describe('a policy of ours', () => {
  it('lets the pods reach a Service’s pods at their own port, and DNS', () => {
    const d = decideEgress(facts(reach('audit.logging.svc')));
    expect(said(d)).toBe('True Permitted');
    expect(ours(d)).toEqual({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: {
        name: egressName('Deployment', 'apiserver'),
        namespace: 'tenant',
        labels: { 'app.kubernetes.io/managed-by': 'auditconfig', 'auditconfig.dev/part': 'egress' },
        ownerReferences: [
          { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', name: 'default-deny', uid: 'uid-default-deny' },
        ],
      },
      spec: {
        podSelector: { matchLabels: { app: 'apiserver' } },
        policyTypes: ['Egress'],
        egress: [
          DNS_RULE,
          {
            to: [
              {
                namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'logging' } },
                podSelector: { matchLabels: { app: 'receiver' } },
              },
            ],
            ports: [{ protocol: 'TCP', port: 'in' }],
          },
        ].sort((a, b) => (JSON.stringify(a.ports) < JSON.stringify(b.ports) ? -1 : 1)),
      },
    });
  });

  it.each(['203.0.113.7', '2001:db8::7'])('to the address %s needs no DNS', (host) => {
    const { egress } = ours(decideEgress(facts(reach(host)))).spec;
    const cidr = host.includes(':') ? `${host}/128` : `${host}/32`;
    expect(egress).toEqual([{ to: [{ ipBlock: { cidr } }], ports: [{ protocol: 'TCP', port: 8443 }] }]);
  });

  it('to a name is one to all of its addresses, and to DNS', () => {
    const { egress } = ours(decideEgress(facts(reach('audit.example.org')))).spec;
    expect(egress).toHaveLength(3);
    expect(JSON.stringify(egress)).toContain('203.0.113.7/32');
    expect(JSON.stringify(egress)).toContain('2001:db8::7/128');
    expect(egress).toContainEqual(DNS_RULE);
  });

  it.each([
    ['a headless Service: nothing translates its port', { ...AUDIT, headless: true }, 8443],
    [
      'a Service with a numbered port',
      { ...AUDIT, ports: [{ name: '', port: 8443, protocol: 'TCP', target: 9880 }] },
      9880,
    ],
  ] as const)('to %s', (_what, service, port) => {
    const services = new Map<string, ServiceFact | null>([['logging/audit', service]]);
    const { egress } = ours(decideEgress(facts(reach('audit.logging.svc'), { services }))).spec;
    expect(egress.map((r) => r.ports[0]?.port)).toContain(port);
  });

  it('to a Service with endpoints of its own, and to one that stands for a name', () => {
    const endpoints: ServiceFact = { is: 'Endpoints', headless: false, ports: [{ name: 'a', port: 8443, protocol: 'TCP', target: 1 }], endpoints: [{ addresses: ['203.0.113.9', 'fe80::1'], ports: [{ name: 'a', port: 7 }, { name: 'b', port: 8 }] }] }; // prettier-ignore
    const d = decideEgress(facts(reach('x.y.svc'), { services: new Map([['y/x', endpoints]]) }));
    expect(said(d)).toBe('False DestinationRefused');
    expect(ours(d).spec.egress).toContainEqual({ to: [{ ipBlock: { cidr: '203.0.113.9/32' } }], ports: [{ protocol: 'TCP', port: 7 }] }); // prettier-ignore
    expect(JSON.stringify(ours(d))).not.toContain('fe80');
    const services = new Map<string, ServiceFact>([['y/x', { is: 'ExternalName', name: 'audit.example.org' }]]);
    expect(lookups(reach('x.y.svc'), 'tenant', services).names).toEqual(['audit.example.org']);
    expect(JSON.stringify(ours(decideEgress(facts(reach('x.y.svc'), { services }))))).toContain('203.0.113.7/32');
  });

  it('asks the servers that the pods ask', () => {
    const none = pods({ dnsPolicy: 'None', nameservers: ['10.9.9.9', 'rubbish'] });
    const { egress } = ours(decideEgress(facts(reach('audit.logging.svc'), { pods: none }))).spec;
    expect(egress).toContainEqual({ to: [{ ipBlock: { cidr: '10.9.9.9/32' } }], ports: [{ protocol: 'UDP', port: 53 }, { protocol: 'TCP', port: 53 }] }); // prettier-ignore
    const nodes = pods({ dnsPolicy: 'Default' });
    expect(ours(decideEgress(facts(reach('audit.logging.svc'), { pods: nodes }))).spec.egress).toHaveLength(1);
    const unread = new Map<string, ServiceFact | null>([['logging/audit', AUDIT]]);
    const plain = ours(decideEgress(facts(reach('audit.logging.svc'), { services: unread }))).spec.egress;
    expect(JSON.stringify(plain)).toContain('"port":53');
  });

  it('is not written again where it is there as wanted, and is where it is not', () => {
    const there = own();
    const f = facts(reach('audit.logging.svc'), { existing: there });
    expect(decideEgress(f).apply).toBeUndefined();
    const touched: readonly Partial<OwnPolicy>[] = [
      { labels: {} },
      { ownerReferences: undefined },
      { spec: { ...(there.spec as object), egress: [{}] } },
    ];
    for (const change of touched) expect(decideEgress({ ...f, existing: { ...there, ...change } }).apply).toBeDefined();
  });

  it('is the same whatever the order in which things are told', () => {
    const one = facts(reach('audit.example.org'), { others: [DENY, other('b', {})] });
    const two = {
      ...one,
      others: [other('b', {}), DENY],
      names: new Map([['audit.example.org', ['203.0.113.7', '2001:db8::7']]]),
    };
    expect(decideEgress(two)).toEqual(decideEgress(one));
  });
});

describe('a shipper in the pod', () => {
  const shipper = { what: 'the shipper', port: 514, protocol: 'UDP' } as const;
  const webhook = { what: 'the webhook', host: '203.0.113.7', port: 8443, protocol: 'TCP' } as const;

  it('is let out by the same policy, by its own protocol and its own limits', () => {
    const destinations = [webhook, { ...shipper, host: '10.0.0.4' }];
    const refused = decideEgress(facts(reach('', { destinations })));
    expect([said(refused), ours(refused).spec.egress.length]).toEqual(['False DestinationRefused', 1]);
    const rights = { ...reach('').rights, 'the shipper': { allowed: [[{ cidr: '10.0.0.4/32' }]], enforced: false } };
    const { egress } = ours(decideEgress(facts(reach('', { destinations, rights })))).spec;
    expect(egress).toContainEqual({
      to: [{ ipBlock: { cidr: '10.0.0.4/32' } }],
      ports: [{ protocol: 'UDP', port: 514 }],
    });
  });

  it('whose host is not known is said, and holds nothing else back', () => {
    const d = decideEgress(facts(reach('', { destinations: [webhook, { ...shipper, host: '', port: 0 }] })));
    expect([said(d), ours(d).spec.egress.length]).toEqual(['False DestinationUnknown', 1]);
  });
});

describe('no policy of ours', () => {
  const absent = (more: Partial<EgressFacts>, wish: EgressWish = reach('audit.logging.svc')): void => {
    const without = decideEgress(facts(wish, more));
    expect([without.apply, without.remove]).toEqual([undefined, undefined]);
    const there = decideEgress(facts(wish, { ...more, existing: own() }));
    expect([there.apply, there.remove]).toEqual([
      undefined,
      { name: egressName('Deployment', 'apiserver'), uid: 'ours' },
    ]);
  };

  it('is there while nothing restricts the pods', () => {
    absent({ others: [] });
    absent({ others: [other('elsewhere', { matchLabels: { app: 'etcd' } })] });
    absent({ others: [other('opens', {}, { restricts: false, opens: true }), DENY] });
    expect(said(decideEgress(facts(reach('audit.logging.svc'), { others: [] })))).toBe('True NotRestricted');
  });

  it('is there on the host’s network, without a webhook, without the workload', () => {
    absent({}, { want: 'Nothing', said: 'host network' });
    absent({}, { want: 'Nothing' });
    absent({ pods: null });
  });

  it('stays when nothing restricts the pods any more, whatever else is not known', () => {
    absent({ others: [] }, { want: 'Keep' });
    absent({ others: [], services: new Map(), names: new Map(), ranges: undefined });
  });

  it.each([
    ['the wish', { wish: { want: 'Keep' } }],
    ['where the webhook is', { services: new Map() }],
  ] as const)('of before restricts more than what restricts the pods now, while %s is not known', (_what, more) => {
    const narrow = other('narrow', { matchLabels: { version: '2' } });
    const f = facts(reach('audit.logging.svc'), { existing: own(), others: [narrow], ...more });
    const { spec, metadata } = ours(decideEgress(f));
    expect(spec.podSelector).toEqual({ matchLabels: { app: 'apiserver', version: '2' } });
    expect(spec.egress).toEqual((own().spec as EgressPolicy['spec']).egress);
    expect(metadata.ownerReferences[0].name).toBe('narrow');
  });

  it('is made of what is not known yet; what is there stays', () => {
    const unknown: readonly Partial<EgressFacts>[] = [
      { others: undefined },
      { services: new Map() },
      { pods: undefined },
    ];
    for (const more of unknown) {
      const d = decideEgress(facts(reach('audit.logging.svc'), { ...more, existing: own() }));
      expect([d.apply, d.remove, said(d)]).toEqual([undefined, undefined, 'Unknown Pending']);
    }
    const named = { names: new Map(), existing: own('audit.example.org') };
    expect(decideEgress(facts(reach('audit.example.org'), named))).toMatchObject({ verdict: { reason: 'Pending' } });
    expect(said(decideEgress(facts(reach('203.0.113.7'), { ranges: undefined })))).toBe('Unknown Pending');
  });

  it.each([
    ['a Service that is not there', 'audit.logging.svc', { services: new Map([['logging/audit', null]]) }],
    ['a port that it has not', 'audit.logging.svc', { services: new Map([['logging/audit', { ...AUDIT, ports: [{ name: '', port: 8443, protocol: 'UDP', target: 1 }] }]]) }], // prettier-ignore
    ['a name that does not resolve', 'audit.example.org', { names: new Map([['audit.example.org', []]]) }],
  ])('is made for %s', (_what, host, more) => {
    const d = decideEgress(facts(reach(host), { ...more, existing: own() }));
    expect([said(d), d.remove !== undefined]).toEqual(['False DestinationUnknown', true]);
  });
});

describe('what is refused', () => {
  it.each(['169.254.169.254', '127.0.0.1', '10.0.0.4', '10.96.0.10', '::1'])('%s', (host) => {
    const d = decideEgress(facts(reach(host)));
    expect([said(d), d.apply]).toEqual(['False DestinationRefused', undefined]);
    expect(JSON.stringify(d.verdict)).not.toContain(host);
  });

  it('by a name is left out, and the rest stays', () => {
    const names = new Map([['audit.example.org', ['169.254.169.254', '203.0.113.7']]]);
    const d = decideEgress(facts(reach('audit.example.org'), { names }));
    expect(said(d)).toBe('False DestinationRefused');
    expect(JSON.stringify(ours(d))).toContain('203.0.113.7/32');
    expect(JSON.stringify(ours(d))).not.toContain('169.254');
  });

  it('is what every datacenter that limits names itself, and is lifted by those alone', () => {
    const allowed = [[{ cidr: '10.0.0.4/32' }], [{ cidr: '10.0.0.0/24' }]];
    expect(said(decideEgress(facts(reach('10.0.0.4', { allowed: allowed.slice(0, 1) }))))).toBe('True Permitted');
    expect(said(decideEgress(facts(reach('10.0.0.4', { allowed }))))).toBe('False DestinationRefused');
  });

  it('is not what a datacenter wrote itself, as an address', () => {
    expect(said(decideEgress(facts(reach('10.0.0.4', { enforced: true }))))).toBe('True Permitted');
    const names = new Map([['audit.example.org', ['10.0.0.4']]]);
    expect(said(decideEgress(facts(reach('audit.example.org', { enforced: true }), { names })))).toBe(
      'False DestinationRefused',
    );
  });

  it('is also where a Service stands for a host that a datacenter does not allow', () => {
    const services = new Map<string, ServiceFact>([['tenant/x', { is: 'ExternalName', name: 'audit.example.org' }]]);
    const allowed = [[{ host: 'x.tenant.svc' }]];
    expect(said(decideEgress(facts(reach('x.tenant.svc', { allowed }), { services })))).toBe(
      'False DestinationRefused',
    );
    const both = [[{ host: 'x.tenant.svc' }, { host: '*.example.org', ports: [8443] }]];
    expect(said(decideEgress(facts(reach('x.tenant.svc', { allowed: both }), { services })))).toBe('True Permitted');
  });
});

const key = fc.constantFrom('app', 'tier', 'version');
const value = fc.constantFrom('a', 'b');
const labels: fc.Arbitrary<Labels> = fc.dictionary(key, value, { maxKeys: 3, noNullPrototype: true });
const selector: fc.Arbitrary<LabelSelector> = fc
  .record({
    matchLabels: fc.dictionary(key, value, { maxKeys: 2, noNullPrototype: true }),
    matchExpressions: fc.array(
      fc.oneof(
        fc.record({
          key,
          operator: fc.constantFrom('In' as const, 'NotIn' as const),
          values: fc.array(value, { minLength: 1, maxLength: 2 }),
        }),
        fc.record({ key, operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const) }),
      ),
      { maxLength: 2 },
    ),
  })
  .map((s) => structuredClone(s));
const otherPolicy = fc
  .record({
    name: fc.constantFrom('p', 'q', 'r'),
    podSelector: selector,
    opens: fc.boolean(),
    about: fc.boolean(),
    day: fc.nat(3),
  })
  .map(({ name, podSelector, opens, about, day }) =>
    other(`${name}${day}`, podSelector, {
      restricts: about && !opens,
      opens: about && opens,
      created: `2026-01-0${day + 1}T00:00:00Z`,
    }),
  );
const host = fc.constantFrom(
  'audit.logging.svc',
  'audit.example.org',
  '203.0.113.7',
  '169.254.169.254',
  '10.0.0.4',
  'fd00::9',
  'gone.x.svc',
);
const address = fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom('169.254.169.254', '10.96.1.1', '127.0.0.1'));
const world = fc.record({
  podLabels: labels,
  podSelector: selector,
  others: fc.uniqueArray(otherPolicy, { maxLength: 4, selector: (o) => o.name }),
  host,
  addresses: fc.array(address, { maxLength: 4 }),
  unknown: fc.constantFrom('Nothing', 'Services', 'Names', 'Ranges'),
  wish: fc.constantFrom('Reach', 'Keep', 'Nothing'),
});
type World = typeof world extends fc.Arbitrary<infer T> ? T : never;
const factsOf = (w: World, existing: OwnPolicy | undefined): EgressFacts =>
  facts(w.wish === 'Reach' ? reach(w.host) : { want: w.wish as 'Keep' | 'Nothing' }, {
    pods: pods({ labels: w.podLabels, selector: w.podSelector }),
    others: w.others,
    existing,
    names: w.unknown === 'Names' ? new Map() : new Map([['audit.example.org', w.addresses]]),
    ...(w.unknown === 'Services' ? { services: new Map() } : {}),
    ...(w.unknown === 'Ranges' ? { ranges: undefined } : {}),
  });
/** What is there after the decision. */
const after = (f: EgressFacts): OwnPolicy | undefined => {
  const d = decideEgress(f);
  if (d.remove !== undefined) return undefined;
  return d.apply === undefined ? f.existing : stored(d.apply);
};
const specOf = (p: OwnPolicy): EgressPolicy['spec'] => p.spec as EgressPolicy['spec'];

describe('whatever the policies, labels, hosts and answers, one world after another', () => {
  /** The second is another one, or the first with other policies and something unknown. */
  const worlds = fc.oneof(
    fc.tuple(world, world),
    fc.tuple(world, world).map(([a, b]): [World, World] => [
      { ...a, wish: 'Reach', unknown: 'Nothing', host: 'audit.logging.svc' },
      { ...a, others: b.others, wish: b.wish, unknown: b.unknown, host: 'audit.logging.svc' },
    ]),
  );

  it('ours selects no pod that nothing else restricts', () => {
    fc.assert(
      fc.property(worlds, fc.array(labels, { minLength: 8, maxLength: 8 }), ([first, second], some) => {
        let there: OwnPolicy | undefined;
        for (const w of [first, second]) {
          there = after(factsOf(w, there));
          if (there === undefined) continue;
          for (const pod of [...some, w.podLabels])
            if (matchesLabels(specOf(there).podSelector, pod))
              expect(w.others.some((o) => o.restricts && matchesLabels(o.podSelector, pod))).toBe(true);
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it('ours lets out to single addresses and named pods, at named ports, and to nothing that is refused', () => {
    fc.assert(
      fc.property(world, (w) => {
        const there = after(factsOf(w, undefined));
        for (const { to, ports } of there === undefined ? [] : specOf(there).egress) {
          expect([to.length, ports.length > 0]).toEqual([1, true]);
          const [peer] = to;
          if (peer === undefined || !('ipBlock' in peer)) continue;
          expect(peer.ipBlock.cidr).toMatch(/\/(32|128)$/);
          expect(peer.ipBlock.cidr).not.toMatch(/^(169\.254\.|127\.|10\.96\.|10\.0\.0\.4\/)/);
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it('what was decided is not decided again', () => {
    fc.assert(
      fc.property(worlds, ([first, second]) => {
        const there = after(factsOf(second, after(factsOf(first, undefined))));
        const again = decideEgress(factsOf(second, there));
        expect([again.apply, again.remove]).toEqual([undefined, undefined]);
      }),
      { numRuns: 3_000 },
    );
  });
});
