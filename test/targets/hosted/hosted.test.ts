/** What is particular to hosted targets: what is refused, how words are read, which volumes, and the patch itself. */
import { describe, expect, it } from 'vitest';
import { hosted, hostedView } from '../../../src/targets/hosted.ts';
import { parseHostedRecord } from '../../../src/targets/hosted/record.ts';
import { revisionDir } from '../../../src/targets/host-layout.ts';
import { HOSTED_LAYOUT, logBytes, quantityOf } from '../../../src/targets/hosted/volumes.ts';
import { sample } from '../contract/hosted.ts';
import { ManagedPlace } from '../contract/managed.ts';
import type { SampleContainer, SampleWorkload } from '../contract/hosted.ts';
import { revision } from '../revisions.ts';

const SPEC = { kind: 'Deployment', container: 'apiserver', config: 'main' } as const;
const STATEFUL = { kind: 'StatefulSet', container: 'kube-apiserver', config: 'main' } as const;
const A = revision();
const DIR = revisionDir(A.digest, HOSTED_LAYOUT);

const tree = (p: ManagedPlace): SampleWorkload => p.object as SampleWorkload;
const containerOf = (w: SampleWorkload, i: number): SampleContainer => {
  const c = w.spec.template.spec.containers[i];
  if (c === undefined) throw new Error('no such container');
  return c;
};

const deployment = (change: (d: SampleWorkload, container: SampleContainer) => void = () => {}): SampleWorkload => {
  const d = structuredClone(sample('deployment')) as SampleWorkload;
  change(d, containerOf(d, 1));
  return d;
};
const stateful = (change: (d: SampleWorkload) => void): SampleWorkload => {
  const d = structuredClone(sample('statefulset')) as SampleWorkload;
  change(d);
  return d;
};
const codes = (workload: unknown, to = A, spec: Parameters<typeof hosted.plan>[2] = SPEC): readonly string[] => {
  const plan = hosted.plan(to, { workload }, spec);
  return 'refused' in plan ? plan.refused.map((f) => f.code) : [];
};

describe('hosted refuses, by code', () => {
  it.each([
    ['a workload that is not there', null, 'WorkloadNotFound'],
    ['a container of another name', deployment((_, c) => (c.name = 'other')), 'ContainerNotFound'],
    ['a container that runs something else', deployment((_, c) => (c.command = ['/proxy'])), 'CommandNotUnderstood'],
    ['an entrypoint that nothing tells to be a kube-apiserver', deployment((_, c) => { delete c.command; c.image = 'wrapper:1'; c.args = ['--x=1']; }), 'CommandNotUnderstood'],
    ['a shell', deployment((_, c) => (c.command = ['/bin/sh', '-c', 'exec kube-apiserver --etcd-servers=x'])), 'CommandIsShell'],
    ['a shell in front of words', deployment((_, c) => (c.command = ['sh', '-c', 'exec "$@"', 'sh', 'kube-apiserver'])), 'CommandIsShell'],
    ['words behind --', deployment((_, c) => c.args.push('--', 'x')), 'CommandNotUnderstood'],
    ['an audit flag without its value', deployment((_, c) => c.args.push('--audit-log-path')), 'FlagWithoutValue'],
    ['a flag whose name is in a variable from elsewhere', deployment((_, c) => c.args.push('--x=1', '$(POD_IP)')), 'VariableInFlags'],
    ['a flag name made of one', deployment((_, c) => c.args.push('--audit-$(POD_IP)=x')), 'VariableInFlags'],
    ['a flag that an envFrom may hold', deployment((_, c) => { c.envFrom = [{ configMapRef: { name: 'x' } }]; c.args.push('--x=1', '$(EXTRA)'); }), 'VariableInFlags'],
    ['a log on a volume without a limit', deployment((d, c) => { c.volumeMounts.push({ name: 'l', mountPath: '/var/log/kube-audit' }); d.spec.template.spec.volumes.push({ name: 'l', emptyDir: {} }); }), 'LogVolumeUnlimited'],
    ['a log on the node itself', deployment((d, c) => { c.volumeMounts.push({ name: 'l', mountPath: '/var/log/kube-audit' }); d.spec.template.spec.volumes.push({ name: 'l', hostPath: { path: '/l' } }); }), 'LogVolumeUnlimited'],
    ['a log below a ConfigMap', deployment((d, c) => { c.volumeMounts.push({ name: 'l', mountPath: '/var/log' }); d.spec.template.spec.volumes.push({ name: 'l', configMap: { name: 'x' } }); }), 'LogFolderReadOnly'],
    ['a log file that is a mount itself', deployment((_, c) => c.volumeMounts.push({ name: 'ca', mountPath: '/var/log/kube-audit/audit.log', subPath: 'x' })), 'LogFileMounted'],
    ['a mount over the policy', deployment((_, c) => c.volumeMounts.push({ name: 'ca', mountPath: `${DIR}/policy.yaml`, subPath: 'x' })), 'FolderMountedElsewhere'],
    ['a mount within the revision, written otherwise', deployment((_, c) => c.volumeMounts.push({ name: 'ca', mountPath: `${DIR}//..data/` })), 'FolderMountedElsewhere'],
    ['a mount above the revision', deployment((_, c) => c.volumeMounts.push({ name: 'ca', mountPath: '/etc' })), 'FolderMountedElsewhere'],
  ])('%s', (_, workload, code) => {
    expect(codes(workload)).toEqual([code]);
  }); // prettier-ignore

  it('a StatefulSet that replaces no pod, or not all of them', () => {
    expect(
      codes(
        stateful((d) => (d.spec.updateStrategy = { type: 'OnDelete' })),
        A,
        STATEFUL,
      ),
    ).toEqual(['UpdateStrategyOnDelete']);
    expect(
      codes(
        stateful((d) => (d.spec.updateStrategy.rollingUpdate = { partition: 2 })),
        A,
        STATEFUL,
      ),
    ).toEqual(['UpdateStrategyPartitioned']);
  });

  it('nothing of what people usually write', () => {
    expect(codes(deployment())).toEqual([]);
    expect(codes(deployment((_, c) => (c.command = ['tini', '--', '/hyperkube', 'kube-apiserver'])))).toEqual([]);
    expect(codes(sample('statefulset'), A, STATEFUL)).toEqual([]);
    expect(
      codes(
        deployment((_, c) => {
          delete c.command;
          c.image = 'wrapper:1';
        }),
      ),
    ).toEqual([]);
    // Values may come from anywhere.
    expect(codes(deployment((_, c) => c.args.push('--audit-log-path=$(POD_IP)')))).toEqual([]);
  });
});

it('a mount of ours that somebody led into another folder is drift', async () => {
  const p = new ManagedPlace(deployment(), SPEC);
  await p.bring(A);
  expect(await p.drift(A)).toEqual([]);
  for (const field of ['subPath', 'subPathExpr'] as const) {
    const led = new ManagedPlace(structuredClone(p.object), SPEC);
    const mounts = containerOf(tree(led), 1).volumeMounts as Record<string, unknown>[];
    Object.assign(mounts.find((m) => m['name'] === 'auditconfig-revision') ?? {}, { [field]: 'x' });
    expect(await led.drift(A), field).not.toEqual([]);
    await led.bring(A);
    expect(led.object).toEqual(p.object);
  }
});

describe('the words of a hosted API server', () => {
  const flagsOf = (change: (c: SampleContainer) => void): ReadonlyMap<string, string> => {
    const view = hostedView({ workload: deployment((_, c) => change(c)) }, SPEC);
    if ('refused' in view) throw new Error(view.refused[0]?.code);
    return view.ok.auditFlags;
  };

  it('are read as the kubelet expands them', () => {
    const env = [
      { name: 'A', value: '/a' },
      { name: 'F', value: '--audit-log-maxage=7' },
    ];
    expect(
      flagsOf((c) => {
        c.env = env;
        c.args = ['--x=1', '--audit-log-path=$(A)/$$(A)$(NONE)', '--y=1', '$(F)'];
      }),
    ).toEqual(
      new Map([
        ['--audit-log-path', '/a/$(A)$(NONE)'],
        ['--audit-log-maxage', '7'],
      ]),
    );
  });

  it('come from command and args, and the last of several counts', () => {
    const by = new ManagedPlace(sample('deployment-audited'), SPEC);
    return expect(by.flags()).resolves.toEqual(
      new Map([
        ['--audit-log-maxage', '5'],
        ['--audit-policy-file', '/etc/kubernetes/audit/policy.yaml'],
        ['--audit-log-path', '/var/log/kubernetes/audit/audit.log'],
        ['--audit-log-compress', 'true'],
      ]),
    );
  });

  it('of ours stand at the end of the last list; those of the owner keep their order', async () => {
    const p = new ManagedPlace(sample('deployment-audited'), SPEC);
    await p.bring(A);
    const c = containerOf(tree(p), 0);
    expect(c.command).toEqual(['kube-apiserver', '--enable-bootstrap-token-auth=true']);
    expect(c.args[0]).toBe('--etcd-servers=https://etcd:2379');
    expect(c.args.slice(1).every((w) => /^--audit-[a-z-]+=/.test(w))).toBe(true);
  });

  it('of an owner who wrote his whole object again are his, not what we remember', async () => {
    const p = new ManagedPlace(deployment(), SPEC);
    await p.bring(A);
    // He keeps annotations that he does not know, and writes his own template.
    const kept = tree(p).metadata;
    p.object = { ...(sample('deployment-audited') as SampleWorkload), metadata: kept };
    const his = p.snapshot() as SampleWorkload;
    await p.bring(A);
    await p.bring(null);
    expect(tree(p).spec).toEqual(his.spec);
  });

  it('go to the end where their place is no longer known, flag and value together', async () => {
    const p = new ManagedPlace(sample('deployment-audited'), SPEC);
    await p.bring(A);
    containerOf(tree(p), 0).args.unshift('--new=1');
    await p.bring(null);
    const c = containerOf(tree(p), 0);
    expect(c.args).toEqual([
      '--new=1',
      '--etcd-servers=https://etcd:2379',
      '--audit-policy-file',
      '/etc/kubernetes/audit/policy.yaml',
      '--audit_log_maxage=5',
      '--audit-log-path=$(LOG)',
      '--audit-log-compress',
    ]);
  });

  it('are taken out, and none given back, where the record is gone', async () => {
    const p = new ManagedPlace(sample('deployment-audited'), SPEC);
    await p.bring(A);
    delete tree(p).metadata.annotations['auditconfig.dev/adopted'];
    const { findings } = await p.bring(null);
    expect(findings.map((f) => f.code)).toEqual(['RecordMissing']);
    expect(await p.flags()).toEqual(new Map());
  });
});

type Items = { name: string; items: { key: string; path: string }[] };
const sourcesOf = (v: Record<string, unknown> | undefined) =>
  (v?.['projected'] as { sources: { secret?: Items; configMap?: Items }[] }).sources;

describe('the volumes of a hosted API server', () => {
  const volumes = async (to: ReturnType<typeof revision>): Promise<Record<string, unknown>[]> => {
    const p = new ManagedPlace(deployment(), SPEC);
    await p.bring(to);
    return tree(p).spec.template.spec.volumes.slice(1);
  };

  it('are the revision and a log that has a limit above all that rotation keeps', async () => {
    const [rev, log] = await volumes(A);
    expect(sourcesOf(rev)).toEqual([
      {
        configMap: {
          name: `auditconfig-${A.digest.slice(0, 16)}`,
          items: [{ key: 'policy.yaml', path: 'policy.yaml' }],
        },
      },
    ]);
    expect(log).toEqual({ name: 'auditconfig-log', emptyDir: { sizeLimit: '1300Mi' } });
    expect(logBytes(A)).toBeGreaterThan(11 * 100 * 2 ** 20);
  });

  it('take policy, webhook and credentials from Secrets where they are secret', async () => {
    const [rev, ...more] = await volumes(revision({ confidential: true, webhook: 'x\n', token: 't', logDir: null }));
    expect(more).toEqual([]);
    expect(sourcesOf(rev).map((s) => s.secret?.items.map((i) => i.path))).toEqual([
      ['policy.yaml'],
      ['webhook.yaml'],
      ['token'],
    ]);
  });

  it.each([
    [0, '0'],
    [1000, '1000'],
    [2 ** 20, '1Mi'],
    [1024 * 2 ** 20, '1Gi'],
    [1300 * 2 ** 20, '1300Mi'],
  ])('%d bytes are written as the API server would', (n, text) => {
    expect(quantityOf(n)).toBe(text);
  });

  it.each([
    ['a claim', { persistentVolumeClaim: { claimName: 'l' } }, ['LogVolumeShared']],
    ['a sized emptyDir', { emptyDir: { sizeLimit: '2Gi' } }, []],
    ['a claim of each pod', { ephemeral: {} }, []],
  ])('of the owner are used for the log: %s', async (_, source, told) => {
    const p = new ManagedPlace(
      deployment((d, c) => {
        c.volumeMounts.push({ name: 'l', mountPath: '/var/log/kube-audit' });
        d.spec.template.spec.volumes.push({ name: 'l', ...source });
      }),
      SPEC,
    );
    const { findings } = await p.bring(A);
    expect(findings.map((f) => f.code)).toEqual(told);
    expect(tree(p).spec.template.spec.volumes.map((v) => v.name)).toEqual(['ca', 'l', 'auditconfig-revision']);
    expect(await p.drift(A)).toEqual([]);
  });

  it('from claim templates are used for the log', () => {
    const w = stateful((d) => {
      d.spec.volumeClaimTemplates = [{ metadata: { name: 'l' } }];
      containerOf(d, 0).volumeMounts = [{ name: 'l', mountPath: '/var/log/kube-audit' }];
    });
    expect(codes(w, A, STATEFUL)).toEqual([]);
  });

  it('say the same with what an API server fills in', async () => {
    const p = new ManagedPlace(deployment(), SPEC);
    await p.bring(revision({ webhook: 'x\n' }));
    for (const m of containerOf(tree(p), 1).volumeMounts) m.recursiveReadOnly = 'Disabled';
    expect((await p.bring(revision({ webhook: 'x\n' }))).changes).toEqual([]);
    tree(p).spec.template.spec.volumes.pop();
    expect(await p.drift(revision({ webhook: 'x\n' }))).toEqual(['VolumeDrift']);
  });
});

describe('the patch', () => {
  const ops = (workload: unknown, to: typeof A | null = A) => {
    const plan = hosted.plan(to, { workload }, SPEC);
    if ('refused' in plan) throw new Error('refused');
    return plan.changes[0]?.patch ?? [];
  };

  it('tests everything that it replaces, and the name of the container', () => {
    const patch = ops(deployment());
    expect(patch[0]).toEqual({ op: 'test', path: '/spec/template/spec/containers/1/name', value: 'apiserver' });
    const written = patch.filter((o) => o.op !== 'test').map((o) => o.path);
    expect(written).toEqual([
      '/spec/template/spec/containers/1/args',
      '/spec/template/spec/containers/1/volumeMounts',
      '/spec/template/spec/volumes',
      '/metadata/labels/auditconfig.dev~1hosted',
      '/metadata/annotations',
    ]);
    const tested = patch.filter((o) => o.op === 'test').map((o) => o.path);
    expect(tested.slice(1)).toEqual(written);
  });

  it('does not apply to a workload whose words changed since', () => {
    const [seen, now] = [deployment(), deployment((_, c) => c.args.push('--new=1'))];
    const p = new ManagedPlace(now, SPEC);
    p.plan = () => hosted.plan(A, { workload: seen }, SPEC);
    return expect(p.bring(A)).rejects.toThrow('test /spec/template/spec/containers/1/args');
  });

  it('restarts nothing where only the label is gone', async () => {
    const p = new ManagedPlace(deployment(), SPEC);
    await p.bring(A);
    delete tree(p).metadata.labels['auditconfig.dev/hosted'];
    const { changes, restarts } = await p.bring(A);
    expect([changes.length, restarts]).toEqual([1, false]);
    expect(tree(p).metadata.labels['auditconfig.dev/hosted']).toBe('apiserver');
  });

  it('has a record that only this program reads', () => {
    expect(parseHostedRecord(undefined)).toBeUndefined();
    expect(parseHostedRecord('{"version":1')).toBeUndefined();
    expect(parseHostedRecord('{"version":2}')).toBeUndefined();
  });
});

describe('the base of a workload', () => {
  const base = (w: unknown): string => {
    const view = hostedView({ workload: w }, SPEC);
    if ('refused' in view) throw new Error('refused');
    return view.ok.base;
  };

  it('is the same with and without us, and another one with another template', async () => {
    const p = new ManagedPlace(sample('deployment-audited'), SPEC);
    const before = base(p.object);
    await p.bring(A);
    expect(base(p.object)).toBe(before);
    containerOf(tree(p), 0).image = 'kube-apiserver:v2';
    expect(base(p.object)).not.toBe(before);
    tree(p).spec.replicas = 7;
    expect(base(deployment())).toBe(base(deployment((d) => (d.spec.replicas = 7))));
  });
});
