/**
 * What breakages happen to: a control plane of one or three real kube-apiservers on one etcd, the bundle's controller and
 * an agent for each node, deploy/ installed, everything audited by one AuditConfig. A lab serves many rows: `reset` brings
 * it back to that, and says so where it cannot.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditNode } from '../../src/api/auditnode.ts';
import { startControlPlanes } from '../control-plane/plane.ts';
import type { PlaneOptions } from '../control-plane/plane.ts';
import type { Method, Reply, RequestOptions } from '../control-plane/client.ts';
import { ServerProcess } from '../control-plane/process.ts';
import { temporaryFolder } from '../control-plane/reaper.ts';
import { OPERATOR_NAMESPACE, ROOT, apply, pathOf } from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';
import { conditionOf } from '../operator/operator.ts';
import type { AuditConfigView } from '../operator/operator.ts';
import { Disks } from './disks.ts';
import { Meter } from './meter.ts';
import { guardProgram } from './node.ts';
import type { LabNode } from './node.ts';
import { partsOf, stopParts } from './parts.ts';
import type { Folder } from './parts.ts';
import type { Relay } from './relay.ts';

export type AuditNodeView = Pick<AuditNode, 'spec' | 'status'> & {
  readonly metadata: { readonly name: string; readonly generation: number; readonly uid: string };
};

/** A ConfigMap or Secret where AuditConfigs may refer to it. */
export const inOwnNamespace = (kind: 'ConfigMap' | 'Secret', name: string, data: Record<string, string>): Manifest => ({
  apiVersion: 'v1',
  kind,
  metadata: { name, namespace: OPERATOR_NAMESPACE },
  ...(kind === 'Secret' ? { stringData: data } : { data }),
});

/** `touched`: with the refusal, a manifest or a process was another one than when the row began. */
export type Evidence = { readonly kind: 'inconclusive' } | { readonly kind: 'refused'; readonly touched: boolean };

/** For rows that wait until an agent's patience ends: the least that the API takes. */
export const IMPATIENT = { rollout: { minReadySeconds: 0, timeoutSeconds: 30 } };
const RETENTION = { maxAgeDays: 30, maxBackups: 2, maxSize: '1Mi' };
const AUDIT_CONFIGS = '/apis/auditconfig.dev/v1alpha1/auditconfigs';
/** Whatever heals does so in seconds; the rest is a machine with other work. */
const PATIENCE_MS = 300_000;
/** What is in flight when a row ends comes to its end in this time; an agent or a controller that is gone stays so. */
const ENDING_MS = 60_000;

export class Lab {
  readonly nodes: readonly LabNode[];
  readonly controllerRelay: Relay;
  readonly meter: Meter;
  readonly signal: AbortSignal;
  controller: ServerProcess;
  /** What the agents and the controller said of the row that runs. */
  evidence: Evidence | undefined;
  readonly #folder: Folder;
  #policies = 0;
  #before = '';
  #spec: Record<string, unknown> = {};
  #good: Record<string, unknown> = {};

  private constructor(parts: {
    nodes: readonly LabNode[];
    controllerRelay: Relay;
    folder: Folder;
    signal: AbortSignal;
  }) {
    this.nodes = parts.nodes;
    this.controllerRelay = parts.controllerRelay;
    this.signal = parts.signal;
    this.#folder = parts.folder;
    this.meter = new Meter(parts.nodes.map(({ name, plane: { url, ca } }) => ({ name, url, ca })));
    this.controller = this.startController();
    for (const n of parts.nodes) n.startAgent();
  }

  /** Up, audited and settled. Throws where it does not become so, and leaves nothing behind then. */
  static async start(count: 1 | 3, signal: AbortSignal): Promise<Lab> {
    const disks = new Map<string, Disks>();
    const onRoot = async (root: string): Promise<void> => void disks.set(root, await Disks.mount(root));
    const onEnd = async (root: string): Promise<void> => disks.get(root)?.unmount();
    const options: PlaneOptions = { version: '1.36', run: 'manifest', pods: guardProgram, onRoot, onEnd, signal };
    const planes = await startControlPlanes(count, options);
    const folder = temporaryFolder('auditconfig-campaign');
    const relays: Relay[] = [];
    let lab: Lab | undefined;
    try {
      lab = new Lab({ ...(await partsOf({ planes, disks, folder, relays })), folder, signal });
      await lab.roll();
      return lab;
    } catch (e) {
      const words = lab?.words() ?? '';
      await (lab?.stop() ?? stopParts({ planes, folder, relays }));
      throw new Error(`a lab did not come up: ${String(e)}\n${words}`, { cause: e });
    }
  }

  get first(): LabNode {
    const [node] = this.nodes;
    if (node === undefined) throw new Error('a lab has a node');
    return node;
  }

  startController(): ServerProcess {
    const args = ['controller', '--kubeconfig', join(this.#folder.path, 'controller.kubeconfig'), '--port', '0'];
    return (this.controller = new ServerProcess({
      file: process.execPath,
      args: [join(ROOT, 'dist/auditconfig.js'), ...args, '--identity', 'controller-0'],
    }));
  }
  async killController(): Promise<void> {
    this.controller.signal('SIGKILL');
    await this.controller.exited;
  }

  async sleep(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.signal });
  }
  /** Until `is` gives something; an error of it is a no. Throws with `what` and everybody's last words. */
  async until<T>(what: string, is: () => Promise<T | undefined | false>, ms = PATIENCE_MS): Promise<T> {
    const end = performance.now() + ms;
    let last = '';
    while (performance.now() < end) {
      this.signal.throwIfAborted();
      const got = await is().catch((e: unknown) => void (last = String(e)));
      if (got !== undefined && got !== false) return got;
      await this.sleep(100);
    }
    throw new Error(`not in ${ms / 1000} s: ${what}${last === '' ? '' : ` (${last})`}`);
  }

  /** Of whichever API server answers; one that starts is passed over. */
  async request(method: Method, path: string, options: RequestOptions = {}): Promise<Reply> {
    return this.until(`${method} ${path}`, async () => {
      for (const { plane } of this.nodes) {
        const reply = await plane.request(method, path, { timeoutMs: 5_000, ...options }).catch(() => undefined);
        const away = reply === undefined || reply.status >= 429 || reply.status === 401 || reply.status === 403;
        if (!away) return reply;
      }
      return undefined;
    });
  }
  async apply(object: Manifest): Promise<void> {
    const { status, text } = await apply(this, object);
    if (status !== 200 && status !== 201) throw new Error(`${object.kind} ${object.metadata.name}: ${status} ${text}`);
  }
  async get(object: Pick<Manifest, 'apiVersion' | 'kind' | 'metadata'>): Promise<unknown> {
    const { status, body } = await this.request('GET', pathOf(object));
    return status === 200 ? body : undefined;
  }
  async delete(object: Pick<Manifest, 'apiVersion' | 'kind' | 'metadata'>): Promise<void> {
    await this.request('DELETE', pathOf(object));
  }

  /** The lab's AuditConfig; `spec` over small retention, so that the logs fit on their disks. */
  config(spec: Record<string, unknown> = {}, name = 'main'): Manifest {
    const rollout = { minReadySeconds: 0, timeoutSeconds: 90 };
    const log = { type: 'File', retention: RETENTION };
    return {
      apiVersion: 'auditconfig.dev/v1alpha1',
      kind: 'AuditConfig',
      metadata: { name, namespace: OPERATOR_NAMESPACE },
      spec: { target: { type: 'StaticPod' }, rollout, log, ...spec },
    };
  }
  /** A policy that no row had before: everything at Metadata. */
  policy(): { readonly policy: Record<string, unknown> } {
    const nobody = { level: 'None', users: [`nobody-${++this.#policies}`] };
    return { policy: { rules: [nobody, { level: 'Metadata' }] } };
  }
  /** Asks for a revision that no node has had; returns at once. */
  async begin(spec: Record<string, unknown> = {}): Promise<void> {
    this.#spec = { ...this.policy(), ...spec };
    await this.apply(this.config(this.#spec));
  }
  /** What was begun, with the patience of all other rows: this machine may start no API server within a row's own. */
  async waitLonger(): Promise<void> {
    const { rollout: _, ...spec } = this.#spec;
    this.#spec = spec;
    await this.apply(this.config(spec));
  }
  /** All nodes have it, and are audited. */
  async roll(spec: Record<string, unknown> = {}): Promise<void> {
    await this.begin(spec);
    await this.untilHealed();
  }

  view(name = 'main'): Promise<AuditConfigView | undefined> {
    return this.get(this.config({}, name)) as Promise<AuditConfigView | undefined>;
  }
  async auditNode(node: LabNode): Promise<AuditNodeView | undefined> {
    const metadata = { name: node.name };
    return (await this.get({ apiVersion: 'auditconfig.dev/v1alpha1', kind: 'AuditNode', metadata })) as
      AuditNodeView | undefined;
  }
  /** A condition of the newest generation. */
  async untilCondition(type: string, status: string, reason?: string, name = 'main'): Promise<string> {
    const what = `${type}=${status}${reason === undefined ? '' : `/${reason}`}`;
    return this.until(what, async () => {
      const view = await this.view(name);
      const c = conditionOf(view, type);
      const newest = view !== undefined && view.status?.observedGeneration === view.metadata.generation;
      if (newest && c?.status === status && (reason ?? c.reason) === c.reason) return c.message;
      throw new Error(`${newest ? 'it is' : 'it was'} ${c?.status}/${c?.reason}: ${c?.message.slice(0, 300)}`);
    });
  }

  /** The controller says no to the spec, in its condition. */
  async untilNotAccepted(reason: string, name = 'main'): Promise<string> {
    const message = await this.untilCondition('Accepted', 'False', reason, name);
    await this.#wasRefused();
    return message;
  }
  /** The agent says no to what it was told, with one of these codes. */
  async untilNodeRefused(node: LabNode, ...codes: readonly string[]): Promise<void> {
    await this.until(`${node.name} refuses with ${codes.join(' or ')}`, async () => {
      const is = (await this.auditNode(node))?.status;
      return is?.phase === 'Held' && codes.includes(is.lastFailure?.reason ?? '');
    });
    await this.#wasRefused();
  }
  async #wasRefused(): Promise<void> {
    // Whoever says no and acts all the same does so within this time.
    await this.sleep(1_000);
    const down = this.nodes.some((n) => this.meter.seconds(n.name) > 0);
    this.evidence = { kind: 'refused', touched: down || (await this.#picture()) !== this.#before };
  }
  /** The node went back from what it was told. */
  async untilRolledBack(node: LabNode, reason: string): Promise<string> {
    return this.until(`${node.name} goes back for ${reason}`, async () => {
      const file = await node.state();
      if (file?.state.phase !== 'Held' || file.state.why !== reason) return undefined;
      if (reason === 'Inconclusive') this.evidence = { kind: 'inconclusive' };
      return file.lastFailure?.message ?? '';
    });
  }
  /** The manifest is another one than this: the change is on its way. */
  async untilRenamed(node: LabNode, before: string, signal = this.signal): Promise<void> {
    const renamed = async (): Promise<boolean> => (await node.manifest()) !== before;
    const end = performance.now() + PATIENCE_MS;
    while (!signal.aborted && !(await renamed().catch(() => false))) {
      this.signal.throwIfAborted();
      if (performance.now() > end) throw new Error(`the manifest of ${node.name} was not changed`);
      await sleep(5);
    }
  }
  manifests(): Promise<readonly string[]> {
    return Promise.all(this.nodes.map((n) => n.manifest()));
  }
  /** The first node whose manifest is another one than before. */
  async untilAnyRenamed(before: readonly string[]): Promise<LabNode> {
    const found = new AbortController();
    const one = async (n: LabNode, i: number): Promise<LabNode> => {
      await this.untilRenamed(n, before[i] ?? '', found.signal);
      return n;
    };
    return Promise.race(this.nodes.map(one)).finally(() => found.abort());
  }
  /** A manifest that somebody edited is again as it was left, and what runs is what it says. */
  async untilDriftIsGone(node: LabNode, manifest: string): Promise<void> {
    await this.until(`${node.name} has its manifest back`, async () => (await node.manifest()) === manifest);
    await this.untilSettled();
  }
  /** For so long no manifest is written, and no API server but those goes down. */
  async nothingHappens(ms: number, except: readonly LabNode[] = []): Promise<void> {
    const others = this.nodes.filter((n) => !except.includes(n));
    const look = async (): Promise<string> =>
      (await Promise.all(others.map(async (n) => `${await n.manifest()}${n.plane.apiserver.pid}`))).join('');
    const before = await look();
    for (const end = performance.now() + ms; performance.now() < end; await this.sleep(200))
      if ((await look()) !== before) throw new Error('a node was touched that must not be');
  }
  /** Every API server is ready, and its log has what it is asked. */
  async untilAudited(): Promise<void> {
    for (const node of this.nodes)
      await this.until(`${node.name} is ready and audited`, async () => {
        await node.plane.ready(AbortSignal.timeout(5_000));
        return !this.meter.isDown(node.name) && node.isAudited();
      });
  }
  /** The newest spec is on every node, said to be, and audited. */
  async untilHealed(): Promise<void> {
    await this.untilSettled();
    this.#good = this.#spec;
  }
  /** As untilHealed, of a revision that this row will break: the next row begins with the one before it. */
  async untilSettled(): Promise<void> {
    // What an agent has just been told, and begins with on a busy machine while events are looked for, is waited for too.
    do {
      await this.untilCondition('Ready', 'True');
      // Of drift that was seen by nobody yet, only the log tells; and its repair may still be in flight when events are back.
      await this.untilAudited();
      for (const node of this.nodes)
        await this.until(`${node.name} has settled on the newest revision`, () => this.#hasSettled(node));
      await this.untilAudited();
    } while (!(await Promise.all(this.nodes.map((n) => this.#hasSettled(n)))).every(Boolean));
  }
  /** It has done the last that it was told, and that is the newest revision. */
  async #hasSettled(node: LabNode): Promise<boolean> {
    const [view, told] = [await this.view(), await this.auditNode(node)];
    const { state, journal } = (await node.state()) ?? {};
    const newest = state?.phase === 'Settled' && state.current === view?.status?.revision?.digest;
    return journal === null && newest && told?.status?.observedGeneration === told?.metadata.generation;
  }

  /** What is not as it should be at the end of a row, and stays so: nothing, or why this lab heals no more. */
  async faults(): Promise<readonly string[]> {
    const whole = async (): Promise<boolean> => (await this.#faultsNow()).length === 0;
    await this.until('the lab is whole', whole, ENDING_MS).catch(() => this.signal.throwIfAborted());
    return this.#faultsNow();
  }
  async #faultsNow(): Promise<readonly string[]> {
    const faults: string[] = [];
    if (this.controller.exit !== undefined) faults.push('the controller is gone');
    for (const node of this.nodes) {
      if (!node.agentRuns) faults.push(`${node.name}: the agent is gone`);
      if (this.meter.isDown(node.name)) faults.push(`${node.name}: the API server is down`);
      if ((await node.state())?.journal !== null) faults.push(`${node.name}: a change is in flight`);
      const [definition, ...more] = await node.definitions();
      if (definition !== 'kube-apiserver.yaml' || more.length > 0) faults.push(`${node.name}: manifests ${definition} ${more.join(' ')}`); // prettier-ignore
    }
    return faults;
  }
  /** From here on it counts: what a row prepares, and what a fault itself restarts, is over. */
  async mark(): Promise<void> {
    await this.untilAudited();
    this.meter.reset();
    this.#before = await this.#picture();
  }
  /** One line for each node: manifest and process. */
  async #picture(): Promise<string> {
    const hash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12);
    const of = async (n: LabNode): Promise<string> =>
      `${n.name} ${hash(await n.manifest().catch(() => ''))} ${n.plane.apiserver.pid}`;
    return (await Promise.all(this.nodes.map(of))).join('\n');
  }

  /** Between two rows: what was broken is mended by hand, and the last revision that all nodes had is asked for again. */
  async reset(): Promise<void> {
    this.evidence = undefined;
    this.first.plane.etcd.resume();
    if (!this.first.plane.etcd.running) await this.first.plane.etcd.start(this.signal);
    for (const relay of [this.controllerRelay, ...this.nodes.map((n) => n.relay)]) relay.set('Open');
    for (const node of this.nodes) {
      node.apiServerProcess?.signal('SIGCONT');
      await node.disks.mendAll();
      await node.anHourPasses();
      if (!node.agentRuns) node.startAgent();
    }
    if (this.controller.exit !== undefined) this.startController();
    const items = ((await this.request('GET', AUDIT_CONFIGS)).body as { items: readonly Manifest[] }).items;
    for (const { metadata } of items)
      if (metadata.name !== 'main') await this.delete({ ...this.config({}, metadata.name), metadata });
    this.#spec = this.#good;
    await this.apply(this.config(this.#good));
    await this.untilHealed();
    const faults = await this.faults();
    if (faults.length > 0) throw new Error(faults.join('; '));
    this.evidence = undefined;
  }

  /** What controller and agents said last. */
  words(): string {
    const last = (p: ServerProcess | undefined): readonly string[] => (p?.lines ?? []).filter((l) => !l.includes('EventFound')).slice(-12).map((l) => l.replace(/"pid".*?"name":/, '').slice(0, 320)); // prettier-ignore
    const agents = this.nodes.flatMap((n) => [`-- agent of ${n.name}`, ...last(n.agent)]);
    return ['-- controller', ...last(this.controller), ...agents].join('\n');
  }

  async stop(): Promise<void> {
    await this.meter.stop();
    const processes = [this.controller, ...this.nodes.map((n) => n.agent)];
    await Promise.all(processes.map((p) => p?.end(0) ?? Promise.resolve()));
    this.first.plane.etcd.resume();
    await stopParts({
      planes: this.nodes.map((n) => n.plane),
      folder: this.#folder,
      relays: [this.controllerRelay, ...this.nodes.map((n) => n.relay)],
    });
  }
}
