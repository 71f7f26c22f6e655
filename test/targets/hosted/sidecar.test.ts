/** The shipper in a hosted API server's pod: what it sees, what it may, and that it comes, changes and goes by itself. */
import { describe, expect, it } from 'vitest';
import { hosted, hostedView } from '../../../src/targets/hosted.ts';
import type { Revision, Shipping } from '../../../src/render/types.ts';
import { fromBundle } from '../../../src/render/bundle/read.ts';
import { hostedBundle } from '../../../src/render/bundle/write.ts';
import { digestOf } from '../../../src/render/digest.ts';
import { sample } from '../contract/hosted.ts';
import { ManagedPlace } from '../contract/managed.ts';
import type { SampleWorkload } from '../contract/hosted.ts';
import { revision } from '../revisions.ts';

const SPEC = { kind: 'Deployment', container: 'apiserver', config: 'main' } as const;
const SHIPPING: Shipping = {
  config: new TextEncoder().encode('service:\n'),
  image: 'fluent/fluent-bit:5.1.1',
  resources: { requests: { cpu: '10m', memory: '32Mi' }, limits: { memory: '128Mi' } },
  env: [
    { name: 'TOKEN', secretKeyRef: { name: 'splunk', key: 'token' } },
    { name: 'REGION', value: 'eu' },
  ],
  bufferBytes: 768 * 2 ** 20,
};
const A = revision({ shipping: SHIPPING });
const B = revision({ shipping: { ...SHIPPING, config: new TextEncoder().encode('service: {}\n') } });
const FILES: NonNullable<Shipping['files']> = [
  { name: 'ca.crt', configMapKeyRef: { name: 'ca-bundle', key: 'ca-bundle.pem' } },
  { name: 'client.key', secretKeyRef: { name: 'collector', key: 'tls.key' } },
];
const WITH_FILES = revision({ shipping: { ...SHIPPING, files: FILES } });
const WITHOUT = revision();

type Container = Record<string, unknown> & { volumeMounts: Record<string, unknown>[] };
const pod = (p: ManagedPlace): { containers: Container[]; volumes: Record<string, unknown>[] } =>
  (p.object as SampleWorkload).spec.template.spec as never;
const shipper = (p: ManagedPlace): Container | undefined => pod(p).containers.find((c) => c['name'] === 'audit-logs');
const place = (change: (d: SampleWorkload) => void = () => {}): ManagedPlace => {
  const d = structuredClone(sample('deployment')) as SampleWorkload;
  change(d);
  return new ManagedPlace(d, SPEC);
};

describe('the shipper of a hosted API server', () => {
  it('sees the log, read-only, its own buffer and configuration, and nothing else of the pod', async () => {
    const p = place();
    await p.bring(A);
    const mounts = shipper(p)?.volumeMounts ?? [];
    const where: Record<string, string> = Object.fromEntries(
      mounts.map((m) => [String(m['mountPath']), `${String(m['name'])}${m['readOnly'] === true ? ' ro' : ''}`]),
    );
    expect(where).toEqual({
      '/etc/auditconfig-shipping': 'auditconfig-shipping-config ro',
      '/var/lib/auditconfig-shipping': 'auditconfig-shipping',
      '/audit-logs': 'auditconfig-log ro',
      // In place of the token.
      '/var/run/secrets/kubernetes.io/serviceaccount': 'auditconfig-shipping ro',
    });
    const volumes: Record<string, unknown> = Object.fromEntries(pod(p).volumes.map((v) => [String(v['name']), v]));
    expect(volumes['auditconfig-shipping-config']).toEqual({
      name: 'auditconfig-shipping-config',
      configMap: {
        name: `auditconfig-${A.digest.slice(0, 16)}`,
        defaultMode: 0o644,
        items: [{ key: 'fluent-bit.yaml', path: 'fluent-bit.yaml' }],
      },
    });
    expect(volumes['auditconfig-shipping']).toEqual({ name: 'auditconfig-shipping', emptyDir: { sizeLimit: '768Mi' } });
    expect(JSON.stringify(pod(p).containers.find((c) => c['name'] === 'apiserver'))).not.toContain(
      'auditconfig-shipping',
    );
  });

  it('has no right that it does not need, and values of Secrets by their names only', async () => {
    const p = place();
    await p.bring(A);
    expect(shipper(p)?.['securityContext']).toEqual({
      allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] }, privileged: false,
      readOnlyRootFilesystem: true, seccompProfile: { type: 'RuntimeDefault' },
    }); // prettier-ignore
    expect(shipper(p)?.['env']).toEqual([
      {
        name: 'AUDITCONFIG_CLUSTER_ID',
        valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } },
      },
      { name: 'AUDITCONFIG_NODE', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'spec.nodeName' } } },
      { name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'splunk', key: 'token' } } },
      { name: 'REGION', value: 'eu' },
    ]);
  });

  it('has the files that it names, read-only, and no other container has them', async () => {
    const p = place();
    await p.bring(A);
    expect((await p.bring(WITH_FILES)).changes).toHaveLength(1);
    expect(shipper(p)?.volumeMounts).toContainEqual({
      name: 'auditconfig-shipping-files',
      mountPath: '/etc/auditconfig-shipping-files',
      readOnly: true,
    });
    expect(pod(p).volumes.find((v) => v['name'] === 'auditconfig-shipping-files')).toEqual({
      name: 'auditconfig-shipping-files',
      projected: {
        defaultMode: 0o644,
        sources: [
          { configMap: { name: 'ca-bundle', items: [{ key: 'ca-bundle.pem', path: 'ca.crt' }] } },
          { secret: { name: 'collector', items: [{ key: 'tls.key', path: 'client.key' }] } },
        ],
      },
    });
    const others = pod(p).containers.filter((c) => c !== shipper(p));
    expect(JSON.stringify(others)).not.toContain('auditconfig-shipping');
    expect([await p.drift(WITH_FILES), (await p.bring(WITH_FILES)).changes]).toEqual([[], []]);
    await p.bring(A);
    expect(JSON.stringify(p.object)).not.toContain('auditconfig-shipping-files');
  });

  it.each([
    ['arguments behind ours', { args: ['--dry-run'] }],
    ['variables from elsewhere', { envFrom: [{ configMapRef: { name: 'x' } }] }],
    ['a hook', { lifecycle: { postStart: { exec: { command: ['/bin/kill', '1'] } } } }],
  ])('that somebody gave %s is not the one of the revision', async (_name, added) => {
    const p = place();
    await p.bring(A);
    const ours = structuredClone(p.object);
    Object.assign(shipper(p) ?? {}, added);
    expect(await p.drift(A)).not.toEqual([]);
    await p.bring(A);
    expect(p.object).toEqual(ours);
    // What an API server fills in is none of it.
    Object.assign(shipper(p) ?? {}, {
      imagePullPolicy: 'IfNotPresent',
      terminationMessagePath: '/dev/termination-log',
    });
    expect(await p.drift(A)).toEqual([]);
  });

  it('runs as whom the API server runs as: nobody else can read the log', async () => {
    const p = place((d) => {
      const c = d.spec.template.spec.containers.find((x) => x.name === 'apiserver') as
        Record<string, unknown> | undefined;
      if (c !== undefined) c['securityContext'] = { runAsUser: 65532, runAsNonRoot: true, privileged: true };
    });
    await p.bring(A);
    expect(shipper(p)?.['securityContext']).toMatchObject({ runAsUser: 65532, runAsNonRoot: true, privileged: false });
  });

  it('is refused where only an image says whom that is', () => {
    const codes = (securityContext: object, to = A): readonly string[] => {
      const p = place((d) => Object.assign(d.spec.template.spec, { securityContext }));
      const plan = hosted.plan(to, { workload: p.object }, SPEC);
      return 'refused' in plan ? plan.refused.map((f) => f.code) : [];
    };
    expect(codes({ runAsNonRoot: true })).toEqual(['ShipperUserUnknown']);
    expect(codes({ runAsNonRoot: true, runAsUser: 65532 })).toEqual([]);
    expect(codes({ runAsNonRoot: true }, WITHOUT)).toEqual([]);
  });

  it('reads the log where its owner put it', async () => {
    const p = place((d) => {
      d.spec.template.spec.volumes.push({ name: 'logs', persistentVolumeClaim: { claimName: 'l' } });
      const c = d.spec.template.spec.containers.find((x) => x.name === 'apiserver');
      c?.volumeMounts.push({ name: 'logs', mountPath: '/var/log/kube-audit', subPath: 'a' });
    });
    await p.bring(A);
    expect(shipper(p)?.volumeMounts).toContainEqual({
      name: 'logs',
      subPath: 'a',
      mountPath: '/audit-logs',
      readOnly: true,
    });
  });

  it('comes, changes and goes in one patch each, and every other container stays where it is', async () => {
    const p = place();
    const before = p.snapshot();
    await p.bring(WITHOUT);
    const bare = pod(p).containers.length;
    expect((await p.bring(A)).changes).toHaveLength(1);
    expect(pod(p).containers).toHaveLength(bare + 1);
    expect([await p.bring(A), await p.drift(A)]).toMatchObject([{ changes: [] }, []]);
    expect((await p.bring(B)).changes).toHaveLength(1);
    expect(pod(p).volumes.find((v) => v['name'] === 'auditconfig-shipping-config')).toMatchObject({
      configMap: { name: `auditconfig-${B.digest.slice(0, 16)}` },
    });
    await p.bring(WITHOUT);
    expect([shipper(p), pod(p).containers.length]).toEqual([undefined, bare]);
    expect(JSON.stringify(pod(p).volumes)).not.toContain('auditconfig-shipping');
    await p.bring(A);
    await p.bring(null);
    expect(p.object).toEqual(before);
  });

  it('that somebody changed or took out is drift, and put right', async () => {
    const p = place();
    await p.bring(A);
    const c = shipper(p);
    if (c === undefined) throw new Error('no shipper');
    c['image'] = 'other:1';
    expect(await p.drift(A)).toEqual(['SidecarDrift']);
    await p.bring(A);
    expect([await p.drift(A), shipper(p)?.['image']]).toEqual([[], 'fluent/fluent-bit:5.1.1']);
    pod(p).containers.splice(
      pod(p).containers.findIndex((x) => x['name'] === 'audit-logs'),
      1,
    );
    expect(await p.drift(A)).toEqual(['SidecarDrift']);
    expect(await p.drift(null)).not.toEqual([]);
  });

  it('with what an API server fills in besides is no drift, and a template without us stays the same', async () => {
    const p = place();
    const base = (): string | undefined => {
      const view = hostedView({ workload: p.object }, SPEC);
      return 'ok' in view ? view.ok.base : undefined;
    };
    const bare = base();
    await p.bring(A);
    const c = shipper(p);
    Object.assign(c ?? {}, { imagePullPolicy: 'IfNotPresent', terminationMessagePath: '/dev/termination-log' });
    expect([await p.drift(A), (await p.bring(A)).changes, base()]).toEqual([[], [], bare]);
  });

  it('is refused where somebody else has a container of that name', () => {
    const p = place((d) =>
      d.spec.template.spec.containers.push({ name: 'audit-logs', image: 'x', args: [], volumeMounts: [] }),
    );
    const plan = hosted.plan(A, { workload: p.object }, SPEC);
    expect('refused' in plan ? plan.refused.map((f) => f.code) : []).toEqual(['ContainerNameTaken']);
    expect('refused' in hosted.plan(WITHOUT, { workload: p.object }, SPEC)).toBe(false);
  });
});

const published = (of: Revision) =>
  hostedBundle(of, { namespace: 'ns', hosting: { kind: 'Deployment', name: 'apiserver' } });

describe('a revision with a shipper', () => {
  it('is published in one object, and read back as it was; another configuration is another digest', () => {
    const [bundle] = published(A);
    expect(Object.keys(bundle?.data ?? {}).sort()).toEqual(['fluent-bit.yaml', 'policy.yaml', 'revision.json']);
    const read = fromBundle({ bundle, digest: A.digest, versions: ['1.36'] });
    expect(read.findings).toEqual([]);
    expect(read.revision?.shipping).toEqual(SHIPPING);
    expect(new Set([A, B, WITHOUT].map((r) => r.digest)).size).toBe(3);
    const changed = { ...bundle, data: { ...bundle?.data, 'fluent-bit.yaml': 'other' } };
    expect(fromBundle({ bundle: changed, digest: A.digest, versions: ['1.36'] }).findings.map((f) => f.code)).toEqual([
      'BundleDigest',
    ]);
    const { 'fluent-bit.yaml': _gone, ...rest } = bundle?.data ?? {};
    const lost = fromBundle({ bundle: { ...bundle, data: rest }, digest: A.digest, versions: ['1.36'] });
    expect(lost.findings.map((f) => f.code)).toEqual(['BundleMalformed']);
  });

  it('with files is another one, read back as it was', () => {
    const [bundle] = published(WITH_FILES);
    const read = fromBundle({ bundle, digest: WITH_FILES.digest, versions: ['1.36'] });
    expect([read.findings, read.revision?.shipping?.files]).toEqual([[], FILES]);
    expect(WITH_FILES.digest).not.toBe(A.digest);
  });

  it('a revision without one keeps the digest that it always had', () => {
    expect(digestOf(WITHOUT)).toBe(revision({}).digest);
    expect(Object.keys(JSON.parse(published(WITHOUT)[0]?.data['revision.json'] ?? '{}') as object)).not.toContain(
      'shipping',
    );
  });
});
