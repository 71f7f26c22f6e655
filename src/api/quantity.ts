/**
 * Kubernetes quantities as far as sizes need them: `100Mi`, `10Gi`, `1048576`, `1.5G`. Refuses what is not a whole
 * number of bytes, milli-units and signs: nobody means those by a size. Called by the schemas and by the renderer.
 * Source of the grammar: k8s.io/apimachinery pkg/api/resource (quantity.go).
 */

/** What the CRD accepts; kept free of lookaheads, which the API server's regular expressions do not have. */
export const SIZE_PATTERN = '^[0-9]{1,15}(\\.[0-9]{1,6})?(k|M|G|T|Ki|Mi|Gi|Ti)?$';

const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** Bytes of a size, rounded up as Kubernetes does; undefined where it is no size or beyond 2^53 bytes. */
export function parseSize(text: string): number | undefined {
  const m = /^([0-9]{1,15}(?:\.[0-9]{1,6})?)(k|M|G|T|Ki|Mi|Gi|Ti)?$/.exec(text);
  if (m === null) return undefined;
  const bytes = Math.ceil(Number(m[1]) * (FACTORS[m[2] ?? ''] ?? Number.NaN));
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
