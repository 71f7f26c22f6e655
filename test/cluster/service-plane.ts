/**
 * A control plane of one server as services of systemd-node.ts: etcd, the real kube-apiserver as a unit of Type=notify,
 * the operator's controller, and its agent by the very unit that deploy/ ships. Asked through a socket file of relay.mjs.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { binariesFor } from '../control-plane/binaries.ts';
import type { Method, Reply, RequestOptions } from '../control-plane/client.ts';
import { withDeadline } from '../control-plane/deadline.ts';
import { writeNodeFiles } from '../control-plane/node-files.ts';
import { spawnReaped } from '../control-plane/reaper.ts';
import { ROOT, createNode, installOperator, kubeconfigOf, tokenOf } from '../operator/install.ts';
import { BRIDGE, startLab, until, untilReady } from './lab.ts';
import type { Lab } from './lab.ts';
import { SystemdNode } from './systemd-node.ts';

export const UNIT = '/etc/systemd/system/kube-apiserver.service';
export const NODE_NAME = 'host-1';
const URL = 'https://127.0.0.1:6443';

const PKI = '/etc/kubernetes/pki';
const ETCD = `[Unit]
Description=etcd

[Service]
Type=notify
ExecStart=/opt/bin/etcd --data-dir=/var/lib/etcd --unsafe-no-fsync --logger=zap --log-level=warn \\
  --listen-client-urls=https://127.0.0.1:2379 --advertise-client-urls=https://127.0.0.1:2379 \\
  --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 \\
  --initial-cluster=default=http://127.0.0.1:2380 --client-cert-auth \\
  --trusted-ca-file=${PKI}/etcd/ca.crt --cert-file=${PKI}/etcd/server.crt --key-file=${PKI}/etcd/server.key

[Install]
WantedBy=node.target
`;

/** As somebody wrote it by hand: comments, an argument from a file, quotes. */
export const API_SERVER = `[Unit]
Description=Kubernetes API Server
Documentation=https://github.com/kubernetes/kubernetes
After=etcd.service

[Service]
Type=notify
EnvironmentFile=-/etc/default/kube-apiserver
ExecStart=/opt/bin/kube-apiserver \\
  --advertise-address=10.77.0.21 \\
  --allow-privileged=true \\
  # break-glass accounts
  --token-auth-file=${PKI}/tokens.csv \\
  --authorization-mode=Node,RBAC \\
  --bind-address=0.0.0.0 \\
  --client-ca-file=${PKI}/ca.crt \\
  --etcd-cafile=${PKI}/etcd/ca.crt --etcd-certfile=${PKI}/apiserver-etcd-client.crt \\
  --etcd-keyfile=${PKI}/apiserver-etcd-client.key --etcd-servers=https://127.0.0.1:2379 \\
  --requestheader-client-ca-file=${PKI}/front-proxy-ca.crt \\
  "--service-account-issuer=https://kubernetes.default.svc.cluster.local" \\
  --service-account-key-file=${PKI}/sa.pub \\
  --service-account-signing-key-file=${PKI}/sa.key \\
  --service-cluster-ip-range=10.96.0.0/12 \\
  --shutdown-delay-duration=0s $KUBE_API_ARGS \\
  --tls-cert-file=${PKI}/apiserver.crt \\
  --tls-private-key-file=${PKI}/apiserver.key
Restart=on-failure
RestartSec=2

[Install]
WantedBy=node.target
`;

const CONTROLLER = `[Service]
ExecStart=/opt/bin/node /opt/auditconfig/dist/auditconfig.js controller --kubeconfig /etc/auditconfig/controller.kubeconfig --port 0 --identity c
Restart=always
RestartSec=1
`;

const COMMAND = '#!/bin/sh\nexec /opt/bin/node /opt/auditconfig/dist/auditconfig.js "$@"\n';

export class ServicePlane {
  readonly node: SystemdNode;
  readonly #lab: Lab;
  #agent: Agent | undefined;
  #token = '';
  readonly #signal: AbortSignal;

  private constructor(node: SystemdNode, lab: Lab, signal: AbortSignal) {
    this.node = node;
    this.#lab = lab;
    this.#signal = signal;
  }

  static async start(signal: AbortSignal): Promise<ServicePlane> {
    const lab = await startLab(signal);
    try {
      const { apiserver, etcd } = await binariesFor('1.36', signal);
      const programs = { 'kube-apiserver': apiserver, etcd, node: process.execPath };
      const node = new SystemdNode({ lab, programs, dist: join(ROOT, 'dist'), signal });
      const plane = new ServicePlane(node, lab, signal);
      await plane.#prepare();
      await node.boot();
      await plane.#connect();
      await plane.ready();
      return plane;
    } catch (error) {
      await lab.end();
      throw error;
    }
  }

  async #prepare(): Promise<void> {
    const { node } = this;
    await node.prepare();
    const files = await writeNodeFiles(node.root, { url: URL, users: {}, files: {} });
    await node.write('/etc/systemd/system/etcd.service', ETCD);
    await node.write(UNIT, API_SERVER);
    await node.write('/etc/default/kube-apiserver', 'KUBE_API_ARGS="--v=1 --event-ttl=1h"\n');
    await node.enable('etcd.service', 'kube-apiserver.service');
    const socketPath = join(this.#lab.folder, 'api.sock');
    this.#agent = new Agent({ connect: { ca: files.ca, socketPath, servername: 'localhost' }, connections: 8 });
    this.#token = files.adminToken;
  }

  async #connect(): Promise<void> {
    const host = this.node.ip;
    const ways = {
      sockets: [{ path: join(this.#lab.folder, 'api.sock'), host, port: 6443 }],
      balancer: { host: BRIDGE.address, port: 6443, backends: [{ host, port: 6443 }] },
    };
    const args = [...this.#lab.enter, process.execPath, join(import.meta.dirname, 'relay.mjs'), JSON.stringify(ways)];
    await untilReady(spawnReaped('nsenter', args, { stdio: ['ignore', 'pipe', 'pipe'] }), 'the relay', this.#signal);
  }

  /** One answer of the API server; throws where it gives none. */
  #ask(method: Method, path: string, options: RequestOptions = {}): Promise<Reply> {
    const type = options.contentType ?? (method === 'PATCH' ? 'application/merge-patch+json' : 'application/json');
    return withDeadline(options.timeoutMs ?? 10_000, options.signal, async (signal) => {
      const response = await request(`https://localhost${path}`, {
        method,
        ...(this.#agent === undefined ? {} : { dispatcher: this.#agent }),
        headers: { authorization: `Bearer ${this.#token}`, 'content-type': type, ...options.headers },
        signal,
        ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      });
      const text = await response.body.text();
      let body: unknown;
      try {
        body = JSON.parse(text);
      } catch {
        body = undefined;
      }
      return { status: response.statusCode, body, text };
    });
  }

  /** Tries again while the server restarts, for a minute. */
  request(method: Method, path: string, options: RequestOptions = {}): Promise<Reply> {
    const ask = async (): Promise<Reply | undefined> => {
      const reply = await this.#ask(method, path, options).catch(() => undefined);
      return reply !== undefined && reply.status < 500 && ![401, 403, 429].includes(reply.status) ? reply : undefined;
    };
    return until(`an answer to ${method} ${path}`, ask, { ms: 60_000, signal: this.#signal });
  }

  async isReady(): Promise<boolean> {
    return (await this.#ask('GET', '/readyz', { timeoutMs: 2_000 }).catch(() => undefined))?.status === 200;
  }

  async ready(ms = 120_000): Promise<void> {
    const ask = async (): Promise<true | undefined> => ((await this.isReady()) ? true : undefined);
    await until('the API server is ready', ask, { ms, signal: this.#signal }).catch(async (error: unknown) => {
      throw new Error(`${String(error)}\n${await this.words()}`);
    });
  }

  /** deploy/, and controller and agent as services with the accounts that it makes. */
  async installOperator(): Promise<void> {
    const { node } = this;
    await installOperator(this);
    const made = await createNode(this, NODE_NAME);
    const ca = await node.read('/etc/kubernetes/pki/ca.crt');
    const kubeconfig = async (account: string, of?: typeof made): Promise<string> =>
      kubeconfigOf({ url: URL, ca }, await tokenOf(this, account, of));
    await node.write('/etc/auditconfig/controller.kubeconfig', await kubeconfig('auditconfig-controller'));
    await node.write('/etc/auditconfig/kubeconfig', await kubeconfig('auditconfig-agent', made));
    const env = `NODE_NAME=${NODE_NAME}\nAUDITCONFIG_TARGET=systemd\nKUBECONFIG=/etc/auditconfig/kubeconfig\n`;
    await node.write('/etc/auditconfig/agent.env', env);
    await node.write('/etc/systemd/system/auditconfig-controller.service', CONTROLLER);
    await node.command('auditconfig', COMMAND);
    const shipped = await readFile(join(ROOT, 'deploy/systemd/auditconfig-agent.service'), 'utf8');
    // Debian's own folders are read-only here, and the node's programs lie in /opt/bin.
    await node.write(
      '/etc/systemd/system/auditconfig-agent.service',
      shipped.replaceAll('/usr/local/bin/', '/opt/bin/'),
    );
    await node.systemctl('daemon-reload');
    await node.enable('auditconfig-agent.service', 'auditconfig-controller.service');
    await node.systemctl('start', 'auditconfig-controller.service', 'auditconfig-agent.service');
  }

  async words(): Promise<string> {
    const units = ['etcd', 'kube-apiserver', 'auditconfig-controller', 'auditconfig-agent'];
    const said = await Promise.all(units.map(async (u) => `== ${u}\n${(await this.node.journal(`${u}.service`)).split('\n').slice(-25).join('\n')}`)); // prettier-ignore
    return said.join('\n');
  }

  async stop(): Promise<void> {
    await this.#agent?.destroy();
    await this.#lab.end();
  }
}
