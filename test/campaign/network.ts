/** The network between the parts, and etcd. */
import { createServer } from 'node:net';
import { readFile, writeFile } from 'node:fs/promises';
import { webhookTo } from './by-hand.ts';
import { IMPATIENT, inOwnNamespace } from './lab.ts';
import type { Lab } from './lab.ts';
import type { Breakage } from './types.ts';

const kind = 'network and etcd';

/** Takes connections and says nothing; the port of it, while `act` runs. */
async function withSilentReceiver(act: (port: number) => Promise<void>): Promise<void> {
  const server = createServer((socket) => socket.on('error', () => socket.destroy()));
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
  const address = server.address();
  try {
    await act(address === null || typeof address === 'string' ? 0 : address.port);
  } finally {
    server.close();
  }
}

/** Requests that are all recorded, to each API server. */
async function traffic(lab: Lab, count: number): Promise<void> {
  for (let i = 0; i < count; i++)
    for (const { plane } of lab.nodes) await plane.request('GET', '/api/v1/namespaces/default/configmaps');
}

export const NETWORK: readonly Breakage[] = [
  {
    id: 'etcd-down-in-mid-rollout',
    kind,
    title: 'etcd dies right after the manifest’s rename, and is away for longer than anybody waits',
    nodes: 1,
    expect: 'inconclusive',
    waits: true,
    run: async (lab) => {
      const before = await lab.first.manifest();
      await lab.begin(IMPATIENT);
      await lab.untilRenamed(lab.first, before);
      await lab.first.plane.etcd.kill();
      await lab.untilRolledBack(lab.first, 'Inconclusive');
      await lab.first.plane.etcd.start(lab.signal);
      await lab.waitLonger();
      await lab.untilHealed();
    },
  },
  {
    id: 'agent-cut-off',
    kind,
    title: 'the agent loses the API in the middle of a change, packets are dropped',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      const before = await lab.first.manifest();
      await lab.begin();
      await lab.untilRenamed(lab.first, before);
      lab.first.relay.set('Silent');
      await lab.until('it ends the change alone', async () => (await lab.first.state())?.state.phase === 'Settled');
      lab.first.relay.set('Open');
      await lab.untilHealed();
    },
  },
  {
    id: 'etcd-stands-still',
    kind,
    title: 'etcd answers nothing for six seconds, right after the manifest’s rename',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      const before = await lab.first.manifest();
      await lab.begin();
      await lab.untilRenamed(lab.first, before);
      lab.first.plane.etcd.pause();
      await lab.sleep(6_000);
      lab.first.plane.etcd.resume();
      await lab.untilHealed();
    },
  },
  {
    id: 'agent-token-expired',
    kind,
    title: 'the agent comes back in mid-change with a token that no API server takes; a good one is mounted later',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      const { first: node } = lab;
      const before = await node.manifest();
      const good = await readFile(node.kubeconfig, 'utf8');
      await lab.begin();
      await lab.untilRenamed(node, before);
      await node.killAgent();
      await writeFile(node.kubeconfig, good.replace(/"token":"[^"]*/, '"token":"expired'));
      node.startAgent();
      await lab.until('it ends the change alone', async () => (await node.state())?.journal === null);
      await lab.sleep(4_000);
      await writeFile(node.kubeconfig, good);
      await lab.untilHealed();
    },
  },
  {
    id: 'webhook-receiver-hangs',
    kind,
    title: 'the receiver of the audit webhook takes connections and never answers',
    nodes: 1,
    expect: 'healed',
    waits: true,
    run: (lab) =>
      withSilentReceiver(async (port) => {
        const kubeconfig = webhookTo({ server: `https://127.0.0.1:${port}/` });
        await lab.apply(inOwnNamespace('Secret', 'silent', { 'webhook.yaml': kubeconfig }));
        await lab.begin({ webhook: { secretRef: { name: 'silent' } } });
        await lab.untilSettled();
        await lab.mark();
        await traffic(lab, 500);
        await lab.nothingHappens(3_000);
      }),
  },
  {
    id: 'controller-cut-off',
    kind,
    title: 'the controller loses the API when the first of three nodes is being changed, packets are dropped',
    nodes: 3,
    expect: 'healed',
    run: async (lab) => {
      const before = await lab.manifests();
      await lab.begin();
      await lab.untilAnyRenamed(before);
      lab.controllerRelay.set('Silent');
      await lab.sleep(8_000);
      lab.controllerRelay.set('Open');
      await lab.untilHealed();
    },
  },
  {
    id: 'watches-are-cut',
    kind,
    title: 'a balancer cuts every connection every 400 ms, all through a rollout over three nodes',
    nodes: 3,
    expect: 'healed',
    run: async (lab) => {
      const relays = [lab.controllerRelay, ...lab.nodes.map((n) => n.relay)];
      await lab.begin();
      for (let i = 0; i < 30; i++) {
        await lab.sleep(400);
        for (const r of relays) r.cut();
      }
      await lab.untilHealed();
    },
  },
  {
    id: 'one-api-server-hangs',
    kind,
    title:
      'one of three API servers hangs, its port still open, when a revision arrives: no other may restart meanwhile',
    nodes: 3,
    expect: 'healed',
    run: async (lab) => {
      const [, , third = lab.first] = lab.nodes;
      const hung = third.apiServerProcess;
      hung?.signal('SIGSTOP');
      await lab.until('it is down', () => Promise.resolve(lab.meter.isDown(third.name)));
      await lab.begin();
      // Its own agent may restart it, which is what it needs; then the others follow.
      await lab.sleep(10_000);
      hung?.signal('SIGCONT');
      await lab.untilHealed();
    },
  },
  {
    id: 'one-api-server-is-away',
    kind,
    title: 'one of three API servers is away for maintenance, its manifest moved: nobody else may restart',
    nodes: 3,
    expect: 'healed',
    run: async (lab) => {
      const [, second = lab.first] = lab.nodes;
      const manifest = await second.manifest();
      await second.removeManifest();
      await lab.until('it is down', () => Promise.resolve(lab.meter.isDown(second.name)));
      await lab.begin();
      await lab.nothingHappens(10_000, [second]);
      await second.writeManifest(manifest);
      await lab.untilHealed();
    },
  },
];
