/**
 * `auditconfig status`: how far the AuditConfigs of a cluster and their nodes are, and for everything that is not as it
 * should be, why. Reads AuditConfigs and AuditNodes, and nothing else; neither holds a Secret's value. Exit code 1 when
 * an AuditConfig is not Ready.
 */
import { stringify } from 'yaml';
import { auditConfigStatus } from '../api/auditconfig.ts';
import type { AuditConfigStatus } from '../api/auditconfig.ts';
import { auditNodeSpec, auditNodeStatus } from '../api/auditnode.ts';
import type { AuditNodeSpec, AuditNodeStatus } from '../api/auditnode.ts';
import { connectKube } from '../kube/connect.ts';
import type { Kube } from '../kube/connect.ts';
import { kubeConfigCredentials } from '../kube/credentials.ts';
import type { Result } from '../kube/errors.ts';
import type { KubeObject, Resource } from '../kube/types.ts';
import { clusterError } from './cluster-error.ts';
import { choice, command, runCommand } from './parse.ts';
import { printableLines } from './printable.ts';
import { table } from './table.ts';
import type { CommandModule, CommandResult, Io } from './types.ts';

const OUTPUTS = ['table', 'json', 'yaml'] as const;
type Output = (typeof OUTPUTS)[number];

const EXAMPLES = `
Examples:
  auditconfig status
  auditconfig status control-plane -n auditconfig-system
  auditconfig status -o json | jq '.auditConfigs[] | select(.ready != "True")'
`;

const resource = (plural: string, kind: string, namespaced: boolean): Resource => ({
  ...{ group: 'auditconfig.dev', version: 'v1alpha1', plural, kind, namespaced },
});
const AUDIT_CONFIGS = resource('auditconfigs', 'AuditConfig', true);
const AUDIT_NODES = resource('auditnodes', 'AuditNode', false);

export type ConfigRow = {
  readonly namespace: string;
  readonly name: string;
  readonly ready: string;
  readonly reason: string;
  readonly message: string;
  readonly revision: string;
  readonly nodes: string;
};
export type NodeRow = {
  readonly name: string;
  readonly auditConfig: string;
  readonly phase: string;
  readonly current: string;
  readonly wanted: string;
  readonly kubernetesVersion: string;
  readonly message: string;
};
export type Overview = { readonly auditConfigs: readonly ConfigRow[]; readonly auditNodes: readonly NodeRow[] };

const short = (digest: string | undefined): string => digest?.slice(0, 16) ?? '';

export function configRow({ metadata }: KubeObject, status: AuditConfigStatus): ConfigRow {
  const ready = status.conditions?.find((c) => c.type === 'Ready');
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    ready: ready?.status ?? 'Unknown',
    reason: ready?.reason ?? 'Pending',
    message: ready?.message ?? 'the controller has not seen it yet',
    revision: short(status.revision?.digest),
    nodes: status.nodes?.summary ?? '',
  };
}

export function nodeRow({ metadata }: KubeObject, spec: AuditNodeSpec, status: AuditNodeStatus): NodeRow {
  const { namespace, name } = spec.auditConfigRef;
  return {
    name: metadata.name,
    auditConfig: `${namespace}/${name}`,
    phase: status.phase ?? 'AgentSilent',
    current: short(status.current),
    wanted: short(spec.desired.revision?.digest) || spec.desired.type,
    kubernetesVersion: status.kubernetesVersion ?? '',
    message:
      status.lastFailure === undefined
        ? (status.message ?? '')
        : `${status.lastFailure.reason}: ${status.lastFailure.message}`,
  };
}

const orDash = (s: string): string => (s === '' ? '-' : s);

/** Messages stand below the tables: they are long, and there only for what is not as it should be. */
export function text({ auditConfigs, auditNodes }: Overview): string {
  if (auditConfigs.length === 0 && auditNodes.length === 0) return 'no AuditConfig found\n';
  const configs = [
    ['NAMESPACE', 'AUDITCONFIG', 'READY', 'REASON', 'REVISION', 'NODES'],
    ...auditConfigs.map((c) => [c.namespace, c.name, c.ready, c.reason, c.revision, c.nodes].map(orDash)),
  ];
  const nodes = [
    ['NODE', 'AUDITCONFIG', 'PHASE', 'CURRENT', 'WANTED', 'KUBERNETES'],
    ...auditNodes.map((n) => [n.name, n.auditConfig, n.phase, n.current, n.wanted, n.kubernetesVersion].map(orDash)),
  ];
  const why = [
    ...auditConfigs
      .filter((c) => c.ready !== 'True')
      .map((c) => `${c.namespace}/${c.name}: ${printableLines(c.message)}\n`),
    ...auditNodes
      .filter((n) => n.phase !== 'Settled' && n.message !== '')
      .map((n) => `node ${n.name}: ${printableLines(n.message)}\n`),
  ];
  return [
    table(configs),
    ...(auditNodes.length === 0 ? [] : ['\n', table(nodes)]),
    ...(why.length === 0 ? [] : ['\n', ...why]),
  ].join('');
}

type Options = {
  readonly output?: Output;
  readonly namespace?: string;
  readonly kubeconfig?: string;
  readonly context?: string;
};

async function overview(
  kube: Kube,
  name: string | undefined,
  o: Options,
  signal: AbortSignal,
): Promise<Result<Overview>> {
  const call = { signal, timeoutMs: 15_000 };
  const configs = await kube.client.list(AUDIT_CONFIGS, {
    ...call,
    ...(o.namespace === undefined ? {} : { namespace: o.namespace }),
  });
  if (!configs.ok) return configs;
  const nodes = await kube.client.list(AUDIT_NODES, call);
  if (!nodes.ok) return nodes;
  const chosen = configs.value.filter((c) => name === undefined || c.metadata.name === name);
  const uids = new Set(chosen.map((c) => c.metadata.uid));
  const auditConfigs = chosen.map((c) => {
    const status = auditConfigStatus.safeParse(c['status'] ?? {});
    return configRow(c, status.success ? status.data : {});
  });
  const auditNodes = nodes.value.flatMap((n) => {
    const spec = auditNodeSpec.safeParse(n['spec']);
    const status = auditNodeStatus.safeParse(n['status'] ?? {});
    if (!spec.success || !uids.has(spec.data.auditConfigRef.uid)) return [];
    return [nodeRow(n, spec.data, status.success ? status.data : {})];
  });
  return { ok: true, value: { auditConfigs, auditNodes } };
}

function print(found: Overview, output: Output): string {
  switch (output) {
    case 'table':
      return text(found);
    case 'json':
      return `${JSON.stringify(found, null, 2)}\n`;
    case 'yaml':
      return stringify(found);
  }
}

async function status(name: string | undefined, o: Options, io: Io): Promise<CommandResult> {
  const context = o.context === undefined ? {} : { context: o.context };
  const kube = connectKube({
    credentials: kubeConfigCredentials(
      o.kubeconfig === undefined ? { from: 'Default', ...context } : { from: 'File', path: o.kubeconfig, ...context },
    ),
    userAgent: 'auditconfig status',
  });
  try {
    const found = await overview(kube, name, o, io.signal);
    if (!found.ok) return { code: 1, stderr: clusterError(found.error) };
    if (name !== undefined && found.value.auditConfigs.length === 0)
      return {
        code: 1,
        stderr: `error: there is no AuditConfig ${name}${o.namespace === undefined ? '' : ` in namespace ${o.namespace}`}\n`,
      };
    const ready = found.value.auditConfigs.every((c) => c.ready === 'True');
    return { code: ready ? 0 : 1, stdout: print(found.value, o.output ?? 'table') };
  } finally {
    await kube.close();
  }
}

export const run: CommandModule['run'] = (args, io) => {
  const program = command('status', 'how far the AuditConfigs of a cluster and their nodes are, and why')
    .argument('[name]', 'only this AuditConfig')
    .option('-n, --namespace <name>', 'only AuditConfigs of this namespace')
    .option('-o, --output <format>', 'table, json or yaml', choice(OUTPUTS))
    .option('--kubeconfig <file>', 'how to reach the API server (default: KUBECONFIG, ~/.kube/config)')
    .option('--context <name>', 'context of the kubeconfig')
    .addHelpText('after', EXAMPLES);
  return runCommand(program, args, (p) => status(p.args[0], p.opts<Options>(), io));
};
