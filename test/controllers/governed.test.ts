/** Which datacenters count for an AuditConfig: whose turn it is, and that absence takes nothing away. */
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/config/canonical.ts';
import { contentDigest } from '../../src/config/datacenter.ts';
import type { DatacenterContent } from '../../src/config/types.ts';
import type { Caches } from '../../src/controllers/caches.ts';
import { GovernedView, isFresh } from '../../src/controllers/governed.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { fail, ok } from '../../src/kube/errors.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { pinned, referenceKey, textOfPinned } from '../../src/render/pins.ts';
import type { Reference } from '../../src/render/references.ts';
import { Secret } from '../../src/render/types.ts';
import { contentName } from '../../src/rollout/datacenter.ts';

const OLD: DatacenterContent = { enforced: { state: 'Enabled' } };
const NEW: DatacenterContent = { enforced: { state: 'Enabled', kubeadmConfig: 'Sync' } };
const [OLD_DIGEST, NEW_DIGEST] = [contentDigest(OLD), contentDigest(NEW)];
const signal = new AbortController().signal;
const rolledOut = [
  { type: 'RolledOut', status: 'True', reason: 'Complete', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
];

const config = (status: object = {}): KubeObject => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'main', namespace: 'a' },
  spec: { rollout: { paused: true } },
  status,
});
const having = (digest: string): KubeObject =>
  config({
    revision: { name: 'r', digest },
    conditions: rolledOut,
    datacenters: [{ name: 'eu', digest, binding: true }],
  });
const eu = (content: DatacenterContent, more: object = {}): KubeObject => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'DatacenterAuditConfig',
  metadata: { name: 'eu', ...more },
  spec: { selector: { namespaceSelector: { matchLabels: { dc: 'eu' } } }, ...content },
  status: { content: { name: contentName(contentDigest(content)), digest: contentDigest(content) } },
});

type World = {
  readonly datacenters?: readonly KubeObject[];
  readonly published?: Readonly<Record<string, string>>;
  readonly namespaces?: readonly string[];
  readonly synced?: boolean;
  /** What was kept of what it refers to, and what is there now. */
  readonly kept?: Readonly<Record<string, string>>;
  readonly now?: Reference;
};

function viewOf({ datacenters = [], published = {}, namespaces = ['a'], synced = true, kept, now }: World) {
  const told = { rollouts: 0, reads: 0 };
  const caches = {
    datacenters: {
      synced,
      store: {
        size: datacenters.length,
        values: () => datacenters,
        get: ({ name }: { name: string }) => datacenters.find((d) => d.metadata.name === name),
      },
    },
    namespaces: {
      store: {
        get: ({ name }: { name: string }) =>
          namespaces.includes(name) ? { metadata: { name, labels: { dc: 'eu' } } } : undefined,
      },
    },
  } as unknown as Caches;
  const client = {
    get: (resource: { readonly kind: string }, { name }: { name: string }) => {
      told.reads += 1;
      const text = published[name];
      if (resource.kind === 'Secret')
        return Promise.resolve(kept === undefined ? fail('NotFound', name) : ok({ data: kept }));
      return Promise.resolve(text === undefined ? fail('NotFound', name) : ok({ data: { 'content.json': text } }));
    },
  } as unknown as KubeClient;
  const view = new GovernedView({
    caches,
    client,
    bundlesNamespace: 'b',
    now: () => 0,
    rolloutChanged: () => (told.rollouts += 1),
  });
  const countsFor = async (c: KubeObject) => {
    const governed = await view.of(c, () => Promise.resolve({ found: false, why: 'NotFound' }), signal);
    return governed === undefined
      ? undefined
      : [governed.datacenters.map((d) => contentDigest(d.content)), governed.unreadable];
  };
  const refers = (c: KubeObject) => view.of(c, () => Promise.resolve(now ?? { found: false, why: 'NotFound' }), signal);
  return { view, countsFor, refers, told };
}
const published = (content: DatacenterContent) => ({ [contentName(contentDigest(content))]: canonicalJson(content) });

describe('what counts for an AuditConfig', () => {
  it('is nothing where no datacenter was ever heard of', async () => {
    expect(await viewOf({}).countsFor(config())).toBeUndefined();
  });

  it('is what it has, until its turn comes for what is new', async () => {
    const { view, countsFor } = viewOf({ datacenters: [eu(NEW)], published: published(OLD) });
    expect(await countsFor(having(OLD_DIGEST))).toEqual([[OLD_DIGEST], []]);
    expect(view.plan('eu', new Map([['a/main', NEW_DIGEST]]))).toEqual(['a/main']);
    expect(await countsFor(having(OLD_DIGEST))).toEqual([[NEW_DIGEST], []]);
    // Once told of it, it is not woken again; of something newer it is.
    expect(view.plan('eu', new Map([['a/main', NEW_DIGEST]]))).toEqual([]);
    expect(view.plan('eu', new Map([['a/main', OLD_DIGEST]]))).toEqual(['a/main']);
  });

  it('is what is new, at once, where nothing runs yet', async () => {
    expect(await viewOf({ datacenters: [eu(NEW)] }).countsFor(config())).toEqual([[NEW_DIGEST], []]);
  });

  it('a datacenter that is gone, or whose cache is: what it said is read where it was published', async () => {
    for (const world of [{}, { datacenters: [eu(NEW)], synced: false }]) {
      const { countsFor, told } = viewOf({ ...world, published: published(OLD) });
      expect(await countsFor(having(OLD_DIGEST))).toEqual([[OLD_DIGEST], []]);
      expect(await countsFor(having(OLD_DIGEST))).toEqual([[OLD_DIGEST], []]);
      expect(told.reads).toBe(1);
    }
  });

  it('what was published and is not there, or is something else: it is named, and nothing may change', async () => {
    expect(await viewOf({}).countsFor(having(OLD_DIGEST))).toEqual([[], ['eu']]);
    const forged = { [contentName(OLD_DIGEST)]: canonicalJson(NEW) };
    expect(await viewOf({ published: forged }).countsFor(having(OLD_DIGEST))).toEqual([[], ['eu']]);
  });

  it('stays where its Namespace is not known: no label that is not there may free anybody', async () => {
    const { view, countsFor } = viewOf({ datacenters: [eu(NEW)], namespaces: [], published: published(OLD) });
    view.plan('eu', new Map([['a/main', null]]));
    expect(await countsFor(having(OLD_DIGEST))).toEqual([[OLD_DIGEST], []]);
  });

  it('a datacenter that is to leave it leaves when its turn has come', async () => {
    const { view, countsFor } = viewOf({ datacenters: [eu(OLD, { deletionTimestamp: '2026-01-01T00:00:00Z' })] });
    expect(await countsFor(having(OLD_DIGEST))).toEqual([[OLD_DIGEST], []]);
    view.plan('eu', new Map([['a/main', null]]));
    expect(await countsFor(having(OLD_DIGEST))).toEqual([[], []]);
  });

  it("decides about an owner's pause too, and says when that has changed", async () => {
    const { view, countsFor, told } = viewOf({ datacenters: [eu(OLD)] });
    expect(view.rolloutOf(having(OLD_DIGEST))).toEqual({ paused: true });
    await countsFor(having(OLD_DIGEST));
    expect(view.rolloutOf(having(OLD_DIGEST))).toMatchObject({ paused: false });
    await countsFor(having(OLD_DIGEST));
    expect(told.rollouts).toBe(1);
  });

  it('of a hosted one tells the Lease for restarts nothing', async () => {
    const { countsFor, told } = viewOf({ datacenters: [eu(OLD)] });
    const spec = { target: { type: 'Hosted' }, rollout: { paused: true } };
    expect(await countsFor({ ...having(OLD_DIGEST), spec })).toEqual([[OLD_DIGEST], []]);
    expect(told.rollouts).toBe(0);
  });
});

describe('what a datacenter refers to', () => {
  const KEY = referenceKey('ConfigMap', 'op', 'policy');
  const there = (text: string): Reference => ({
    found: true,
    data: new Secret({ 'policy.yaml': new TextEncoder().encode(text) }),
  });
  const at = (text: string) => new Map([[KEY, there(text)]]);
  const REFERRING: DatacenterContent = { enforced: { policy: { configMapRef: { name: 'policy', namespace: 'op' } } } };
  const before = pinned(REFERRING, at('old'));
  const after = pinned(REFERRING, at('new'));
  const kept = { 'references.json': Buffer.from(textOfPinned(before, at('old'))).toString('base64') };
  const both = { ...published(before), ...published(after) };
  const textOf = async ({ refers }: ReturnType<typeof viewOf>, c: KubeObject) => {
    const governed = await refers(c);
    const found = governed?.references.get(KEY);
    const text = found?.found === true ? new TextDecoder().decode(found.data.reveal()['policy.yaml']) : undefined;
    return [text, governed?.unreadable];
  };

  it('is what it was when its content was published, until the turn of a control plane comes', async () => {
    const w = viewOf({ datacenters: [eu(after)], published: both, kept, now: there('new') });
    expect(await textOf(w, having(contentDigest(before)))).toEqual(['old', []]);
    w.view.plan('eu', new Map([['a/main', contentDigest(after)]]));
    expect(await textOf(w, having(contentDigest(before)))).toEqual(['new', []]);
  });

  it('stays when it is deleted, and when it and what was kept of it are, nothing may change', async () => {
    const [world, c] = [{ datacenters: [eu(before)], published: both }, having(contentDigest(before))];
    expect(await textOf(viewOf({ ...world, kept }), c)).toEqual(['old', []]);
    expect(await textOf(viewOf(world), c)).toEqual([undefined, ['eu']]);
    const forged = { 'references.json': Buffer.from(textOfPinned(before, at('new'))).toString('base64') };
    expect(await textOf(viewOf({ ...world, kept: forged }), c)).toEqual([undefined, ['eu']]);
  });

  it('is read as it is where a release before this one published it', async () => {
    const w = viewOf({ datacenters: [eu(REFERRING)], published: published(REFERRING), now: there('new') });
    expect(await textOf(w, having(contentDigest(REFERRING)))).toEqual(['new', []]);
  });
});

describe('an AuditConfig is new', () => {
  it.each([
    ['without a status', {}, true],
    ['that was never accepted', { conditions: [{ type: 'RolledOut', status: 'False' }] }, true],
    ['not, once something was published for it', { revision: {} }, false],
    ['not, where it was switched off from the beginning', { conditions: rolledOut }, false],
  ])('%s', (_name, status, wanted) => {
    expect(isFresh(config(status))).toBe(wanted);
  });
});
