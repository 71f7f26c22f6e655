/** What `auditconfig agent` is told on its command line and in its environment. Called by main.ts. */
import { parseArgs } from 'node:util';
import { nothingToConnect } from '../kube/credentials.ts';
import type { GuardPod } from '../node/guard-pod.ts';
import { LOG_LEVELS } from '../telemetry/logger.ts';
import type { LogLevel } from '../telemetry/logger.ts';
import { parsePlace } from './places.ts';
import type { PlaceOptions } from './places.ts';

export const AGENT_HELP = `Usage: auditconfig agent --node-name NAME [options]

Runs the node agent: installs revisions on this control-plane node, watches its kube-apiserver come back, and puts the
old manifest back when it does not.

Options:
  --node-name NAME     name of this node, and of its AuditNode (default: NODE_NAME)
  --root DIR           where the host's file system is (default: /)
  --proc DIR           where the host's /proc is (default: /proc)
  --target TYPE        where the API server's flags lie: StaticPod, Systemd, K3s or RKE2 (default: StaticPod)
  --manifest FILE      static-pod manifest of the kube-apiserver, as the host sees it
                       (default: /etc/kubernetes/manifests/kube-apiserver.yaml)
  --unit NAME          the unit, for Systemd (default: kube-apiserver.service)
  --data-dir DIR       of K3s or RKE2, where their administrator's certificate is (default: /var/lib/rancher/k3s, .../rke2)
  --guard-image IMAGE  this agent's own image, from which a guard is started while a manifest is changed: a static pod
                       that rolls back in the agent's place (default: GUARD_IMAGE; none: no guard stands by)
  --bundles-namespace NAME  where revisions are published, and the Lease for restarts is
                       (default: auditconfig-bundles)
  --kubeconfig FILE    how to reach the API server (default: KUBECONFIG, ~/.kube/config, the pod's own account)
  --proof-interval S   how often to prove that events arrive, in seconds, 10 to 3600 (default: 3600); sooner where
                       the log looks wrong
  --quiet-seconds S    how long a manifest that somebody wrote anew (kubeadm upgrade) must be left alone before it is
                       patched again, in seconds, 1 to 3600 (default: 120)
  --port PORT          health and metrics, on loopback only (default: 9442; 0 takes a free one)
  --log-level LEVEL    ${LOG_LEVELS.join(', ')} (default: info)

A file /var/lib/auditconfig/HOLD on the node stops the agent until it is removed.

Examples:
  auditconfig agent --node-name cp-1 --root /host
  auditconfig agent --node-name cp-1 --target systemd --kubeconfig /etc/auditconfig/kubeconfig
`;

export type AgentOptions = {
  readonly nodeName: string;
  readonly root: string;
  readonly proc: string;
  readonly place: PlaceOptions;
  readonly guard?: GuardPod;
  readonly bundlesNamespace: string;
  readonly kubeconfig?: string;
  readonly proofIntervalMs: number;
  readonly quietMs: number;
  readonly port: number;
  readonly logLevel: LogLevel;
  readonly version: string;
};

/** Whole seconds from `least` to an hour, in ms. */
function secondsOf(text: string, least: number): number | null {
  const seconds = Number(text);
  return Number.isInteger(seconds) && seconds >= least && seconds <= 3600 ? seconds * 1000 : null;
}

/** The options, or a message about wrong usage. */
export function parseAgentArgs(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  version: string,
): AgentOptions | { readonly usage: string } {
  const string = { type: 'string' } as const;
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        'node-name': string,
        root: string,
        proc: string,
        target: string,
        manifest: string,
        unit: string,
        'data-dir': string,
        'guard-image': string,
        'bundles-namespace': string,
        kubeconfig: string,
        'proof-interval': string,
        'quiet-seconds': string,
        port: string,
        'log-level': string,
      },
    }));
  } catch (e) {
    return { usage: e instanceof Error ? e.message : String(e) };
  }
  const nodeName = values['node-name'] ?? env['NODE_NAME'];
  if (nodeName === undefined || nodeName === '') return { usage: '--node-name or NODE_NAME is needed' };
  const port = Number(values.port ?? '9442');
  if (!Number.isInteger(port) || port < 0 || port > 65_535) return { usage: '--port must be a number from 0 to 65535' };
  const proofIntervalMs = secondsOf(values['proof-interval'] ?? '3600', 10);
  if (proofIntervalMs === null) return { usage: '--proof-interval must be a number of seconds from 10 to 3600' };
  const quietMs = secondsOf(values['quiet-seconds'] ?? '120', 1);
  if (quietMs === null) return { usage: '--quiet-seconds must be a number of seconds from 1 to 3600' };
  const logLevel = LOG_LEVELS.find((l) => l === (values['log-level'] ?? 'info'));
  if (logLevel === undefined) return { usage: `--log-level must be one of ${LOG_LEVELS.join(', ')}` };
  const place = parsePlace(values);
  if ('usage' in place) return place;
  const image = values['guard-image'] ?? env['GUARD_IMAGE'] ?? '';
  return {
    nodeName,
    root: values.root ?? '/',
    proc: values.proc ?? '/proc',
    place,
    ...(image === '' ? {} : { guard: { image, namespace: env['POD_NAMESPACE'] ?? 'kube-system' } }),
    bundlesNamespace: values['bundles-namespace'] ?? 'auditconfig-bundles',
    ...(values.kubeconfig === undefined ? {} : { kubeconfig: values.kubeconfig }),
    proofIntervalMs,
    quietMs,
    port,
    logLevel,
    version,
  };
}

/**
 * Why it could do nothing but wait for ever; undefined where it can work. A kubeconfig that was named may still come
 * (`kubeadm join` writes it), and what is in flight on the node needs none.
 */
export const whyNoAgent = ({ kubeconfig }: AgentOptions): string | undefined =>
  kubeconfig === undefined ? nothingToConnect({ from: 'Default' }) : undefined;
