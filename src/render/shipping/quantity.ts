/**
 * Quantities of cpu and memory as an API server writes them back (k8s.io/apimachinery api/resource): the largest unit that
 * leaves no fraction. Written otherwise, what is stored would never be what is wanted, and be written again for ever. Refused
 * is what it would round, and exponents. Called by shipping.ts.
 */

const DECIMAL = ['m', '', 'k', 'M', 'G', 'T', 'P', 'E'] as const;
const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'] as const;

/** `n` of the unit at `from`, in the largest that holds it whole. */
function inLargest(n: bigint, units: readonly string[], factor: bigint): string {
  let [rest, unit] = [n, 0];
  while (rest > 0n && rest % factor === 0n && unit < units.length - 1) [rest, unit] = [rest / factor, unit + 1];
  return `${rest}${units[unit] ?? ''}`;
}

/** undefined for what is no quantity, or one that would be rounded. */
export function canonicalQuantity(text: string): string | undefined {
  const m = /^([0-9]{1,15})(?:\.([0-9]{1,9}))?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$/.exec(text);
  if (m === null) return undefined;
  const [, whole = '', fraction = '', unit = ''] = m;
  const digits = BigInt(`${whole}${fraction}`);
  const below = 10n ** BigInt(fraction.length);
  const binary = BINARY.indexOf(unit as (typeof BINARY)[number]);
  if (digits === 0n) return '0';
  if (binary > 0) {
    const bytes = digits * 1024n ** BigInt(binary);
    return bytes % below === 0n ? inLargest(bytes / below, BINARY, 1024n) : undefined;
  }
  const milli = digits * 1000n ** BigInt(DECIMAL.indexOf(unit as (typeof DECIMAL)[number]));
  return milli % below === 0n ? inLargest(milli / below, DECIMAL, 1000n) : undefined;
}
