/**
 * A real systemd as PID 1 of a node, a real kube-apiserver as its service, and the agent as the service that deploy/ ships:
 * installed, rolled back, killed and rebooted in mid-change, removed. Each test leaves the unit as it was written.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listApiServers } from '../../src/host/processes.ts';
import type { ApiServerProcess } from '../../src/host/processes.ts';
import { run } from '../control-plane/sources/run.ts';
import { applyOrThrow, pathOf } from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';
import { conditionOf } from '../operator/operator.ts';
import type { AuditConfigView } from '../operator/operator.ts';
import { until } from './lab.ts';
import { missingHere } from './machine.ts';
import { API_SERVER, NODE_NAME, ServicePlane, UNIT } from './service-plane.ts';

const LOG = '/var/log/kube-audit/audit.log';
const missing = await missingHere();
const print = (line: string): void => void process.stdout.write(`[figure] ${line}\n`);
const seconds = (ms: number): string => (ms / 1000).toFixed(1);

const auditConfig = (spec: Record<string, unknown> = {}): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'main', namespace: 'auditconfig-system' },
  spec: { target: { type: 'Systemd' }, rollout: { minReadySeconds: 0, timeoutSeconds: 120 }, ...spec },
});
const AUDIT_NODE = { apiVersion: 'auditconfig.dev/v1alpha1', kind: 'AuditNode', metadata: { name: NODE_NAME } };

describe.skipIf(missing !== undefined)(`systemd starts kube-apiserver (needs ${missing ?? 'nothing more'})`, () => {
  let plane: ServicePlane;

  beforeAll(async () => {
    plane = await ServicePlane.start(AbortSignal.timeout(3_000_000));
    await plane.installOperator();
  });
  afterAll(() => plane?.stop());

  const unit = (): Promise<string> => plane.node.read(UNIT);
  const running = async (): Promise<ApiServerProcess | undefined> =>
    (await listApiServers(plane.node.proc))?.apiServers.at(-1);
  const said = async (error: unknown): Promise<never> => {
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${await plane.words()}`);
  };

  /** Waits until a condition says this about the newest generation. */
  const untilCondition = (type: string, status: string, reason?: string): Promise<AuditConfigView> => {
    const ask = async (): Promise<AuditConfigView | undefined> => {
      const { body } = await plane.request('GET', pathOf(auditConfig()));
      const view = body as AuditConfigView;
      const c = conditionOf(view, type);
      const current = view.status?.observedGeneration === view.metadata.generation;
      return current && c?.status === status && (reason ?? c.reason) === c.reason ? view : undefined;
    };
    return until(`${type}=${status} ${reason ?? ''}`, ask, { ms: 180_000, everyMs: 250 }).catch(said);
  };
  const untilText = (what: string, is: (text: string) => boolean): Promise<number> =>
    until(what, async () => (is(await unit()) ? Date.now() : undefined), { ms: 180_000, everyMs: 10 }).catch(said);
  const auditNode = async (): Promise<Record<string, unknown>> => {
    const { body } = await plane.request('GET', pathOf(AUDIT_NODE));
    return (body as { status?: Record<string, unknown> }).status ?? {};
  };
  /** The API server runs with the right flags, and the agent has seen it: what status says may be older than the repair. */
  const untilRepaired = async (): Promise<void> => {
    const asked = async (): Promise<true | undefined> => {
      const isRight = (await running())?.args.includes('--audit-log-maxage=30');
      const { state, journal } = JSON.parse(await plane.node.read('/var/lib/auditconfig/state.json')) as {
        readonly state: { readonly phase: string };
        readonly journal?: unknown;
      };
      const isDone = state.phase === 'Settled' && (journal ?? null) === null;
      return isRight === true && isDone && (await auditNode())['phase'] === 'Settled' ? true : undefined;
    };
    await plane.ready();
    await until('the node is settled', asked, { ms: 120_000 }).catch(said);
  };
  const remove = async (): Promise<void> => {
    await plane.request('DELETE', pathOf(auditConfig()));
    const gone = async (): Promise<true | undefined> =>
      (await plane.request('GET', pathOf(auditConfig()))).status === 404 ? true : undefined;
    await until('the AuditConfig is gone', gone, { ms: 180_000 }).catch(said);
  };
  /** No kube-apiserver opens a log that is immutable, and no check foresees it. */
  const withUnwritableLog = async (act: () => Promise<void>): Promise<void> => {
    const log = plane.node.file(LOG);
    await mkdir(plane.node.file('/var/log/kube-audit'), { recursive: true });
    await writeFile(log, '', { flag: 'a' });
    await run('chattr', ['+i', log]);
    try {
      await act();
    } finally {
      await run('chattr', ['-i', log]);
    }
  };

  it('an AuditConfig becomes arguments of the unit, one restart, and events in the log', async () => {
    const old = await running();
    const start = Date.now();
    await applyOrThrow(plane, auditConfig({ policy: { preset: 'metadata' } }));
    const renamed = await untilText('the edit', (t) => t !== API_SERVER);
    const done = await untilCondition('Ready', 'True');
    print(`systemd: ${renamed - start} ms to the rename, healthy and reported after ${seconds(Date.now() - start)} s`);
    expect(done.status?.nodes).toMatchObject({ summary: '1/1', failed: 0 });
    const now = await running();
    expect(now?.pid).not.toBe(old?.pid);
    expect(now?.args).toContain(`--audit-log-path=${LOG}`);
    expect(now?.args).toContain('--event-ttl=1h');
    const kept = (await unit()).split('\n').filter((l) => !l.includes('--audit-'));
    expect(kept.map((l) => l.replace(/ \\$/, ''))).toEqual(API_SERVER.split('\n').map((l) => l.replace(/ \\$/, '')));
    await plane.request('GET', '/api/v1/namespaces/default/secrets/nobody');
    const seen = async (): Promise<true | undefined> =>
      (await readFile(plane.node.file(LOG), 'utf8')).includes('/secrets/nobody') ? true : undefined;
    await until('the event', seen, { ms: 5_000 });
    expect((await running())?.pid).toBe(now?.pid);
    expect(await auditNode()).toMatchObject({ phase: 'Settled', current: done.status?.revision?.digest });
  });

  it('an AuditConfig for another kind of place is refused by this node’s agent, and nothing is touched', async () => {
    const before = await unit();
    const { body } = await plane.request('GET', pathOf(AUDIT_NODE));
    const asked = (body as { spec: Record<string, unknown> }).spec;
    const patch = (target: unknown): Promise<unknown> =>
      plane.request('PATCH', pathOf(AUDIT_NODE), { body: { spec: { target } } });
    await plane.node.systemctl('stop', 'auditconfig-controller.service');
    await patch({ type: 'K3s' });
    const refused = async (): Promise<true | undefined> =>
      JSON.stringify(await auditNode()).includes('TargetMismatch') ? true : undefined;
    await until('the refusal', refused, { ms: 30_000 }).catch(said);
    expect(await unit()).toBe(before);
    await patch(asked['target']);
    await plane.node.systemctl('start', 'auditconfig-controller.service');
    await untilCondition('Ready', 'True');
  });

  it('a flag that somebody edits in the unit is put right, whether he restarts the API server or not', async () => {
    const good = await unit();
    for (const restarts of [false, true]) {
      await plane.node.write(UNIT, good.replace('--audit-log-maxage=', '--audit-log-maxage=9'));
      const start = Date.now();
      if (restarts) {
        await plane.node.systemctl('daemon-reload');
        await plane.node.systemctl('restart', '--no-block', 'kube-apiserver.service');
      }
      await untilText('the repair', (t) => t === good);
      print(`systemd, drift${restarts ? ', restarted with it' : ''}: put right after ${seconds(Date.now() - start)} s`);
      await untilRepaired();
      expect((await running())?.args.filter((a) => a.startsWith('--audit-log-maxage'))).toEqual([
        '--audit-log-maxage=30',
      ]);
    }
  });

  it('a policy file that somebody edits is put right, and nothing restarts', async () => {
    const now = await running();
    const path = now?.args.find((a) => a.startsWith('--audit-policy-file='))?.split('=')[1] ?? '';
    const good = await plane.node.read(path);
    await plane.node.write(path, 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None}]\n');
    const asked = async (): Promise<true | undefined> => ((await plane.node.read(path)) === good ? true : undefined);
    await until('the repair', asked, { ms: 30_000 }).catch(said);
    await untilRepaired();
    expect(await running()).toEqual(now);
  });

  it('what somebody writes while the API server is down is not undone, until a person says so', async () => {
    const good = await unit();
    const rescue = good.replace('--audit-log-maxage=', '--audit-log-maxage=9');
    await plane.node.systemctl('stop', 'kube-apiserver.service');
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    await plane.node.write(UNIT, rescue);
    await plane.node.systemctl('daemon-reload');
    await plane.node.systemctl('start', '--no-block', 'kube-apiserver.service');
    await plane.ready();
    await untilCondition('Degraded', 'True', 'Rescued');
    expect(await unit()).toBe(rescue);
    const body = { metadata: { annotations: { 'auditconfig.dev/again': 'yes' } } };
    await plane.request('PATCH', pathOf(AUDIT_NODE), { body });
    await untilText('the repair', (t) => t === good);
    await untilCondition('Ready', 'True');
  });

  it('a deleted AuditConfig gives the unit back, byte for byte', async () => {
    await remove();
    expect(await unit()).toBe(API_SERVER);
    await plane.ready();
    expect((await running())?.args.some((a) => a.startsWith('--audit-'))).toBe(false);
    expect(
      (await plane.node.exec('ls', ['-A', '/var/lib/auditconfig', '/etc/kubernetes/auditconfig'])).stdout,
    ).not.toContain('json');
  });

  it('a revision with which it does not start is rolled back by itself', async () => {
    await withUnwritableLog(async () => {
      await applyOrThrow(plane, auditConfig({ policy: { preset: 'metadata' } }));
      const broken = await untilText('the edit', (t) => t !== API_SERVER);
      const restored = await untilText('the rollback', (t) => t === API_SERVER);
      await plane.ready();
      print(`systemd, crash loop: rolled back ${seconds(restored - broken)} s after the rename, ready ${seconds(Date.now() - restored)} s after that`); // prettier-ignore
      await untilCondition('Degraded', 'True', 'NodeHeld');
      expect(await auditNode()).toMatchObject({ phase: 'Held', lastFailure: { reason: 'CrashLoop' } });
      expect(JSON.stringify(await auditNode())).toContain('operation not permitted');
    });
    await remove();
    expect(await unit()).toBe(API_SERVER);
  });

  it('an agent that is killed between rename and restart restarts it in its next life', async () => {
    const slow = '/etc/systemd/system/auditconfig-agent.service.d/slow.conf';
    // A systemctl that never comes to the restart.
    await plane.node.command('slow-systemctl', '#!/bin/sh\ncase "$*" in *restart*|*reload*) sleep 600 ;; esac\nexec /opt/bin/systemctl "$@"\n'); // prettier-ignore
    await run('cp', ['/usr/bin/systemctl', plane.node.file('/opt/bin/systemctl')]);
    await plane.node.write(slow, '[Service]\nBindReadOnlyPaths=/opt/bin/slow-systemctl:/usr/bin/systemctl\n');
    await plane.node.systemctl('daemon-reload');
    await plane.node.systemctl('restart', 'auditconfig-agent.service');
    const old = await running();
    await applyOrThrow(plane, auditConfig({ policy: { preset: 'minimal' } }));
    await untilText('the edit', (t) => t !== API_SERVER);
    await rm(plane.node.file(slow));
    await plane.node.systemctl('daemon-reload');
    await plane.node.systemctl('kill', '--signal=KILL', 'auditconfig-agent.service');
    expect((await running())?.pid).toBe(old?.pid);
    await untilCondition('Ready', 'True');
    expect((await running())?.args).toContain(`--audit-log-path=${LOG}`);
    await remove();
    expect(await unit()).toBe(API_SERVER);
  });

  it('a node that goes down in mid-change comes back with the old unit: the agent waits for no API server', async () => {
    await withUnwritableLog(async () => {
      await applyOrThrow(plane, auditConfig({ policy: { preset: 'metadata' } }));
      await untilText('the edit', (t) => t !== API_SERVER);
      await plane.node.powerOff();
      expect(await unit()).not.toBe(API_SERVER);
      const start = Date.now();
      await plane.node.boot();
      const restored = await untilText('the rollback', (t) => t === API_SERVER);
      await plane.ready();
      print(`systemd, rebooted with a crashing revision: rolled back ${seconds(restored - start)} s after power on, ready ${seconds(Date.now() - restored)} s after that`); // prettier-ignore
      await untilCondition('Degraded', 'True', 'NodeHeld');
    });
    await remove();
    expect(await unit()).toBe(API_SERVER);
  });
});
