/** The keeper of gaps on a node in memory: what it records, what it remembers, and what is no gap. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Gap } from '../../src/analysis/gaps.ts';
import { GapKeeper } from '../../src/agent/gaps.ts';
import type { AuditNodeStatus } from '../../src/api/auditnode.ts';
import type { EventEnd } from '../../src/kube/events.ts';
import { applyRevision } from '../../src/node/apply-revision.ts';
import type { Revision } from '../../src/render/types.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { World } from '../node/world.ts';
import { revision } from '../targets/revisions.ts';
import { MANIFEST, SPEC, nodeWith } from '../targets/static-pod-host.ts';

const KUBEADM = readFileSync(`${import.meta.dirname}/../targets/static-pod/golden/kubeadm-1.36/before.yaml`, 'utf8');
const A = revision();
const B = revision({ flags: { '--audit-log-maxage': '7' } });
const BROKEN = revision({ flags: { '--audit-log-mode': 'broken' } });
const never = new AbortController().signal;
const log = createLogger({ name: 'test', level: 'silent' });
const FILE = `${SPEC.layout.stateDir}/gaps.json`;

class Node {
  readonly world = new World(nodeWith(KUBEADM), MANIFEST, (args) =>
    args.includes('--audit-log-mode=broken') || args.includes('--etcd-servers=nowhere') ? 'crashes' : 'good',
  );
  readonly ended: Gap[] = [];
  /** What the API says to an event; false: it is away. */
  api: EventEnd | false = 'Told';
  /** Answers that are on their way. */
  readonly answers: ((how: EventEnd) => void)[] = [];
  readonly seconds: Record<string, number> = {};
  said: AuditNodeStatus['gaps'];
  keeper = this.restart();

  restart(): GapKeeper {
    return (this.keeper = new GapKeeper({
      host: this.world.host,
      spec: SPEC,
      metrics: {
        ended: (reason, s) => void (this.seconds[reason] = (this.seconds[reason] ?? 0) + s),
        open: () => undefined,
      },
      log,
      report: (gaps) => void (this.said = gaps),
      tell: (gap, done) => {
        if (this.api === false) return false;
        this.ended.push(gap);
        this.answers.push(done);
        return true;
      },
    }));
  }

  async apply(to: Revision | null): Promise<void> {
    const { host } = this.world;
    await applyRevision({ host, spec: SPEC, to, version: '1.36', checks: [], signal: never });
    await this.keeper.look(true);
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 2_000) {
      await this.world.host.sleep(Math.min(left, 2_000), never);
      await this.keeper.look();
      await this.keeper.tellAll();
      if (this.api === false || this.answers.length === 0) continue;
      for (const done of this.answers.splice(0)) done(this.api);
      await this.keeper.tellAll();
    }
  }

  /** Somebody writes another manifest. */
  async write(text: string): Promise<void> {
    this.world.disk.put(MANIFEST, text);
    await this.pass(20_000);
  }
}

async function settled(): Promise<Node> {
  const node = new Node();
  await node.keeper.look();
  await node.apply(A);
  return node;
}

// Each second of the node is twenty ticks of its kubelet: a busy machine takes its time.
describe('the keeper of gaps', { timeout: 120_000 }, () => {
  it('records nothing while all is well, nor before the first revision, nor for a change of revision', async () => {
    const node = await settled();
    await node.pass(10_000);
    await node.apply(B);
    await node.pass(10_000);
    expect([node.ended, node.said, node.world.disk.text(FILE)]).toEqual([[], undefined, null]);
  });

  it('records from the start of a process without our flags until that of the next one with them', async () => {
    const node = await settled();
    const begun = node.world.now;
    await node.write(KUBEADM);
    await node.pass(60_000);
    expect(node.said).toEqual([{ start: expect.any(String) as string, reason: 'FlagsMissing' }]);
    expect(node.ended).toEqual([]);
    await node.apply(A);
    const [gap] = node.ended;
    expect(node.ended.length).toBe(1);
    expect(gap?.reason).toBe('FlagsMissing');
    // The process that was told to end by then served on for a second, with our flags.
    expect((gap?.start ?? 0) - begun).toBeGreaterThanOrEqual(1_000);
    expect((gap?.start ?? 0) - begun).toBeLessThan(3_000);
    expect(gap?.end).toBeGreaterThan((gap?.start ?? 0) + 79_000);
    expect(node.seconds['FlagsMissing']).toBeCloseTo(((gap?.end ?? 0) - (gap?.start ?? 0)) / 1000);
    expect(node.said?.[0]?.end).toBeDefined();
  });

  it('records it, too, where the manifest is one that a kubelet runs and nobody here can read', async () => {
    const node = await settled();
    await node.write(KUBEADM.replace('hostNetwork: true', 'hostNetwork: &yes true'));
    expect(node.said).toMatchObject([{ reason: 'FlagsMissing' }]);
    await node.write(KUBEADM);
    await node.apply(A);
    expect(node.ended).toMatchObject([{ reason: 'FlagsMissing' }]);
  });

  it('survives the agent, and is told once', async () => {
    const node = await settled();
    await node.write(KUBEADM);
    const [open] = node.said ?? [];
    node.restart();
    await node.pass(10_000);
    node.restart();
    await node.apply(A);
    expect(node.ended.length).toBe(1);
    expect(node.said?.[0]).toMatchObject({ start: open?.start, reason: 'FlagsMissing' });
    await node.pass(2_000);
    node.restart();
    await node.pass(10_000);
    expect(node.ended.length).toBe(1);
  });

  describe('that ended while nobody could be told', () => {
    async function endedUnheard(api: Node['api']): Promise<Node> {
      const node = await settled();
      await node.write(KUBEADM);
      node.api = api;
      await node.apply(A);
      await node.pass(10_000);
      return node;
    }

    it('is told when the API is back', async () => {
      const node = await endedUnheard(false);
      expect(node.ended).toEqual([]);
      node.api = 'Told';
      await node.pass(4_000);
      expect(node.ended.length).toBe(1);
      await node.pass(120_000);
      expect(node.ended.length).toBe(1);
    });

    it('is told by the next agent', async () => {
      const node = await endedUnheard(false);
      node.restart();
      node.api = 'Told';
      await node.pass(4_000);
      node.restart();
      await node.pass(120_000);
      expect(node.ended.length).toBe(1);
    });

    it('is told again a minute later where the first time was not heard, and by the next agent where that is unknown', async () => {
      const node = await endedUnheard('Lost');
      expect(node.ended.length).toBe(1);
      await node.pass(40_000);
      expect(node.ended.length).toBe(1);
      await node.pass(40_000);
      expect(node.ended.length).toBe(2);
      node.restart();
      node.api = 'Told';
      await node.pass(120_000);
      expect(node.ended.length).toBe(3);
      expect(new Set(node.ended.map((g) => JSON.stringify(g))).size).toBe(1);
    });

    it('is not told to an API that refuses it, again and again', async () => {
      const node = await endedUnheard('Refused');
      await node.pass(80_000);
      expect(node.ended.length).toBe(1);
    });
  });

  it('finds one that began while no agent ran, from its beginning', async () => {
    const node = await settled();
    const begun = node.world.now;
    node.world.disk.put(MANIFEST, KUBEADM);
    await node.world.host.sleep(3_600_000, never);
    node.restart();
    await node.keeper.look();
    expect(Date.parse(node.said?.[0]?.start ?? '') - begun).toBeLessThan(5_000);
  });

  it('an API server that is down serves nothing: no gap', async () => {
    const node = await settled();
    const broken = (node.world.disk.text(MANIFEST) ?? '').replace(/--etcd-servers=\S+/, '--etcd-servers=nowhere');
    await node.write(broken);
    await node.pass(600_000);
    expect(node.world.isReady).toBe(false);
    expect([node.ended, node.said]).toEqual([[], undefined]);
  });

  it('another policy than ours is a gap', async () => {
    const node = await settled();
    await node.write(
      (node.world.disk.text(MANIFEST) ?? '').replace(/--audit-policy-file=\S+/, '--audit-policy-file=/x'),
    );
    expect(node.said).toEqual([{ start: expect.any(String) as string, reason: 'OtherPolicy' }]);
  });

  it('a rollback to a state without auditing is one, from its end on', async () => {
    const node = new Node();
    await node.keeper.look();
    const begun = node.world.now;
    await node.apply(BROKEN);
    await node.pass(4_000);
    expect(node.said).toEqual([{ start: expect.any(String) as string, reason: 'RolledBack' }]);
    expect(Date.parse(node.said?.[0]?.start ?? '')).toBeGreaterThanOrEqual(begun - 1_000);
    await node.apply(A);
    expect(node.ended.map((g) => g.reason)).toEqual(['RolledBack']);
  });

  it('a removal ends it, and leaves no file', async () => {
    const node = await settled();
    await node.write(KUBEADM);
    await node.apply(null);
    expect(node.ended.map((g) => g.reason)).toEqual(['FlagsMissing']);
    expect(node.world.disk.text(FILE)).toBeNull();
  });

  it('of proof: from the last event that was found until the next', async () => {
    const node = await settled();
    await node.keeper.proven('EventFound');
    const good = node.world.now;
    await node.pass(60_000);
    await node.keeper.proven('NoAnswer');
    expect(node.said).toBeUndefined();
    await node.keeper.proven('LogMissing');
    node.restart();
    await node.pass(60_000);
    await node.keeper.proven('EventMissing');
    await node.keeper.proven('EventFound');
    expect(node.ended).toEqual([{ start: good, end: node.world.now, reason: 'LogMissing' }]);
  });
});
