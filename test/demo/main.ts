/**
 * `npm run demo`: the main job, visibly, on a real kube-apiserver. A control plane comes up, an AuditConfig becomes
 * audit events, another preset makes other events, a broken policy is refused with its line, and deletion gives the
 * manifest back byte for byte. What is shown is read from the API, the manifest and the log; nothing is played.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import type { Manifest } from '../operator/install.ts';
import { Operator, conditionOf } from '../operator/operator.ts';
import type { AuditConfigView } from '../operator/operator.ts';
import { unifiedDiff } from '../../src/targets/diff.ts';

const NAMESPACE = 'auditconfig-system';
const LOG = '/var/log/kube-audit/audit.log';
const say = (text: string): void => console.log(text);
const step = (text: string): void => say(`\n== ${text}`);
const indent = (text: string): string => text.replace(/^(?=.)/gm, '   ');

const auditConfig = (policy: Record<string, unknown>): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'control-plane', namespace: NAMESPACE },
  spec: { target: { type: 'StaticPod' }, policy, rollout: { minReadySeconds: 0, timeoutSeconds: 60 } },
});

/** The same requests each time, so that two presets can be compared. */
async function workload(plane: ControlPlane): Promise<void> {
  const ns = '/api/v1/namespaces/default';
  const user = { 'user-agent': 'demo-workload' };
  const ask = (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown) =>
    plane.request(method, path, { headers: user, ...(body === undefined ? {} : { body }) });
  await ask('POST', `${ns}/secrets`, { metadata: { name: 'demo' }, stringData: { password: 'do-not-log-me' } });
  await ask('GET', `${ns}/secrets/demo`);
  await ask('POST', `${ns}/configmaps`, { metadata: { name: 'demo' }, data: { a: '1' } });
  await ask('PATCH', `${ns}/configmaps/demo`, { data: { a: '2' } });
  await ask('POST', `${ns}/serviceaccounts`, { metadata: { name: 'demo' } });
  const pod = { metadata: { name: 'demo' }, spec: { containers: [{ name: 'c', image: 'example.org/c:1' }] } };
  await ask('POST', `${ns}/pods`, pod);
  await ask('GET', `${ns}/pods`);
  await ask('GET', '/healthz');
  for (const r of ['pods', 'secrets', 'configmaps', 'serviceaccounts']) await ask('DELETE', `${ns}/${r}/demo`);
}

type Counts = Readonly<Record<string, number>>;

/** Events of the workload in the log, by level; lines of before are left out. */
async function countEvents(
  plane: ControlPlane,
  from: number,
): Promise<{ counts: Counts; bytes: number; leaked: boolean }> {
  await sleep(300);
  const log = (await readFile(join(plane.root, LOG), 'utf8')).slice(from);
  const counts: Record<string, number> = { Metadata: 0, Request: 0, RequestResponse: 0 };
  const lines = log.split('\n').filter((l) => l.includes('"userAgent":"demo-workload"'));
  for (const line of lines) {
    const { level } = JSON.parse(line) as { level: string };
    counts[level] = (counts[level] ?? 0) + 1;
  }
  return { counts, bytes: lines.reduce((n, l) => n + l.length + 1, 0), leaked: log.includes('do-not-log-me') };
}

const logSize = async (plane: ControlPlane): Promise<number> =>
  (await readFile(join(plane.root, LOG), 'utf8').catch(() => '')).length;

const row = (cells: readonly string[]): string => cells.map((c, i) => c.padEnd([16, 10, 10, 17, 9][i] ?? 10)).join('');

async function measure(plane: ControlPlane, preset: string): Promise<string> {
  const from = await logSize(plane);
  await workload(plane);
  const { counts, bytes, leaked } = await countEvents(plane, from);
  if (leaked) throw new Error('the log holds the value of a Secret');
  const numbers = ['Metadata', 'Request', 'RequestResponse'].map((l) => String(counts[l] ?? 0));
  return row([preset, ...numbers, String(bytes)]);
}

const took = (since: number): string => `${((Date.now() - since) / 1000).toFixed(1)} s`;

function showConditions(o: AuditConfigView): void {
  for (const type of ['Ready', 'Accepted', 'RolledOut']) {
    const c = conditionOf(o, type);
    if (c !== undefined) say(indent(`${type.padEnd(10)} ${c.status.padEnd(6)} ${c.reason}: ${c.message}`));
  }
}

async function acceptAndShow(operator: Operator, policy: Record<string, unknown>): Promise<void> {
  const since = Date.now();
  const object = auditConfig(policy);
  const { status, text } = await operator.apply(object);
  if (status !== 200 && status !== 201) throw new Error(`apply: ${status} ${text}`);
  showConditions(await operator.until(object, { type: 'Ready', status: 'True' }));
  say(indent(`from apply to a healthy API server with the new policy: ${took(since)}`));
}

async function scenes(plane: ControlPlane, operator: Operator): Promise<void> {
  const manifest = (): Promise<string> => readFile(plane.manifestPath, 'utf8');
  const original = await manifest();

  step('kubectl apply: an AuditConfig with the preset metadata');
  await acceptAndShow(operator, { preset: 'metadata' });
  say(indent('\nwhat changed in the static-pod manifest:'));
  say(indent(unifiedDiff({ name: 'before', text: original }, { name: 'after', text: await manifest() })));
  const first = await measure(plane, 'metadata');

  step('the preset is switched to balanced');
  await acceptAndShow(operator, { preset: 'balanced' });
  const second = await measure(plane, 'balanced');
  say(indent('\nthe same requests, events by level:'));
  say(indent([row(['preset', 'Metadata', 'Request', 'RequestResponse', 'bytes']), first, second].join('\n')));

  step('a broken policy, in a ConfigMap');
  const data = { 'policy.yaml': 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n  - level: Metdata\n' };
  const metadata = { name: 'my-policy', namespace: NAMESPACE };
  await operator.apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data });
  const broken = auditConfig({ configMapRef: { name: 'my-policy' } });
  const before = await manifest();
  await operator.apply(broken);
  showConditions(await operator.until(broken, { type: 'Accepted', status: 'False' }));
  if ((await manifest()) !== before) throw new Error('a refused policy changed the manifest');
  say(indent('the manifest is untouched, and the API server runs on'));

  step('kubectl delete: the manifest is what it was');
  const since = Date.now();
  await operator.delete(broken);
  await operator.untilGone(broken);
  if ((await manifest()) !== original) throw new Error('the manifest is not what it was');
  say(indent(`byte for byte, after ${took(since)}`));
}

/** `--version 1.35` chooses another kube-apiserver. Gives the exit code. */
export async function main(args: readonly string[], signal: AbortSignal): Promise<number> {
  const version = args[0] === '--version' && args[1] === '1.35' ? '1.35' : '1.36';
  step(`a control plane: etcd and kube-apiserver ${version}, as a static pod`);
  const since = Date.now();
  await using plane = await startControlPlane({ version, run: 'manifest', signal });
  say(indent(`ready at ${plane.url} after ${took(since)}`));
  const operator = await Operator.start({ plane });
  try {
    await scenes(plane, operator);
    say('\ndone');
    return 0;
  } catch (e) {
    console.error(`\nthe demo failed: ${e instanceof Error ? e.message : String(e)}\n${operator.words()}`);
    return 1;
  } finally {
    await operator.stop();
  }
}
