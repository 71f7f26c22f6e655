/** The shipper of control-plane nodes, as a decision: what it is, when it is written, and that nothing else waits for it. */
import { describe, expect, it } from 'vitest';
import { decide } from '../../src/rollout/decide.ts';
import type { Decision } from '../../src/rollout/decide.ts';
import { World } from './world.ts';

const FLUENT_BIT = {
  outputs: [{ Name: 'forward', Host: 'collector' }],
  env: [{ name: 'T', secretKeyRef: { name: 's', key: 'k' } }],
};
const SHIPPING = { shipping: { type: 'FluentBit', fluentBit: FLUENT_BIT } };
const world = (spec: Record<string, unknown> = SHIPPING): World => {
  const w = new World(['a', 'b']);
  w.finalizer = true;
  w.shipper = { object: null, clusterId: 'c0ffee' };
  w.change(spec);
  return w;
};
const condition = (d: Decision): string | undefined => {
  const c = d.status?.conditions?.find((x) => x.type === 'Shipping');
  return c === undefined ? undefined : `${c.status} ${c.reason}`;
};
/** As an API server stores what is applied, and as a DaemonSet's controller counts. */
const stored = (apply: object, status: Record<string, number> = {}): Record<string, unknown> => {
  const object = JSON.parse(JSON.stringify(apply)) as { metadata: object; spec: object };
  return {
    ...object,
    metadata: { ...object.metadata, generation: 2, resourceVersion: '7' },
    spec: { ...object.spec, revisionHistoryLimit: 10 },
    status: {
      observedGeneration: 2,
      desiredNumberScheduled: 2,
      updatedNumberScheduled: 2,
      numberAvailable: 2,
      ...status,
    },
  };
};

describe('the shipper of control-plane nodes', () => {
  it('is a DaemonSet on the nodes of the target, with the log’s folder and its own, and nothing else', () => {
    const { apply } =
      decide(world({ ...SHIPPING, log: { file: { path: '/var/log/a/x.log', readerGroup: 2000 } } }).facts()).shipper ??
      {};
    const pod = apply?.spec.template.spec;
    expect(apply?.metadata.name).toBe('auditconfig-shipping-main-u1');
    expect(pod?.nodeSelector).toEqual({ 'kubernetes.io/os': 'linux', 'node-role.kubernetes.io/control-plane': '' });
    expect(pod?.automountServiceAccountToken).toBe(false);
    expect(pod?.volumes.flatMap((v) => ('hostPath' in v ? [v.hostPath] : []))).toEqual([
      { path: '/var/lib/auditconfig-shipping', type: 'DirectoryOrCreate' },
      { path: '/var/log/a', type: 'Directory' },
    ]);
    expect(pod?.containers).toMatchObject([
      {
        name: 'audit-logs',
        env: [{ name: 'AUDITCONFIG_CLUSTER_ID', value: 'c0ffee' }, { name: 'AUDITCONFIG_NODE' }, { name: 'T' }],
        securityContext: {
          runAsUser: 0,
          runAsGroup: 2000,
          capabilities: { drop: ['ALL'] },
          readOnlyRootFilesystem: true,
        },
        volumeMounts: [
          { mountPath: '/etc/auditconfig-shipping', readOnly: true },
          { mountPath: '/var/lib/auditconfig-shipping' },
          { name: 'auditconfig-log', mountPath: '/audit-logs', readOnly: true },
        ],
      },
    ]);
    expect(apply?.spec.template.metadata.annotations['auditconfig.dev/fluent-bit']).toContain('"host": "collector"');
  });

  it('mounts the files that its outputs name', () => {
    const files = [{ name: 'ca.crt', secretKeyRef: { name: 'collector', key: 'ca.crt' } }];
    const outputs = [{ Name: 'forward', Host: 'collector', TLS: 'on', 'tls.ca_file': 'ca.crt' }];
    const w = world({ shipping: { type: 'FluentBit', fluentBit: { files, outputs } } });
    const { template } = decide(w.facts()).shipper?.apply?.spec ?? {};
    expect(template?.spec.volumes).toContainEqual({
      name: 'auditconfig-shipping-files',
      projected: {
        defaultMode: 0o644,
        sources: [{ secret: { name: 'collector', items: [{ key: 'ca.crt', path: 'ca.crt' }] } }],
      },
    });
    const [container] = template?.spec.containers ?? [];
    expect(JSON.stringify(container)).toContain('"mountPath":"/etc/auditconfig-shipping-files","readOnly":true');
    const text = template?.metadata.annotations['auditconfig.dev/fluent-bit'];
    expect(text).toContain('"tls.ca_file": "/etc/auditconfig-shipping-files/ca.crt"');
  });

  it('changes no digest: another output restarts no API server', () => {
    const digest = (spec: Record<string, unknown>): string | undefined => decide(world(spec).facts()).publish?.digest;
    expect(digest(SHIPPING)).toBe(digest({}));
  });

  it('is written once, and again where somebody changed it', () => {
    const w = world();
    const { apply = {} } = decide(w.facts()).shipper ?? {};
    w.shipper = { object: stored(apply), clusterId: 'c0ffee' };
    expect([decide(w.facts()).shipper, condition(decide(w.facts()))]).toEqual([undefined, 'True Running']);
    const changed = JSON.parse(JSON.stringify(stored(apply)).replace('fluent/fluent-bit', 'other')) as object;
    w.shipper = { object: changed, clusterId: 'c0ffee' };
    expect(decide(w.facts()).shipper?.apply).toEqual(apply);
  });

  it.each([
    ['not seen yet', { observedGeneration: 1 }, 'False Progressing'],
    ['on its way', { updatedNumberScheduled: 1 }, 'False Progressing'],
    ['without a node', { desiredNumberScheduled: 0, updatedNumberScheduled: 0 }, 'False Unavailable'],
    ['with pods that do not run', { numberAvailable: 1 }, 'False Unavailable'],
  ])('says of one that is %s what it is', (_, status, wanted) => {
    const w = world();
    w.shipper = { object: stored(decide(w.facts()).shipper?.apply ?? {}, status), clusterId: 'c0ffee' };
    const d = decide(w.facts());
    expect(condition(d)).toBe(wanted);
    expect(d.status?.conditions?.find((c) => c.type === 'Ready')?.reason).not.toMatch(/Unavailable/);
  });

  it('goes when shipping, auditing or the AuditConfig goes', () => {
    for (const change of [{ shipping: undefined }, { state: 'Disabled' }]) {
      const w = world();
      w.shipper = { object: stored(decide(w.facts()).shipper?.apply ?? {}), clusterId: '' };
      w.change(change);
      expect(decide(w.facts()).shipper).toEqual({ remove: 'auditconfig-shipping-main-u1' });
      expect(condition(decide(w.facts()))).toBeUndefined();
    }
    const w = world();
    w.shipper = { object: stored(decide(w.facts()).shipper?.apply ?? {}), clusterId: '' };
    w.deleting = true;
    w.definition = 'Served';
    for (const n of w.nodes.values()) n.exists = false;
    expect(decide(w.facts())).toMatchObject({
      finalizer: 'Remove',
      shipper: { remove: 'auditconfig-shipping-main-u1' },
    });
  });

  it('stays as it is under a spec that is not accepted, and where nothing is known of it', () => {
    const w = world();
    w.shipper = { object: stored(decide(w.facts()).shipper?.apply ?? {}), clusterId: '' };
    w.change({ shipping: { type: 'FluentBit', fluentBit: { outputs: [{ Name: 'forward', Host: 'a\nb' }] } } });
    const d = decide(w.facts());
    expect([d.shipper, condition(d)]).toEqual([undefined, 'True Running']);
    const unknown = world();
    unknown.shipper = undefined;
    expect(decide(unknown.facts()).shipper).toBeUndefined();
  });

  it('is not held back by a pause, and holds nothing back', () => {
    const d = decide(world({ ...SHIPPING, rollout: { paused: true } }).facts());
    expect([d.shipper?.apply !== undefined, d.assign]).toEqual([true, undefined]);
    expect(decide(world().facts()).assign).toBeDefined();
  });
});
