/** Quantities as an API server writes them back; held against a real one in test/controllers/hosted-shipping.plane.test.ts. */
import { expect, it } from 'vitest';
import { canonicalQuantity } from '../../../src/render/shipping/quantity.ts';

it.each([
  ['1000m', '1'], ['0.1', '100m'], ['1500m', '1500m'], ['2', '2'], ['2000', '2k'], ['0', '0'], ['0.50', '500m'],
  ['512Mi', '512Mi'], ['1024Mi', '1Gi'], ['0.5Gi', '512Mi'], ['1.5Gi', '1536Mi'], ['0.5Ki', '512'], ['64M', '64M'],
  ['1000k', '1M'], ['1.5G', '1500M'], ['0Mi', '0'],
])('%s is written %s', (text, wanted) => {
  expect(canonicalQuantity(text)).toBe(wanted);
}); // prettier-ignore

it.each(['', 'm', '1.', '-1', '+1', '1e3', '1E', '0.0001', '0.1m', '0.3Ki', '1 Gi', '1gi', '1u'])(
  '%s is none',
  (text) => {
    expect(canonicalQuantity(text)).toBeUndefined();
  },
);
