/**
 * Effective config to revision: the one place where a policy is composed and flags are rendered. Same input, same
 * bytes, same digest. Refuses (findings of severity error, no revision) whatever a kube-apiserver of any of the given
 * versions would not start with. Called by the controller, and by `render`, `patch` and `diff`.
 */
import { hasErrors } from '../api/findings.ts';
import type { Minor } from '../api/versions.ts';
import type { EffectiveConfig, ResolvedWebhook } from '../config/types.ts';
import { digestOf } from './digest.ts';
import type { RenderFinding } from './findings.ts';
import { renderFlags } from './flags.ts';
import { splitLogPath } from './log-path.ts';
import { renderPolicy } from './policy.ts';
import { readReference } from './references.ts';
import type { Reference, References } from './references.ts';
import type { Revision, Secret } from './types.ts';
import { renderWebhook } from './webhook.ts';

export type RenderInput = {
  readonly effective: EffectiveConfig;
  /** One for each reference that effective.spec has (policy.reference, webhook.secretRef); missing counts as NotFound. */
  readonly references: References;
  /** Versions that must be able to load it, at least one. */
  readonly versions: readonly Minor[];
};

export type Rendered = {
  /** Absent where a finding is an error, and where state is Disabled (there is nothing to render). */
  readonly revision?: Revision;
  /**
   * Paths begin with `spec`. A finding about a referenced object has `source`, and `at` is a place in that object's
   * bytes; where it is a Secret, the message holds no word of its content.
   */
  readonly findings: readonly RenderFinding[];
};

/** Throws only for a bug of the caller: no version. */
export function buildRevision({ effective, references, versions }: RenderInput): Rendered {
  if (versions.length === 0) throw new Error('buildRevision needs a version');
  const { spec } = effective;
  if (spec.state === 'Disabled') return { findings: [] };
  const policy = renderPolicy({
    spec: spec.policy,
    versions,
    ...(references.policy === undefined ? {} : { reference: references.policy }),
  });
  const webhook = webhookOf(spec.webhook, references.webhook);
  const { flags, findings: flagFindings } = renderFlags(effective);
  const findings = [...policy.findings, ...webhook.findings, ...flagFindings];
  if (policy.bytes === undefined || hasErrors(findings)) return { findings };
  const content = {
    policy: policy.bytes,
    ...(webhook.bytes === undefined ? {} : { webhook: webhook.bytes }),
    flags,
    ...(spec.log.type === 'File'
      ? { logDir: splitLogPath(spec.log.file.path).dir, readerGroup: spec.log.file.readerGroup }
      : {}),
  };
  const confidential = spec.policy.reference?.kind === 'Secret';
  return { revision: { ...content, digest: digestOf(content), versions, confidential }, findings };
}

function webhookOf(
  webhook: ResolvedWebhook | undefined,
  reference: Reference | undefined,
): { readonly bytes?: Secret<Uint8Array>; readonly findings: readonly RenderFinding[] } {
  if (webhook === undefined) return { findings: [] };
  const { name, key } = webhook.secretRef;
  const read = readReference(reference, { kind: 'Secret', name, keys: [key], path: 'spec.webhook.secretRef' });
  if ('finding' in read) return { findings: [read.finding] };
  const { bytes, findings } = renderWebhook(read.bytes);
  return { ...(bytes === undefined ? {} : { bytes }), findings: findings.map((f) => ({ ...f, source: read.source })) };
}
