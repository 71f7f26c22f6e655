/**
 * Effective config to revision: the one place where a policy is composed and flags are rendered. Same input, same
 * bytes, same digest. Refuses (findings of severity error, no revision) whatever a kube-apiserver of any of the given
 * versions would not start with. Called by the controller, and by `render`, `patch` and `diff`.
 */
import { hasErrors } from '../api/findings.ts';
import type { Minor } from '../api/versions.ts';
import type { EffectiveConfig, ResolvedWebhook } from '../config/types.ts';
import { MAX_BUNDLE_BYTES } from './bundle/names.ts';
import { digestOf } from './digest.ts';
import { error } from './findings.ts';
import type { RenderFinding } from './findings.ts';
import { renderFlags } from './flags.ts';
import { splitLogPath } from './log-path.ts';
import { renderPolicy } from './policy.ts';
import type { RenderPolicy } from './policy-memo.ts';
import { readReference } from './references.ts';
import type { References } from './references.ts';
import { renderShipping } from './shipping.ts';
import type { Revision, Shipping } from './types.ts';
import { renderWebhook } from './webhook.ts';
import type { RenderedWebhook } from './webhook.ts';

export type RenderInput = {
  readonly effective: EffectiveConfig;
  /** One for each reference that effective.spec has (policy.reference, webhook.secretRef); missing counts as NotFound. */
  readonly references: References;
  /** Versions that must be able to load it, at least one. */
  readonly versions: readonly Minor[];
  /** ms since the epoch; without it nothing is said about certificates that have expired. */
  readonly now?: number;
  /** Of the API server; unset: the host's. */
  readonly network?: 'Host' | 'Pod';
  /** InPod: the shipper is a container of the API server's pod, and so a part of the revision. Unset: it runs beside it. */
  readonly shipper?: 'InPod';
  /** Where policies that were rendered before are remembered; unset: nowhere. */
  readonly renderPolicy?: RenderPolicy;
};

export type Rendered = {
  /** Absent where a finding is an error, and where state is Disabled (there is nothing to render). */
  readonly revision?: Revision;
  /** What is shipped, wherever the shipper runs. */
  readonly shipping?: Shipping;
  /**
   * Paths begin with `spec`. A finding about a referenced object has `source`, and `at` is a place in that object's
   * bytes; where it is a Secret, the message holds no word of its content.
   */
  readonly findings: readonly RenderFinding[];
  /** When the same input will be judged otherwise (a certificate ends); ms since the epoch. */
  readonly changesAt?: number;
};

/** Throws only for a bug of the caller: no version. */
export function buildRevision(input: RenderInput): Rendered {
  const { effective, references, versions } = input;
  if (versions.length === 0) throw new Error('buildRevision needs a version');
  const { spec } = effective;
  if (spec.state === 'Disabled') return { findings: [] };
  const policy = (input.renderPolicy ?? renderPolicy)({
    spec: spec.policy,
    versions,
    ...(references.policy === undefined ? {} : { reference: references.policy }),
  });
  const webhook = webhookOf(spec.webhook, input);
  const { flags, findings: flagFindings } = renderFlags(effective);
  const { shipping, findings: shippingFindings } = renderShipping(effective);
  const findings = [...policy.findings, ...webhook.findings, ...flagFindings, ...shippingFindings];
  const later = webhook.changesAt === undefined ? {} : { changesAt: webhook.changesAt };
  if (policy.bytes === undefined || hasErrors(findings)) return { findings, ...later };
  const content = {
    policy: policy.bytes,
    ...(webhook.kubeconfig === undefined ? {} : { webhook: webhook.kubeconfig }),
    flags,
    ...(spec.log.type === 'File'
      ? { logDir: splitLogPath(spec.log.file.path).dir, readerGroup: spec.log.file.readerGroup }
      : {}),
    ...(shipping === undefined || input.shipper !== 'InPod' ? {} : { shipping }),
  };
  const crowded = content.shipping === undefined ? [] : tooLargeTogether(policy.bytes, content.shipping);
  if (crowded.length > 0) return { findings: [...findings, ...crowded], ...later };
  const confidential = spec.policy.reference?.kind === 'Secret';
  const { credentials } = webhook;
  const revision: Revision = {
    ...content,
    ...(credentials === undefined ? {} : { credentials }),
    digest: digestOf(content),
    versions,
    confidential,
  };
  return { revision, findings, ...(shipping === undefined ? {} : { shipping }), ...later };
}

/** They are one object, and what an API server does not take would be published again and again. */
function tooLargeTogether(policy: Uint8Array, { config, env, files }: Shipping): readonly RenderFinding[] {
  const bytes = policy.length + config.length + JSON.stringify([env, files]).length;
  const path = 'spec.shipping.fluentBit';
  const message = `${path}: policy and shipping together have ${bytes} bytes; a ConfigMap holds ${MAX_BUNDLE_BYTES}`;
  return bytes <= MAX_BUNDLE_BYTES ? [] : [error('ShippingTooLarge', path, message)];
}

function webhookOf(webhook: ResolvedWebhook | undefined, input: RenderInput): RenderedWebhook {
  if (webhook === undefined) return { findings: [] };
  const { name, key, namespace } = webhook.secretRef;
  const wanted = { kind: 'Secret', name, keys: [key], path: 'spec.webhook.secretRef' } as const;
  const where = namespace === undefined ? {} : { namespace };
  const read = readReference(input.references.webhook, { ...wanted, ...where });
  if ('finding' in read) return { findings: [read.finding] };
  const { now, network } = input;
  const rendered = renderWebhook(read.bytes, {
    ...(now === undefined ? {} : { now }),
    ...(network === undefined ? {} : { network }),
    ...(webhook.allowedDestinations === undefined ? {} : { allowed: webhook.allowedDestinations }),
  });
  const place = (f: RenderFinding): string => (f.at === undefined ? '' : `, line ${f.at.line}, column ${f.at.column}`);
  const findings = rendered.findings.map((f) => ({
    ...f,
    message: `Secret ${name}, key ${key}${place(f)}: ${f.message}`,
    source: read.source,
  }));
  return { ...rendered, findings };
}
