/** Drift where systemd starts the API server: units, K3s and RKE2, by the same keeper and the same rules as static pods. */
import { describe, expect, it } from 'vitest';
import { DriftWork } from '../../src/agent/drift-work.ts';
import { applyRevision } from '../../src/node/apply-revision.ts';
import type { Revision } from '../../src/render/types.ts';
import { DEFAULT_LAYOUT } from '../../src/targets/host-layout.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { MemoryDisk } from '../host/memory-disk.ts';
import { behaves, CASES } from '../node/unit-cases.ts';
import type { Case } from '../node/unit-cases.ts';
import { UnitWorld } from '../node/unit-world.ts';
import { UNIT } from '../targets/contract/systemd.ts';
import { revision } from '../targets/revisions.ts';
import { DriftNode, never } from './drift-node.ts';

const A = revision();
const POLICY = `${DEFAULT_LAYOUT.revisionsDir}/${A.digest.slice(0, 16)}/policy.yaml`;
const WRONG = 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n';
const REPAIR = { do: 'Repair', restart: 'Manifest' };
const RESCUED = { do: 'Stop', why: 'Rescued' };
const withMaxAge = (text: string): string => text.replace(/audit-log-maxage=\d+/, 'audit-log-maxage=1');
const broken = (text: string): string => text.replace(/audit-log-mode=\w+/, 'audit-log-mode=broken');

type Node = DriftNode<UnitWorld>;

async function settled({ kind, file, files, place }: Case, more: Readonly<Record<string, string>> = {}): Promise<Node> {
  const world = new UnitWorld(new MemoryDisk({ ...files, ...more }), { kind, file, behaves });
  const node = new DriftNode({ world, spec: place, file });
  await node.keeper.begin(never);
  await node.install(A);
  expect(node.world.isReady).toBe(true);
  return node;
}

const workOf = ({ keeper, host, spec }: Node): DriftWork =>
  new DriftWork({ host, spec, keeper, log: createLogger({ name: 'test', level: 'error' }) });
const turn = async (): Promise<{ granted: true }> => ({ granted: true });
const before = (node: Node, to: Revision = A): ReturnType<DriftWork['before']> =>
  workOf(node).before(to, undefined, { timeoutMs: 60_000, turn, signal: never });

describe.each(CASES)('$kind', (c) => {
  it('finds nothing where nothing was changed, and writes nothing for it', async () => {
    const node = await settled(c);
    const done = [node.world.disk.operations.length, node.world.asked];
    for (let i = 0; i < 3; i++) expect(await node.step(A)).toEqual({ do: 'Nothing' });
    expect([node.world.disk.operations.length, node.world.asked]).toEqual(done);
  });

  it.each([true, false])(
    'puts a flag right that was edited by hand (restarted by that person: %s)',
    async (restarts) => {
      const node = await settled(c);
      const good = node.text;
      await node.edit(withMaxAge);
      expect(node.text).not.toBe(good);
      if (restarts) node.world.personRestarts();
      await node.pass(1_000);
      expect(node.world.args.includes('--audit-log-maxage=1')).toBe(restarts);
      expect(await node.step(A)).toEqual(REPAIR);
      const judged = await node.keeper.judge(A, undefined, never);
      expect(judged.diff).toEqual(['---audit-log-maxage=1', '+--audit-log-maxage=30']);
      await node.install(A);
      expect([node.text, node.world.isReady]).toEqual([good, true]);
      expect(node.world.args).toContain('--audit-log-maxage=30');
      expect(await node.step(A)).toEqual({ do: 'Nothing' });
    },
  );

  it('puts all of it right where it was taken out', async () => {
    const node = await settled(c);
    const good = node.text;
    if (c.kind === 'Systemd') await node.edit(() => c.files[c.file] ?? '');
    else {
      node.world.disk.live.delete(c.file);
      await node.keeper.see(never);
    }
    node.world.personRestarts();
    expect(node.world.args).toEqual([]);
    await node.pass(1_000);
    expect(await node.step(A)).toEqual(REPAIR);
    await node.install(A);
    expect(node.text).toBe(good);
    expect(node.world.args).toContain('--audit-log-maxage=30');
  });

  it('puts a policy file right without a restart, which the process read before it was changed', async () => {
    const node = await settled(c);
    const asked = node.world.asked;
    await node.put(POLICY, WRONG);
    await node.pass(1_000);
    expect(await before(node)).toMatchObject({ kind: 'Repair', restart: 'No' });
    await node.install(A);
    expect(node.world.disk.text(POLICY)).not.toBe(WRONG);
    expect(await node.step(A)).toEqual({ do: 'Nothing' });
    expect(node.world.asked).toBe(asked);
  });

  it('restarts what started with another policy than the one that is there now', async () => {
    const node = await settled(c);
    const right = node.world.disk.text(POLICY) ?? '';
    await node.put(POLICY, WRONG);
    node.world.personRestarts();
    await node.put(POLICY, right);
    await node.pass(1_000);
    const starts = node.world.starts;
    expect(await node.step(A)).toEqual({ do: 'Repair', restart: 'Process' });
    expect(await before(node)).toMatchObject({ kind: 'Repair', restart: 'Process' });
    expect([node.world.starts, node.world.isReady]).toEqual([starts + 1, true]);
    expect(await node.step(A)).toEqual({ do: 'Nothing' });
  });

  it('never undoes what was written while the API server was down', async () => {
    const node = await settled(c);
    await node.edit(broken);
    node.world.personRestarts();
    await node.pass(90_000);
    expect(node.world.isReady).toBe(false);
    await node.edit(withMaxAge);
    expect(await node.step(A)).toEqual(RESCUED);
    await node.restart();
    expect(await node.step(A)).toEqual(RESCUED);
    expect((await before(node)).kind).toBe('Leave');
  });

  it('knows an edit of which no watch has told yet when it is judged', async () => {
    const node = await settled(c);
    node.world.disk.put(c.file, withMaxAge(node.text));
    expect(await node.step(A)).toMatchObject({ do: 'Wait', why: 'Settling' });
    await node.pass(1_000);
    expect(await node.step(A)).toEqual(REPAIR);
  });

  it('takes an edit that nobody saw for a rescue', async () => {
    const node = await settled(c);
    node.world.disk.put(c.file, withMaxAge(node.text));
    await node.pass(10_000);
    await node.restart();
    expect(await node.step(A)).toEqual(RESCUED);
  });

  it('stops after three corrections in an hour', async () => {
    const node = await settled(c);
    for (let i = 0; i < 3; i++) {
      await node.edit(withMaxAge);
      await node.pass(60_000);
      expect(await node.step(A)).toEqual(REPAIR);
      await node.keeper.correcting();
      await node.install(A);
    }
    await node.edit(withMaxAge);
    await node.pass(2_000);
    expect(await node.step(A)).toEqual({ do: 'Stop', why: 'DriftFight' });
  });

  it('is told of every folder from which its flags may come', async () => {
    const node = await settled(c);
    const { folders } = await c.place.sources(node.world.disk);
    expect(folders).toEqual(expect.arrayContaining([c.file, POLICY].map((p) => p.slice(0, p.lastIndexOf('/')))));
    expect(folders).toContain('/etc/systemd/system');
  });
});

const only = (kind: Case['kind']): Case => {
  const found = CASES.find((c) => c.kind === kind);
  if (found === undefined) throw new Error(kind);
  return found;
};

describe('a unit', () => {
  const c = only('Systemd');

  it('that was written anew is awaited until it is quiet, then edited again', async () => {
    const node = await settled(c);
    await node.edit(() => (c.files[UNIT] ?? '').replace('--v=2', '--v=4'));
    await node.pass(1_000);
    expect(await node.step(A)).toMatchObject({ do: 'Wait', why: 'Rewritten' });
    await node.pass(120_000);
    expect(await node.step(A)).toEqual(REPAIR);
    await node.install(A);
    expect(node.text).toContain('--v=4');
    expect(node.world.args).toContain('--audit-log-maxage=30');
  });

  it('that a person stops and edits is in rescue, soon after another edit too', async () => {
    const node = await settled(c);
    await node.edit(withMaxAge);
    await node.pass(1_000);
    await node.install(A);
    node.world.personStops();
    await node.pass(10_000);
    await node.edit(withMaxAge);
    node.world.personRestarts();
    expect(await node.step(A)).toEqual(RESCUED);
  });

  it('that a person stops, edits and starts in one go is in rescue, soon after another edit too', async () => {
    const node = await settled(c);
    await node.edit(withMaxAge);
    await node.pass(1_000);
    await node.install(A);
    node.world.personStops();
    for (let looks = 0; looks < 4; looks++) {
      await node.pass(2_000);
      await node.keeper.tick(never);
    }
    node.world.disk.put(c.file, withMaxAge(node.text));
    node.world.personRestarts(100);
    await node.keeper.see(never);
    expect(await node.step(A)).toEqual(RESCUED);
  });

  it('with another program is an upgrade, also where nobody saw it', async () => {
    const node = await settled(c);
    node.world.disk.put(UNIT, (c.files[UNIT] ?? '').replace('/usr/local/bin/', '/opt/v1.37/'));
    await node.pass(10_000);
    await node.restart();
    expect(await node.step(A)).toMatchObject({ do: 'Wait', why: 'Rewritten' });
  });

  it('whose other settings were changed, and its flags, is put right at once', async () => {
    const node = await settled(c);
    await node.edit((t) => withMaxAge(t).replace('RestartSec=5', 'RestartSec=1'));
    await node.pass(1_000);
    expect(await node.step(A)).toEqual(REPAIR);
    await node.install(A);
    expect(node.text).toContain('RestartSec=1');
  });

  it('that lost a continuation is nobody’s finished work, and left alone', async () => {
    const node = await settled(c);
    await node.edit((t) => t.replace('--bind-address=0.0.0.0 \\', '--bind-address=0.0.0.0'));
    await node.pass(1_000);
    expect(await node.step(A)).toEqual({ do: 'Wait', why: 'Unreadable' });
  });

  it('of which a drop-in takes over is awaited, then edited there', async () => {
    const node = await settled(c);
    const dropIn = `${UNIT}.d/20-site.conf`;
    const exec = (c.files[UNIT] ?? '').split('\n').slice(5, 13).join('\n').replace('--v=2', '--v=5');
    await node.put(dropIn, `[Service]\nExecStart=\n${exec}\n`);
    expect(await node.step(A)).toMatchObject({ do: 'Wait', why: 'Rewritten' });
    expect((await c.place.sources(node.world.disk)).folders).toContain(`${UNIT}.d`);
  });
});

describe('K3s', () => {
  const c = only('K3s');

  it('with a later file in its way is refused the repair, with that file’s name', async () => {
    const node = await settled(c);
    await node.put('/etc/rancher/k3s/config.yaml.d/zz.yaml', 'kube-apiserver-arg: [v=2]\n');
    await node.pass(1_000);
    expect(await node.step(A)).toEqual(REPAIR);
    const outcome = await applyRevision({ host: node.host, spec: c.place, to: A, version: '1.36', signal: never });
    expect(outcome).toMatchObject({ kind: 'Refused', findings: [{ code: 'DropInNotLast' }] });
  });

  it('whose configuration says something else is left alone', async () => {
    const node = await settled(c);
    await node.put(
      '/etc/rancher/k3s/config.yaml',
      `${c.files['/etc/rancher/k3s/config.yaml'] ?? ''}node-label: [a=b]\n`,
    );
    await node.pass(1_000);
    expect(await node.step(A)).toEqual({ do: 'Nothing' });
    await node.restart();
    expect(await node.step(A)).toEqual({ do: 'Nothing' });
  });

  it('that was restarted with another drop-in than the one that is there now is restarted', async () => {
    const node = await settled(c);
    const good = node.text;
    await node.edit(withMaxAge);
    node.world.personRestarts();
    await node.edit(() => good);
    await node.pass(1_000);
    expect(await node.step(A)).toEqual({ do: 'Repair', restart: 'Process' });
  });
});
