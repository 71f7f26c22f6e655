/**
 * `auditconfig render`: prints what an AuditConfig becomes, without a cluster: flags as they would stand on a node, the
 * composed policy, and the layer that each setting is from. Writes nothing. Contents of Secrets (a webhook's
 * kubeconfig, a policy that came from a Secret) are printed only when that is asked for by name.
 */
import { stringify } from 'yaml';
import { DEFAULT_UNIT } from '../api/auditconfig-target.ts';
import type { TargetSpec } from '../api/auditconfig-target.ts';
import { hasErrors } from '../api/findings.ts';
import type { Finding } from '../api/findings.ts';
import { NEWEST, OLDEST } from '../api/versions.ts';
import type { Minor } from '../api/versions.ts';
import { layerName } from '../config/merge.ts';
import type { EffectiveConfig } from '../config/types.ts';
import { bundleName, BUNDLES_NAMESPACE } from '../render/bundle/names.ts';
import { toBundle } from '../render/bundle/write.ts';
import { credentialFiles } from '../render/webhook/credentials.ts';
import { renderFile } from '../render/file.ts';
import type { RenderedFile } from '../render/file.ts';
import type { Revision } from '../render/types.ts';
import { DEFAULT_LAYOUT, resolveFlags } from '../targets/host-layout.ts';
import { dropInFor } from '../targets/rancher.ts';
import { command, runCommand } from './parse.ts';
import { printable } from './printable.ts';
import { isResult, readInput, unreadableInput, usage, versionOf } from './policy-input.ts';
import type { CommandResult, Io } from './types.ts';

type Output = 'yaml' | 'json' | 'policy' | 'bundle';
type Options = { filename: string; kubernetesVersion?: string[]; output: string; showSecrets: boolean };

const EXAMPLES = `
The file may hold, as further documents, the ConfigMaps and Secrets that the AuditConfig refers to.

Examples:
  auditconfig render -f auditconfig.yaml
  auditconfig render -f auditconfig.yaml -o policy > policy.yaml
  auditconfig render -f auditconfig.yaml -o bundle > bundle.yaml   # for auditconfig prestage
  kubectl get auditconfigs,configmaps -n NAMESPACE -o yaml | auditconfig render -f - --kubernetes-version 1.35`;

export async function run(args: readonly string[], io: Io): Promise<CommandResult> {
  const collect = (value: string, before: string[] = []): string[] => [...before, value];
  const program = command('render', 'print what an AuditConfig becomes: flags, policy, and where each setting is from')
    .requiredOption('-f, --filename <file>', "the AuditConfig; '-' is standard input")
    .option(
      '--kubernetes-version <version>',
      `must load on it; repeatable (${OLDEST} to ${NEWEST}, which is the default)`,
      collect,
    )
    .option(
      '-o, --output <format>',
      'yaml, json, policy (the policy file alone), or bundle (what the controller publishes)',
      'yaml',
    )
    .option('--show-secrets', 'print contents of Secrets too', false)
    .addHelpText('after', EXAMPLES);
  return runCommand(program, args, async (p) => render(p.opts<Options>(), io));
}

const isOutput = (text: string): text is Output => ['yaml', 'json', 'policy', 'bundle'].includes(text);

async function render(options: Options, io: Io): Promise<CommandResult> {
  const { filename, output, showSecrets } = options;
  if (!isOutput(output)) return usage(`-o ${output}: must be yaml, json, policy or bundle`);
  const versions: Minor[] = [];
  for (const text of options.kubernetesVersion ?? []) {
    const minor = versionOf(text);
    if (isResult(minor)) return minor;
    versions.push(minor);
  }
  const input = await readInput(filename, io);
  if ('unreadable' in input) return unreadableInput(input.unreadable);
  const rendered = renderFile(input.bytes, versions.length === 0 ? [NEWEST] : versions);
  const stderr = rendered.findings.map((f) => findingLine(filename, f)).join('');
  if (hasErrors(rendered.findings)) return { code: 1, stderr };
  const { revision } = rendered;
  if (output === 'policy' && revision?.confidential === true && !showSecrets)
    return { code: 1, stderr: `${stderr}error: the policy comes from a Secret; --show-secrets prints it\n` };
  if (output === 'bundle' && !showSecrets && (revision?.confidential === true || revision?.webhook !== undefined))
    return { code: 1, stderr: `${stderr}error: the bundle holds a Secret; --show-secrets prints it\n` };
  return { code: 0, stdout: printed(rendered, output, showSecrets), ...(stderr === '' ? {} : { stderr }) };
}

/** As compilers write it, so that editors jump to it. */
export function findingLine(file: string, f: Finding): string {
  const place = f.at === undefined ? '' : `:${f.at.line}:${f.at.column}`;
  return `${file === '-' ? '<stdin>' : file}${place}: ${f.severity}: ${printable(f.message)} [${f.code}]\n`;
}

function printed(
  { config, effective, revision, shipping }: RenderedFile,
  output: Output,
  showSecrets: boolean,
): string {
  if (output === 'policy') return revision === undefined ? '' : textOf(revision.policy);
  if (output === 'bundle')
    return revision === undefined
      ? ''
      : toBundle(revision, BUNDLES_NAMESPACE)
          .map((o) => stringify(o, { lineWidth: 0 }))
          .join('---\n');
  const document = {
    auditConfig: config?.metadata.name,
    ...(config === undefined || revision === undefined ? {} : placeOf(config.spec.target, revision)),
    ...(revision === undefined ? { state: effective?.spec.state } : describe(revision, showSecrets)),
    ...(shipping === undefined ? {} : { shipping: { image: shipping.image, fluentBit: textOf(shipping.config) } }),
    ...(effective === undefined ? {} : { settings: settings(effective) }),
  };
  return output === 'json' ? `${JSON.stringify(document, null, 2)}\n` : stringify(document, { lineWidth: 0 });
}

/** Where the flags go; of K3s and RKE2 the very file, since it is ours alone. */
function placeOf(target: TargetSpec, revision: Revision): object {
  const { type } = target;
  if (type === 'Systemd') return { target: type, unit: target.systemd?.unit ?? DEFAULT_UNIT };
  if (type !== 'K3s' && type !== 'RKE2') return { target: type };
  const { path, text } = dropInFor(type, revision, DEFAULT_LAYOUT);
  return { target: type, dropIn: { path, content: text } };
}

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

function describe(revision: Revision, showSecrets: boolean): object {
  const { digest, versions, logDir, readerGroup, webhook, credentials, confidential } = revision;
  const files = credentialFiles(credentials?.reveal() ?? {});
  return {
    revision: bundleName(digest),
    digest,
    kubernetesVersions: versions,
    flags: resolveFlags(revision, DEFAULT_LAYOUT).map((f) => `${f.name}=${f.value}`),
    ...(logDir === undefined ? {} : { logFolder: { path: logDir, readerGroup } }),
    ...(webhook === undefined ? {} : { webhook: showSecrets ? textOf(webhook.reveal()) : String(webhook) }),
    // Files beside the webhook's kubeconfig, by name.
    ...(files.length === 0
      ? {}
      : {
          credentials: Object.fromEntries(files.map((f) => [f.name, showSecrets ? textOf(f.bytes) : '[secret]'])),
        }),
    policy: confidential && !showSecrets ? '[secret]' : textOf(revision.policy),
  };
}

/** What some layer set, and which one; what nobody set is the built-in default and stands among the flags. */
const settings = ({ provenance }: EffectiveConfig): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(provenance).map(([path, origin]) => [path, layerName(origin.set)]));
