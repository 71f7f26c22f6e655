/** Shipping as tests write it, and what comes of it. */
import type { LayerSpec } from '../../../src/api/auditconfig.ts';
import type { FluentBitSpec, ShippingSpec } from '../../../src/api/auditconfig-sinks.ts';
import { effectiveOf } from '../../../src/config/merge.ts';
import { renderShipping } from '../../../src/render/shipping.ts';

export const shipping = (fluentBit: FluentBitSpec): { shipping: ShippingSpec } => ({
  shipping: { type: 'FluentBit', fluentBit },
});

/** `code path` of every finding. */
export const codes = (fluentBit: FluentBitSpec, more: LayerSpec = {}): readonly string[] =>
  renderShipping(effectiveOf({ ...shipping(fluentBit), ...more })).findings.map(
    (f) => `${f.code} ${f.path.replace('spec.shipping.fluentBit.', '')}`,
  );

/** The configuration; throws where it is refused. */
export function configOf(fluentBit: FluentBitSpec): string {
  const { shipping: s, findings } = renderShipping(effectiveOf(shipping(fluentBit)));
  if (s === undefined) throw new Error(findings.map((f) => f.message).join('; '));
  return new TextDecoder().decode(s.config);
}
