/**
 * The Lease for restarts on a real API server: two agents with tokens of their own nodes, as RBAC and admission have
 * them, and the controller's side of it. They ask the API server whether it is ready with their own credentials.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { askGitVersion, askReady } from '../../src/agent/peers.ts';
import { createRestartTurn } from '../../src/agent/turn.ts';
import type { RestartTurn } from '../../src/agent/turn.ts';
import { connectKube } from '../../src/kube/connect.ts';
import type { Kube } from '../../src/kube/connect.ts';
import { kubeConfigCredentials } from '../../src/kube/credentials.ts';
import { noKubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { BUNDLES_NAMESPACE, createNode, installOperator, kubeconfigOf, tokenOf } from '../operator/install.ts';

const never = new AbortController().signal;
const log = createLogger({ name: 'test', level: 'silent' });
const PATH = `/apis/coordination.k8s.io/v1/namespaces/${BUNDLES_NAMESPACE}/leases`;

describe('two agents and one Lease', () => {
  let plane: ControlPlane;
  let folder: string;
  const kubes: Kube[] = [];
  const turns: RestartTurn[] = [];
  let port: number;
  const write = (instances: readonly object[]): Promise<unknown> =>
    plane.request('PATCH', `${PATH}/auditconfig-restart`, {
      body: { metadata: { annotations: { 'auditconfig.dev/instances': JSON.stringify(instances) } } },
    });

  beforeAll(async () => {
    plane = await startControlPlane({ version: '1.36' });
    await installOperator(plane);
    ({ port } = plane);
    folder = await mkdtemp(join(tmpdir(), 'auditconfig-turn-'));
    const metadata = { name: 'auditconfig-restart', namespace: BUNDLES_NAMESPACE };
    await plane.request('POST', PATH, {
      body: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec: {} },
    });
    for (const name of ['cp-1', 'cp-2']) {
      const node = await createNode(plane, name);
      const path = join(folder, name);
      await writeFile(path, kubeconfigOf(plane, await tokenOf(plane, 'auditconfig-agent', node)), { mode: 0o600 });
      const credentials = kubeConfigCredentials({ from: 'File', path });
      const kube = connectKube({ credentials, userAgent: 'test' });
      kubes.push(kube);
      const peers = { credentials, metrics: noKubeMetrics, userAgent: 'test' };
      turns.push(
        createRestartTurn({
          client: kube.client,
          namespace: BUNDLES_NAMESPACE,
          node: name,
          nodeUid: () => node.uid,
          ownPort: async () => port,
          askPeer: (address, signal) => askReady(peers, address, signal),
          log,
          now: Date.now,
        }),
      );
    }
    const both = ['cp-1', 'cp-2'].map((node) => ({ node, host: '127.0.0.1', port }));
    await write(both);
    // RBAC and admission count a moment after they were made.
    const end = Date.now() + 20_000;
    while (!(await turns[0]?.take(never))?.granted && Date.now() < end) await sleep(100);
    await turns[0]?.giveBack(never);
  });
  afterAll(async () => {
    await Promise.all(kubes.map((k) => k.close()));
    await plane?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('never both have it, and each gets it in the end', async () => {
    let having = 0;
    const most: number[] = [];
    const rounds = async (turn: RestartTurn | undefined): Promise<void> => {
      if (turn === undefined) throw new Error('there is no agent');
      for (let got = 0; got < 10;) {
        if (!(await turn.take(never)).granted) {
          await sleep(5);
          continue;
        }
        got += 1;
        most.push(++having);
        await sleep(5);
        having -= 1;
        expect(await turn.giveBack(never)).toBe(true);
      }
    };
    await Promise.all(turns.map(rounds));
    expect(most).toEqual(Array.from({ length: 20 }, () => 1));
  });

  it('none gets it while the other node’s API server does not answer, and neither writes anything', async () => {
    await write([
      { node: 'cp-1', host: '127.0.0.1', port },
      { node: 'cp-2', host: '127.0.0.1', port: 1 },
    ]);
    const version = async (): Promise<unknown> =>
      ((await plane.request('GET', `${PATH}/auditconfig-restart`)).body as { metadata: { resourceVersion: string } })
        .metadata.resourceVersion;
    const before = await version();
    expect(await turns[0]?.take(never)).toMatchObject({ granted: false, reason: 'PeerNotReady', node: 'cp-2' });
    expect(await version()).toBe(before);
  });

  it('an API server says its own version to who asks at its address', async () => {
    const credentials = kubeConfigCredentials({ from: 'File', path: join(folder, 'cp-1') });
    const peers = { credentials, metrics: noKubeMetrics, userAgent: 'test' };
    expect(await askGitVersion(peers, { host: '127.0.0.1', port }, never)).toMatch(/^v1\.36\./);
    expect(await askGitVersion(peers, { host: '127.0.0.1', port: 1 }, never)).toBeUndefined();
  });
});
