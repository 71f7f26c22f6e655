/** What `auditconfig controller` is told on its command line and in its environment. Called by main.ts. */
import { parseArgs } from 'node:util';
import { nothingToConnect } from '../kube/credentials.ts';
import type { KubeConfigSource } from '../kube/credentials.ts';
import { LOG_LEVELS } from '../telemetry/logger.ts';
import type { LogLevel } from '../telemetry/logger.ts';

export const CONTROLLER_HELP = `Usage: auditconfig controller [options]

Runs the operator's controller: validates AuditConfigs, publishes revisions, and tells one node after the other.

Options:
  --kubeconfig FILE          how to reach the API server (default: KUBECONFIG, ~/.kube/config, the pod's own account)
  --namespace NAME           the operator's namespace (default: POD_NAMESPACE, or auditconfig-system)
  --bundles-namespace NAME   where revisions are published (default: auditconfig-bundles)
  --port PORT                health and metrics (default: 8080; 0 takes a free one)
  --identity NAME            holder of the leader's lease (default: POD_NAME, or the host's name)
  --log-level LEVEL          ${LOG_LEVELS.join(', ')} (default: info)

Example:
  auditconfig controller --kubeconfig ~/.kube/config --port 0
`;

export type ControllerOptions = {
  readonly kubeconfig?: string;
  readonly namespace: string;
  readonly bundlesNamespace: string;
  readonly port: number;
  readonly identity: string;
  readonly logLevel: LogLevel;
  readonly version: string;
};

/** The options, or a message about wrong usage. */
export function parseControllerArgs(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  defaults: { readonly hostname: string; readonly version: string },
): ControllerOptions | { readonly usage: string } {
  const string = { type: 'string' } as const;
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        kubeconfig: string,
        namespace: string,
        'bundles-namespace': string,
        port: string,
        identity: string,
        'log-level': string,
      },
    }));
  } catch (e) {
    return { usage: e instanceof Error ? e.message : String(e) };
  }
  const port = Number(values.port ?? '8080');
  if (!Number.isInteger(port) || port < 0 || port > 65_535) return { usage: '--port must be a number from 0 to 65535' };
  const logLevel = LOG_LEVELS.find((l) => l === (values['log-level'] ?? 'info'));
  if (logLevel === undefined) return { usage: `--log-level must be one of ${LOG_LEVELS.join(', ')}` };
  return {
    ...(values.kubeconfig === undefined ? {} : { kubeconfig: values.kubeconfig }),
    namespace: values.namespace ?? env['POD_NAMESPACE'] ?? 'auditconfig-system',
    bundlesNamespace: values['bundles-namespace'] ?? 'auditconfig-bundles',
    port,
    identity: values.identity ?? env['POD_NAME'] ?? defaults.hostname,
    logLevel,
    version: defaults.version,
  };
}

export const sourceOf = ({ kubeconfig }: ControllerOptions): KubeConfigSource =>
  kubeconfig === undefined ? { from: 'Default' } : { from: 'File', path: kubeconfig };

/** Why it could do nothing but wait for ever; undefined where it can work. */
export const whyNoController = (o: ControllerOptions): string | undefined => nothingToConnect(sourceOf(o));
