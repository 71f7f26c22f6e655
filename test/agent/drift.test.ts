/** The keeper of drift on a node in memory: what it makes of edits that are seen, and of those that are not. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DriftKeeper } from '../../src/agent/drift.ts';
import { applyRevision } from '../../src/node/apply-revision.ts';
import type { NodeHost } from '../../src/node/host.ts';
import type { Revision } from '../../src/render/types.ts';
import type { DriftStep } from '../../src/rollout/drift.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { World } from '../node/world.ts';
import { revision } from '../targets/revisions.ts';
import { MANIFEST, SPEC, nodeWith } from '../targets/static-pod-host.ts';
import { DriftNode, never } from './drift-node.ts';

const KUBEADM = readFileSync(`${import.meta.dirname}/../targets/static-pod/golden/kubeadm-1.36/before.yaml`, 'utf8');
const A = revision();
const B = revision({ flags: { '--audit-log-maxage': '7' } });
const DRIFT = `${SPEC.layout.stateDir}/drift.json`;

class Node extends DriftNode<World> {
  constructor() {
    const world = new World(nodeWith(KUBEADM), MANIFEST, (args) =>
      args.includes('--etcd-servers=nowhere') ? 'crashes' : 'good',
    );
    world.alive.add(1);
    super({ world, spec: SPEC, file: MANIFEST });
  }

  get manifest(): string {
    return this.text;
  }

  override step(to = A, again?: string): Promise<DriftStep> {
    return super.step(to, again);
  }
}

const withMaxAge = (days: number) => (text: string) =>
  text.replace(/--audit-log-maxage=\d+/, `--audit-log-maxage=${days}`);
const withoutOurs = () => KUBEADM;
const broken = (text: string): string => text.replace(/--etcd-servers=\S+/, '--etcd-servers=nowhere');
const upgraded = (): string => KUBEADM.replace(/image: .*/, 'image: registry.k8s.io/kube-apiserver:v1.36.9');
const RESCUED = { do: 'Stop', why: 'Rescued' };
const REPAIR = { do: 'Repair', restart: 'Manifest' };

async function settled(): Promise<Node> {
  const node = new Node();
  await node.keeper.begin(never);
  await node.install(A);
  return node;
}

describe('the keeper of drift', () => {
  it('is not another certificate or token of the webhook: that is a rotation, however often it comes', async () => {
    const n = new Node();
    const with_ = (token: string): Revision => revision({ webhook: 'x', token });
    await n.install(with_('0'));
    for (const token of ['1', '2', '3', '4']) {
      const { step, credentials } = await n.keeper.judge(with_(token), undefined, never);
      expect([step, credentials]).toEqual([{ do: 'Nothing' }, 'Differ']);
      await n.install(with_(token));
    }
    expect((await n.keeper.judge(with_('4'), undefined, never)).credentials).toBe('Same');
    expect(await n.step(with_('4'))).toEqual({ do: 'Nothing' });
  });

  it('finds nothing where nothing was changed, and writes nothing for it', async () => {
    const node = await settled();
    const before = node.world.disk.operations.length;
    for (let i = 0; i < 3; i++) expect(await node.step()).toEqual({ do: 'Nothing' });
    expect(node.world.disk.operations.length).toBe(before);
  });

  it('puts an edit right that was made while the API server served, though it is restarting by now', async () => {
    const node = await settled();
    node.world.disk.put(MANIFEST, withMaxAge(9)(node.manifest));
    // The kubelet is quicker than the agent.
    await node.pass(200);
    expect(node.world.isReady).toBe(false);
    await node.keeper.see(never);
    await node.pass(1_000);
    expect(await node.step()).toEqual(REPAIR);
  });

  it.each([0, 70_000])(
    'knows that it served when an edit comes right after a commit (kubelet: %s ms)',
    async (slow) => {
      const node = await settled();
      const { world } = node;
      await node.pass(120_000);
      world.reaction = slow;
      let own: Promise<void> | undefined;
      world.onTick = () => {
        if (node.manifest.includes('maxage=7')) own ??= node.keeper.see(never);
      };
      const host = node.keeper.listening();
      expect((await applyRevision({ host, spec: SPEC, to: B, version: '1.36', signal: never })).kind).toBe('Settled');
      await own;
      // Before anything but the probes has told that the new process is ready.
      world.reaction = 0;
      world.disk.put(MANIFEST, withMaxAge(9)(node.manifest));
      await node.pass(150);
      expect(world.isReady).toBe(false);
      await node.keeper.see(never);
      await node.keeper.settled(B, true, never);
      await node.pass(1_000);
      expect(await node.step(B)).toEqual(REPAIR);
    },
  );

  it('takes edits soon after another for one', async () => {
    const node = await settled();
    await node.edit(withMaxAge(9));
    await node.pass(8_000);
    await node.edit(withMaxAge(10));
    await node.pass(1_000);
    expect(await node.step()).toEqual(REPAIR);
  });

  it('says what differs', async () => {
    const node = await settled();
    await node.edit(withMaxAge(9));
    expect((await node.keeper.judge(A, undefined, never)).diff).toEqual([
      '---audit-log-maxage=9',
      '+--audit-log-maxage=30',
    ]);
  });

  it('never undoes what was written while the API server was down, in no later life either', async () => {
    const node = await settled();
    await node.edit(broken);
    await node.pass(90_000);
    await node.edit(withoutOurs);
    expect(await node.step()).toEqual(RESCUED);
    await node.pass(90_000);
    expect(await node.step()).toEqual(RESCUED);
    await node.restart();
    expect(await node.step()).toEqual(RESCUED);
  });

  it('knows a rescue also right after the edit that made it necessary', async () => {
    const node = await settled();
    await node.edit(broken);
    await node.pass(5_000);
    expect(node.world.starts).toBeGreaterThan(1);
    await node.edit(withoutOurs);
    expect(await node.step()).toEqual(RESCUED);
  });

  it('knows a rescue where the API server lives and lets everybody wait, as without etcd', async () => {
    const node = await settled();
    const host: NodeHost = { ...node.host, probe: async (a, s) => (silent ? 'Down' : node.host.probe(a, s)) };
    let silent = false;
    const log = createLogger({ name: 'test', level: 'error' });
    const rules = { quietMs: 120_000 };
    const keeper = new DriftKeeper({ host, spec: SPEC, root: '/nonexistent', rules, log, onChange: () => undefined });
    await keeper.begin(never);
    node.world.reaction = 70_000;
    silent = true;
    node.world.disk.put(MANIFEST, withMaxAge(9)(node.manifest));
    await keeper.see(never);
    expect((await keeper.judge(A, undefined, never)).step).toEqual(RESCUED);
  });

  it('a new revision ends a rescue, and so does a person’s word, once', async () => {
    const node = await settled();
    await node.edit(broken);
    await node.pass(90_000);
    await node.edit(withoutOurs);
    await node.pass(130_000);
    expect(await node.step()).toEqual(RESCUED);
    expect(await node.step(B)).toEqual({ do: 'Nothing' });
    expect(await node.step(A, '1')).toEqual(REPAIR);
    await node.edit(withMaxAge(3));
    await node.world.disk.remove(DRIFT);
  });

  it('a word that was heard before says nothing of a later rescue', async () => {
    const node = await settled();
    expect(await node.step(A, '1')).toEqual({ do: 'Nothing' });
    await node.edit(broken);
    await node.pass(90_000);
    await node.edit(withoutOurs);
    expect(await node.step(A, '1')).toEqual(RESCUED);
    expect(await node.step(A, '2')).toMatchObject({ do: 'Wait', why: 'Rewritten' });
    await node.pass(120_000);
    expect(await node.step(A, '2')).toEqual(REPAIR);
  });

  it('takes an edit that nobody saw for a rescue, and an upgrade for an upgrade', async () => {
    const [rescue, upgrade] = [await settled(), await settled()];
    rescue.world.disk.put(MANIFEST, withMaxAge(9)(rescue.manifest));
    await rescue.pass(10_000);
    await rescue.restart();
    expect(await rescue.step()).toEqual(RESCUED);
    upgrade.world.disk.put(MANIFEST, upgraded());
    await upgrade.pass(10_000);
    await upgrade.restart();
    expect(await upgrade.step()).toMatchObject({ do: 'Wait', why: 'Rewritten' });
    await upgrade.pass(120_000);
    expect(await upgrade.step()).toEqual(REPAIR);
  });

  it('takes an edit that came while it first asked the API server for one that nobody saw', async () => {
    const node = await settled();
    const { probe } = node.host;
    const host: NodeHost = {
      ...node.host,
      probe: async (address, signal) => {
        node.world.disk.put(MANIFEST, upgraded());
        await node.pass(200);
        return probe(address, signal);
      },
    };
    const log = createLogger({ name: 'test', level: 'error' });
    const rules = { quietMs: 120_000 };
    const keeper = new DriftKeeper({ host, spec: SPEC, root: '/nonexistent', rules, log, onChange: () => undefined });
    await keeper.begin(never);
    await keeper.see(never);
    expect((await keeper.judge(A, undefined, never)).step).toMatchObject({ do: 'Wait', why: 'Rewritten' });
  });

  it('takes no edit for a rescue that comes, and is judged, while a new agent waits for its first answer', async () => {
    const node = await settled();
    const { probe } = node.host;
    let answer = (): void => undefined;
    const asked = new Promise<void>((resolve) => (answer = resolve));
    let first = true;
    const host: NodeHost = {
      ...node.host,
      probe: async (address, signal) => {
        if (!first) return probe(address, signal);
        first = false;
        await asked;
        return 'Down';
      },
    };
    const log = createLogger({ name: 'test', level: 'error' });
    const rules = { quietMs: 120_000 };
    const keeper = new DriftKeeper({ host, spec: SPEC, root: '/nonexistent', rules, log, onChange: () => undefined });
    const begun = keeper.begin(never);
    await new Promise((resolve) => setTimeout(resolve, 20));
    node.world.disk.put(MANIFEST, upgraded());
    await node.pass(200);
    const judged = keeper.judge(A, undefined, never);
    await new Promise((resolve) => setTimeout(resolve, 20));
    answer();
    await begun;
    expect((await judged).step).toMatchObject({ do: 'Wait', why: 'Rewritten' });
  });

  it('awaits a rewrite until it is quiet, and a new revision waits for it too', async () => {
    const node = await settled();
    await node.edit(upgraded);
    expect(await node.step()).toMatchObject({ do: 'Wait', why: 'Rewritten' });
    expect(await node.step(B)).toMatchObject({ do: 'Wait', why: 'Rewritten' });
    await node.pass(119_000);
    expect(await node.step()).toMatchObject({ do: 'Wait', why: 'Rewritten' });
    await node.pass(1_000);
    expect(await node.step()).toEqual(REPAIR);
    expect(await node.step(B)).toEqual({ do: 'Nothing' });
  });

  it('awaits the manifest of a generator, from which all of ours is gone and nothing else', async () => {
    const node = await settled();
    const ours = node.manifest;
    await node.edit(withoutOurs);
    await node.pass(60_000);
    expect(await node.step()).toMatchObject({ do: 'Wait', why: 'Rewritten' });
    await node.pass(60_000);
    expect(await node.step()).toEqual(REPAIR);
    await node.install(A);
    expect(node.manifest).toBe(ours);
  });

  it('knows a rewrite from an edit of ours, with foreign edits that it left alone in between', async () => {
    const node = await settled();
    await node.edit((t) => t.replace('- --secure-port', '- --v=4\n    - --secure-port'));
    await node.pass(10_000);
    expect(await node.step()).toEqual({ do: 'Nothing' });
    await node.edit(withMaxAge(9));
    await node.pass(1_000);
    expect(await node.step()).toEqual(REPAIR);
  });

  it('stops after three corrections in an hour, in a later life too', async () => {
    const node = await settled();
    for (let i = 0; i < 3; i++) {
      await node.edit(withMaxAge(i + 1));
      await node.pass(20 * 60_000);
      expect(await node.step()).toEqual(REPAIR);
      await node.keeper.correcting();
      await node.install(A);
    }
    await node.edit(withMaxAge(5));
    await node.pass(10_000);
    await node.restart();
    // Seen by the former life, and remembered by nobody: but the stop is decided by what is on disk.
    await node.edit(withMaxAge(6));
    await node.pass(2_000);
    expect(await node.step()).toEqual({ do: 'Stop', why: 'DriftFight' });
    await node.pass(5 * 3_600_000);
    expect(await node.step()).toEqual({ do: 'Stop', why: 'DriftFight' });
  });

  it('forgets all of it with a removal', async () => {
    const node = await settled();
    expect(node.world.disk.text(DRIFT)).not.toBeNull();
    await node.install(null);
    expect(node.world.disk.text(DRIFT)).toBeNull();
  });
});

describe('the policy that the process has read', () => {
  const path = (node: Node): string => /--audit-policy-file=(\S+)/.exec(node.manifest)?.[1] ?? '';
  const WRONG = 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n';

  it('is the right one where the file was changed later: putting it right restarts nothing', async () => {
    const node = await settled();
    const right = node.world.disk.text(path(node)) ?? '';
    node.world.disk.put(path(node), WRONG);
    await node.keeper.see(never);
    await node.pass(1_000);
    expect(await node.step()).toEqual({ do: 'Repair', restart: 'No' });
    node.world.disk.put(path(node), right);
    await node.keeper.see(never);
    expect(await node.step()).toEqual({ do: 'Nothing' });
    await node.restart();
    expect(await node.step()).toEqual({ do: 'Nothing' });
  });

  it('is another where the process started while it was wrong', async () => {
    const node = await settled();
    const right = node.world.disk.text(path(node)) ?? '';
    node.world.disk.put(path(node), WRONG);
    node.world.crash();
    await node.pass(10_000);
    node.world.disk.put(path(node), right);
    expect(await node.step()).toEqual({ do: 'Repair', restart: 'Process' });
  });

  it('is the right one after any restart with the right file', async () => {
    const node = await settled();
    node.world.crash();
    await node.pass(10_000);
    await node.restart();
    expect(await node.step()).toEqual({ do: 'Nothing' });
  });

  it('where nobody can see processes, nothing is restarted', async () => {
    const node = await settled();
    node.world.hidden = true;
    const right = node.world.disk.text(path(node)) ?? '';
    node.world.disk.put(path(node), right);
    expect(await node.step()).toEqual({ do: 'Nothing' });
  });
});
