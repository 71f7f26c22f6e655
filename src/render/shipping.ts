/**
 * Settings of shipping to what a shipper runs with: the bytes of its configuration, image, resources and environment. It
 * refuses what fluent-bit would not start with and what only a datacenter may set (shipping/check.ts). Called where a
 * revision is rendered: hosted API servers get it as a part of theirs, nodes as a DaemonSet beside it.
 */
import { hasErrors } from '../api/findings.ts';
import type { EffectiveConfig } from '../config/types.ts';
import { error } from './findings.ts';
import type { RenderFinding } from './findings.ts';
import { splitLogPath } from './log-path.ts';
import { checkShipping } from './shipping/check.ts';
import { bufferBytes, fluentBitConfig } from './shipping/config.ts';
import { canonicalQuantity } from './shipping/quantity.ts';
import type { Shipping } from './types.ts';

/** It is an annotation of pods on nodes, of which an API server takes 256 KiB. */
const MAX_CONFIG_BYTES = 200_000;
const tooLarge = (size: number): RenderFinding =>
  error(
    'ShippingTooLarge',
    'spec.shipping.fluentBit',
    `spec.shipping.fluentBit: the configuration has ${size} bytes; at most ${MAX_CONFIG_BYTES} can be published`,
  );

/** Tested with; a datacenter may choose another one. */
export const DEFAULT_IMAGE = 'fluent/fluent-bit:5.1.1';

const DEFAULT_RESOURCES: Shipping['resources'] = {
  requests: { cpu: '10m', memory: '32Mi' },
  limits: { memory: '128Mi' },
};

const canonical = (quantities: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(quantities).map(([name, q]) => [name, canonicalQuantity(q) ?? q]));

/** undefined where nothing is shipped, or a finding is an error. */
export function renderShipping({ spec, provenance, permits }: EffectiveConfig): {
  readonly shipping?: Shipping;
  readonly findings: readonly RenderFinding[];
} {
  const { shipping, log } = spec;
  if (shipping?.fluentBit === undefined) return { findings: [] };
  const { fluentBit } = shipping;
  const findings = checkShipping({
    spec: fluentBit,
    log: { type: log.type, format: log.file.format },
    isFree: (path) =>
      provenance[`shipping.fluentBit.${path}`]?.set.from === 'Datacenter' ||
      (path === 'image' && permits?.images === true) ||
      ((path === 'filters' || path === 'outputs') && permits?.plugins === true),
  });
  if (hasErrors(findings)) return { findings };
  const config = new TextEncoder().encode(fluentBitConfig(fluentBit, splitLogPath(log.file.path).name));
  if (config.length > MAX_CONFIG_BYTES) return { findings: [...findings, tooLarge(config.length)] };
  return {
    findings,
    shipping: {
      config,
      image: fluentBit.image ?? DEFAULT_IMAGE,
      resources: {
        requests: canonical(fluentBit.resources?.requests ?? DEFAULT_RESOURCES.requests),
        limits: canonical(fluentBit.resources?.limits ?? DEFAULT_RESOURCES.limits),
      },
      env: fluentBit.env ?? [],
      // Absent where there are none, so that older revisions keep their digest.
      ...(fluentBit.files === undefined || fluentBit.files.length === 0 ? {} : { files: fluentBit.files }),
      bufferBytes: bufferBytes(fluentBit),
    },
  };
}
