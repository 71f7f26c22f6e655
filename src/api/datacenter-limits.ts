/**
 * spec.limits of a DatacenterAuditConfig: what an AuditConfig may say at least and at most. A number beyond a limit is
 * moved to it, and what is not in a list of allowed values is left out (src/config/limits.ts): a tenant cannot hold
 * anything back by asking for too much.
 */
import { z } from 'zod';
import { parseRange } from './addresses.ts';
import { checked, integer, list, set, size, text } from './crd-schema.ts';
import { parseSize } from './quantity.ts';

const numbers = (min: number, max: number) =>
  checked(z.strictObject({ min: integer(min, max).optional(), max: integer(min, max).optional() }), [
    {
      rule: '!has(self.min) || !has(self.max) || self.min <= self.max',
      message: 'min must not be above max',
      holds: (l) => l.min === undefined || l.max === undefined || l.min <= l.max,
    },
  ]);

const sizes = () =>
  checked(z.strictObject({ min: size().optional(), max: size().optional() }), [
    {
      rule: '!has(self.min) || !has(self.max) || !quantity(self.min).isGreaterThan(quantity(self.max))',
      message: 'min must not be above max',
      holds: (l) =>
        l.min === undefined || l.max === undefined || (parseSize(l.min) ?? 0) <= (parseSize(l.max) ?? Infinity),
    },
  ]);

const mode = z.enum(['Batch', 'Blocking', 'BlockingStrict']);
const batch = z.strictObject({
  bufferSize: numbers(1, 1_000_000).optional(),
  maxSize: numbers(1, 100_000).optional(),
  maxWaitSeconds: numbers(0, 3600).optional(),
  throttle: z.strictObject({ qps: numbers(1, 100_000).optional(), burst: numbers(1, 100_000).optional() }).optional(),
});
const truncate = z.strictObject({ maxEventSize: sizes().optional(), maxBatchSize: sizes().optional() });

const destination = checked(
  z.strictObject({
    host: z
      .string()
      .max(253)
      .regex(/^(\*\.)?[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?)*\.?$/)
      .optional()
      .describe('A DNS name, or *.example.org for every name below example.org. Addresses are allowed by cidr only.'),
    cidr: z
      .string()
      .max(49)
      .regex(/^[0-9A-Fa-f:.]{2,45}\/[0-9]{1,3}$/)
      .refine((v) => parseRange(v) !== undefined, {
        error: 'must be a range of addresses, such as 10.1.0.0/16 or fd00:1::/32, with nothing set behind its prefix',
      })
      .optional()
      .describe('A range of addresses, for destinations that are given as an address.'),
    ports: list(integer(1, 65_535), 16).optional().describe('Unset: every port.'),
  }),
  [
    {
      rule: 'has(self.host) != has(self.cidr)',
      message: 'a destination has either host or cidr',
      holds: (d) => (d.host === undefined) !== (d.cidr === undefined),
    },
  ],
);
export type AllowedDestination = Readonly<z.infer<typeof destination>>;
const destinations = list(destination, 64);

export const datacenterLimits = z.strictObject({
  log: z
    .strictObject({
      types: set(z.enum(['File', 'Stdout', 'None']), 3)
        .optional()
        .describe('Allowed values of log.type.'),
      modes: set(mode, 3).optional().describe('Allowed values of log.mode.'),
      paths: list(text(512), 16)
        .optional()
        .describe('Folders, such as /var/log/kube-audit, in or below which log.file.path may be.'),
      retention: z
        .strictObject({
          maxAgeDays: numbers(0, 3650).optional(),
          maxBackups: numbers(1, 10_000).optional(),
          maxSize: sizes().optional(),
          totalSize: sizes().optional(),
        })
        .optional(),
      batch: batch.optional(),
      truncate: truncate.optional(),
    })
    .optional(),
  webhook: z
    .strictObject({
      modes: set(mode, 3)
        .optional()
        .describe('Allowed values of webhook.mode. Unset: Batch; a blocking webhook hangs the API when it dies.'),
      destinations: destinations
        .optional()
        .describe(
          'Where a webhook may send to, through a proxy the proxy too. Unset: anywhere; an empty list: nowhere.',
        ),
      batch: batch.optional(),
      truncate: truncate.optional(),
    })
    .optional(),
  shipping: z
    .strictObject({
      images: list(text(512), 16)
        .optional()
        .describe('Allowed values of shipping.fluentBit.image; the first stands for one that is not allowed.'),
      plugins: set(text(64), 128)
        .optional()
        .describe('Allowed names of filters and outputs. Shipping with another one is left out as a whole.'),
      destinations: destinations
        .optional()
        .describe('Where outputs with a host, or a proxy, may send to. Shipping elsewhere is left out as a whole.'),
    })
    .optional(),
  rollout: z
    .strictObject({
      minReadySeconds: numbers(0, 86_400).optional(),
      timeoutSeconds: numbers(30, 3600).optional(),
    })
    .optional()
    .describe('So that nobody can put a change off for long.'),
});
export type DatacenterLimits = z.infer<typeof datacenterLimits>;
