/**
 * A real kube-apiserver behind a manifest, and the node room that changes it: from no auditing to auditing, through a
 * change of the policy, through a revision that stops it, to a removal that gives back what was set by hand.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { applyRevision } from '../../src/node/apply-revision.ts';
import type { ApplyInput } from '../../src/node/apply-revision.ts';
import { realHost } from '../../src/node/host.ts';
import { staticPodPlace } from '../../src/node/place.ts';
import type { NodeHost } from '../../src/node/host.ts';
import type { ApplyOutcome } from '../../src/node/outcome.ts';
import { tellingLines } from '../../src/host/pod-logs.ts';
import type { Revision } from '../../src/render/types.ts';
import { DEFAULT_RULES } from '../../src/rollout/node-state.ts';
import { DEFAULT_LAYOUT } from '../../src/targets/host-layout.ts';
import { APISERVER_POD } from '../control-plane/apiserver.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { revision } from '../targets/revisions.ts';

const policyOf = (level: string): string =>
  `{"apiVersion":"audit.k8s.io/v1","kind":"Policy","omitStages":["RequestReceived"],"rules":[{"level":"${level}","resources":[{"group":"","resources":["configmaps"]}]}]}`;
const METADATA = revision({ policy: policyOf('Metadata') });
const BODIES = revision({ policy: policyOf('RequestResponse') });
const BROKEN = revision({ policy: policyOf('Metadata'), flags: { '--audit-log-mode': 'sideways' } });

const SPEC = staticPodPlace({ manifest: '/etc/kubernetes/manifests/kube-apiserver.yaml', layout: DEFAULT_LAYOUT });
const LOG = 'var/log/kube-audit/audit.log';

describe.each(['1.36', '1.35'] as const)('kube-apiserver %s as a static pod', (version) => {
  let plane: ControlPlane;
  let original: string;
  let host: NodeHost;

  beforeAll(async () => {
    plane = await startControlPlane({ version, run: 'manifest' });
    await mkdir(join(plane.root, 'etc/kubernetes/by-hand'), { recursive: true });
    // As if someone had begun by hand, and without a policy: no events.
    const text = (await readFile(plane.manifestPath, 'utf8')).replace(
      /( +)- --etcd-servers=/,
      '$1- --audit-log-maxage=3   # by hand\n$1- --etcd-servers=',
    );
    await writeFile(plane.manifestPath, text);
    original = text;
    host = hostOf(plane);
    await plane.ready();
  });
  afterAll(() => plane?.stop());

  const manifest = (): Promise<string> => readFile(plane.manifestPath, 'utf8');
  const apply = (to: Revision | null, more: Partial<ApplyInput> = {}): Promise<ApplyOutcome> =>
    applyRevision({ host, spec: SPEC, to, version, signal: AbortSignal.timeout(120_000), ...more });

  async function levels(name: string): Promise<readonly string[]> {
    await plane.request('POST', '/api/v1/namespaces/default/configmaps', {
      body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } },
    });
    const lines = (await readFile(join(plane.root, LOG), 'utf8')).trim().split('\n');
    const events = lines.map(
      (l) =>
        JSON.parse(l) as {
          level: string;
          requestURI: string;
          verb: string;
          responseObject?: { metadata?: { name?: string } };
          objectRef?: { name?: string };
        },
    );
    return events.filter((e) => e.verb === 'create' && e.objectRef?.name === name).map((e) => e.level);
  }

  it('begins to audit, in a new process', async () => {
    const before = plane.apiserver.pid;
    expect(await apply(METADATA)).toMatchObject({ kind: 'Settled', current: METADATA.digest, restarted: true });
    expect(plane.apiserver.pid).not.toBe(before);
    expect(await levels('first')).toEqual(['Metadata']);
    const pid = plane.apiserver.pid;
    expect(await apply(METADATA)).toMatchObject({ kind: 'Settled', restarted: false });
    expect(plane.apiserver.pid).toBe(pid);
  });

  it('restarts for a change of the policy alone', async () => {
    const before = plane.apiserver.pid;
    expect(await apply(BODIES)).toMatchObject({ kind: 'Settled', current: BODIES.digest });
    expect(plane.apiserver.pid).not.toBe(before);
    expect(await levels('second')).toEqual(['RequestResponse']);
  });

  it('is refused a flag that it would not start with, and rolled back where that is forced', async () => {
    const good = await manifest();
    expect(await apply(BROKEN)).toMatchObject({ kind: 'Refused', findings: [{ code: 'FlagValueInvalid' }] });
    expect(await manifest()).toBe(good);
    // By its crashes, and not because its time was over.
    const outcome = await apply(BROKEN, { checks: [], rules: { ...DEFAULT_RULES, timeoutMs: 60_000 } });
    expect(outcome).toMatchObject({
      kind: 'RolledBack',
      failure: { digest: BROKEN.digest, reason: 'CrashLoop', message: expect.stringContaining('sideways') as unknown },
    });
    expect(await manifest()).toBe(good);
    expect(await levels('third')).toEqual(['RequestResponse']);
  });

  it('is given back what was set by hand', async () => {
    expect(await apply(null)).toMatchObject({ kind: 'Settled', current: null, restarted: true });
    expect(await manifest()).toBe(original);
    await plane.ready();
    const before = await readFile(join(plane.root, LOG), 'utf8');
    await plane.request('GET', '/api/v1/namespaces/default/configmaps');
    expect(await readFile(join(plane.root, LOG), 'utf8')).toBe(before);
  });
});

/** The fixture's processes have paths below its root, and its kubelet keeps their words in memory. */
function hostOf(plane: ControlPlane): NodeHost {
  const real = realHost({ root: plane.root });
  const pod = (): { starts: readonly number[]; lines: readonly string[]; uid: string } | undefined =>
    plane.runner?.pod(APISERVER_POD);
  return {
    ...real,
    processes: async () => {
      const view = await real.processes();
      if (view === null) return null;
      const strip = (a: string): string => a.replaceAll(plane.root, '');
      return { ...view, apiServers: view.apiServers.map((p) => ({ ...p, args: p.args.map(strip) })) };
    },
    logFolders: async () => [pod()?.uid ?? ''],
    starts: async (_, known) => {
      const p = pod();
      return p === undefined || known.has(p.uid) ? null : p.starts.length;
    },
    lastWords: async (_, known) => {
      const p = pod();
      return p === undefined || known.has(p.uid) ? null : { starts: p.starts.length, lines: tellingLines(p.lines) };
    },
  };
}
