/**
 * An owner who changes words, volumes or mounts of his own in a workload that has ours: wherever he puts them that is no edit of
 * ours, so that nothing restarts and no revert is counted. What touches ours is one, and all of his is his again at removal.
 */
import { describe, expect, it } from 'vitest';
import { hostedView } from '../../../src/targets/hosted.ts';
import { sample } from '../contract/hosted.ts';
import { ManagedPlace } from '../contract/managed.ts';
import type { SampleContainer, SampleWorkload } from '../contract/hosted.ts';
import { revision } from '../revisions.ts';

const A = revision();
const B = revision({ policy: '{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"None"}]}\n' });

/** How an owner may have spread the words over the two lists. */
const SHAPES: Readonly<Record<string, Pick<SampleContainer, 'command' | 'args'> | { command: string[] }>> = {
  'command and args': { command: ['kube-apiserver'], args: ['--etcd-servers', 'https://etcd:2379', '--v=2'] },
  'command alone': { command: ['kube-apiserver', '--etcd-servers', 'https://etcd:2379', '--v=2'] },
  'args alone': { args: ['--etcd-servers=https://etcd:2379', '--v=2'] },
  'both with flags': { command: ['kube-apiserver', '--v=2'], args: ['--etcd-servers=https://etcd:2379'] },
};

type List = 'command' | 'args';
const isOurs = (w: string): boolean => w.startsWith('--audit-');

class Owned {
  readonly place: ManagedPlace;
  readonly #spec = { kind: 'Deployment', container: 'apiserver', config: 'main' } as const;

  constructor(shape: (typeof SHAPES)[string]) {
    const d = structuredClone(sample('deployment')) as SampleWorkload;
    const c = d.spec.template.spec.containers[1];
    if (c === undefined) throw new Error('no container');
    delete c.command;
    delete (c as Partial<SampleContainer>).args;
    Object.assign(c, structuredClone(shape));
    this.place = new ManagedPlace(d, this.#spec);
  }

  get tree(): SampleWorkload {
    return this.place.object as SampleWorkload;
  }
  get container(): SampleContainer {
    const c = this.tree.spec.template.spec.containers.find((x) => x.name === 'apiserver');
    if (c === undefined) throw new Error('no container');
    return c;
  }
  /** The list that has ours. */
  get into(): List {
    return (this.container.args ?? []).some(isOurs) ? 'args' : 'command';
  }
  get words(): string[] {
    return this.container[this.into] ?? [];
  }
  /** The owner's own words, list by list. */
  get theirs(): unknown {
    const of = (list: List): readonly string[] => (this.container[list] ?? []).filter((w) => !isOurs(w));
    return [of('command'), of('args')];
  }
  view(): string | undefined {
    const view = hostedView({ workload: this.place.object }, this.#spec);
    return 'ok' in view ? view.ok.digest : undefined;
  }
}

const HIS: Readonly<Record<string, (o: Owned) => void>> = {
  'a word behind ours': (o) => void o.words.push('--feature-gates=A=true'),
  'flag and value behind ours': (o) => void o.words.push('--feature-gates', 'A=true'),
  'a word in front of ours': (o) => void o.words.splice(o.words.findIndex(isOurs), 0, '--feature-gates=A=true'),
  'a word between ours': (o) => void o.words.splice(o.words.findIndex(isOurs) + 2, 0, '--feature-gates=A=true'),
  'words at all of these': (o) => {
    o.words.splice(o.words.findIndex(isOurs) + 3, 0, '--a=1');
    o.words.splice(o.words.findIndex(isOurs), 0, '--b=1');
    o.words.push('--c=1');
  },
  'one word less': (o) => {
    const list = (o.container.command ?? []).includes('--v=2') ? o.container.command : o.container.args;
    list?.splice(list.indexOf('--v=2'), 1);
  },
  'another value': (o) => {
    for (const list of [o.container.command ?? [], o.container.args ?? []])
      if (list.includes('--v=2')) list[list.indexOf('--v=2')] = '--v=9';
  },
  'ours turned around': (o) => {
    const ours = o.words.filter(isOurs).reverse();
    o.words.splice(0, o.words.length, ...o.words.filter((w) => !isOurs(w)), ...ours);
  },
  'all flags sorted': (o) => {
    const [head, ...rest] = o.container.command ?? [];
    const all = [...rest, ...(o.container.args ?? [])].filter((w) => w.startsWith('--') && w.includes('=')).sort();
    const others = [...rest, ...(o.container.args ?? [])].filter((w) => !all.includes(w));
    const words = [...others, ...all];
    if (head === undefined) o.container.args = words;
    else if (o.into === 'command') o.container.command = [head, ...words];
    else Object.assign(o.container, { command: [head], args: words });
  },
  'all in command': (o) => {
    o.container.command = ['kube-apiserver', ...[...(o.container.command ?? []), ...(o.container.args ?? [])].filter((w) => w !== 'kube-apiserver')];
    o.container.args = [];
  },
  'ours in two words': (o) => {
    const i = o.words.findIndex((w) => w.startsWith('--audit-log-maxage='));
    o.words.splice(i, 1, ...(o.words[i] ?? '').split('='));
  },
  'another image': (o) => void (o.container.image = 'registry.k8s.io/kube-apiserver:v1.36.0'),
  'volumes and mounts around ours': (o) => {
    const pod = o.tree.spec.template.spec;
    pod.volumes.unshift({ name: 'x', secret: { secretName: 'x' } });
    pod.volumes.push({ name: 'y', secret: { secretName: 'y' } });
    o.container.volumeMounts.unshift({ name: 'x', mountPath: '/x' });
    o.container.volumeMounts.push({ name: 'y', mountPath: '/y' });
  },
  'volumes and mounts turned around': (o) => {
    o.tree.spec.template.spec.volumes.reverse();
    o.container.volumeMounts.reverse();
  },
  'a container in front': (o) => {
    const [first] = o.tree.spec.template.spec.containers;
    if (first !== undefined) o.tree.spec.template.spec.containers.unshift({ ...first, name: 'new' });
  },
}; // prettier-ignore

const OURS: Readonly<Record<string, (o: Owned) => void>> = {
  'another value of one of ours': (o) => {
    const i = o.words.findIndex((w) => w.startsWith('--audit-log-maxage='));
    o.words[i] = '--audit-log-maxage=1';
  },
  'one of ours less': (o) => void o.words.splice(o.words.findIndex(isOurs), 1),
  'one of ours again with another value, behind': (o) => void o.words.push('--audit-log-maxage=1'),
  'one of ours again with another value, in front': (o) =>
    void o.words.splice(o.words.findIndex(isOurs), 0, '--audit-log-maxage=1'),
  'an audit flag that is not of the revision': (o) => void o.words.push('--audit-webhook-mode=batch'),
  'a volume of ours less': (o) => void o.tree.spec.template.spec.volumes.pop(),
  'another limit of its log': (o) => {
    const log = o.tree.spec.template.spec.volumes.find((v) => v['name'] === 'auditconfig-log');
    if (log !== undefined) log['emptyDir'] = {};
  },
  'a mount of ours less': (o) => void o.container.volumeMounts.pop(),
};

describe.each(Object.keys(SHAPES))('an owner with %s', (shape) => {
  const made = async (): Promise<Owned> => {
    const o = new Owned(SHAPES[shape] ?? { command: [] });
    await o.place.bring(A);
    return o;
  };

  it.each(Object.keys(HIS))('who writes %s has edited nothing of ours, and keeps it through a change and a removal', async (what) => {
    const o = await made();
    HIS[what]?.(o);
    const plan = o.place.plan(A);
    expect([plan, o.view()]).toEqual([{ changes: [], findings: [], restarts: false }, A.digest]);
    expect(await o.place.drift(A)).toEqual([]);
    const before = o.place.snapshot() as SampleWorkload;
    // Two words of ours are one again with the next revision; his stay as he wrote them.
    const theirs = JSON.stringify(o.theirs).replace(',"30"', '').replace('"30",', '');
    await o.place.bring(B);
    expect(await o.place.drift(B)).toEqual([]);
    expect(JSON.stringify(o.theirs)).toBe(theirs);
    await o.place.bring(null);
    expect(JSON.stringify(o.theirs)).toBe(theirs);
    expect(await o.place.flags()).toEqual(new Map());
    const ours = (v: Record<string, unknown>): boolean => String(v['name']).startsWith('auditconfig-');
    expect(o.tree.spec.template.spec.volumes).toEqual(before.spec.template.spec.volumes.filter((v) => !ours(v)));
  }); // prettier-ignore

  it.each(Object.keys(OURS))('who writes %s has edited ours', async (what) => {
    const o = await made();
    OURS[what]?.(o);
    expect(await o.place.bring(A)).toMatchObject({ restarts: true });
    expect(await o.place.drift(A)).toEqual([]);
    expect((await o.place.bring(A)).changes).toEqual([]);
  });
});

describe('audit flags that an owner had before us', () => {
  it('never come between a flag of his and its value, though he changed words and revisions came since', async () => {
    const o = new Owned({ args: ['--etcd-servers=a', '--audit-log-maxage', '5', '--v=2'] });
    await o.place.bring(A);
    o.container.args.unshift('--oidc-issuer-url', 'https://x');
    await o.place.bring(A);
    await o.place.bring(B);
    await o.place.bring(null);
    expect(o.container.args).toEqual([
      '--oidc-issuer-url',
      'https://x',
      '--etcd-servers=a',
      '--v=2',
      '--audit-log-maxage',
      '5',
    ]);
  });

  it('go back to their places where he only changed his words for a while', async () => {
    const words = ['--etcd-servers=a', '--audit-log-maxage', '5', '--v=2'];
    const o = new Owned({ args: [...words] });
    await o.place.bring(A);
    o.container.args.unshift('--x=1');
    await o.place.bring(B);
    o.container.args.shift();
    await o.place.bring(A);
    await o.place.bring(null);
    expect(o.container.args).toEqual(words);
  });
});
