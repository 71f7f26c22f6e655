/**
 * spec.log, spec.webhook and spec.shipping of an AuditConfig: where events go. Bounds are those of kube-apiserver's
 * own checks of its flags (k8s.io/apiserver pkg/server/options/audit.go) and, above, of good sense; what depends on
 * more than one layer is checked when a revision is rendered.
 */
import { z } from 'zod';
import { checked, integer, keyRef, list, objectName, setting, size, text } from './crd-schema.ts';
import { parseSize } from './quantity.ts';

const INT32 = 2 ** 31 - 1;
const state = z.enum(['Enabled', 'Disabled']);
const mode = z
  .enum(['Batch', 'Blocking', 'BlockingStrict'])
  .describe(
    'Batch: buffered; events are lost when the buffer is full. Blocking: a request waits until its event is written. BlockingStrict: and fails if that fails.',
  );

const batch = z
  .strictObject({
    bufferSize: integer(1, 1_000_000).optional().describe('Events that wait for a batch; more are dropped.'),
    maxSize: integer(1, 100_000).optional().describe('Most events in a batch.'),
    maxWaitSeconds: integer(0, 3600).optional().describe('A batch that is not full is sent after this time.'),
    throttle: z
      .strictObject({
        state: state.optional(),
        qps: integer(1, 100_000).optional().describe('Most batches a second, on average.'),
        burst: integer(1, 100_000).optional().describe('Most batches at once.'),
      })
      .optional(),
  })
  .describe('How events are gathered; used in mode Batch only.');

const truncate = z
  .strictObject({
    state: state.optional(),
    maxEventSize: size()
      .optional()
      .describe('Of a larger event the bodies are dropped; if it is still larger, it is lost.'),
    maxBatchSize: size().optional().describe('A larger batch is split. Not below maxEventSize.'),
  })
  .describe('Limits the size of what is sent.');

const logPath = checked(z.string().min(1).max(512), [
  {
    rule: "self.matches('^(/[A-Za-z0-9_][A-Za-z0-9._-]*){2,}$')",
    message:
      "a log path is absolute, in a folder, and made of letters, digits, '.', '_' and '-', such as /var/log/kube-audit/audit.log (for standard output use type Stdout)",
    holds: (v) => /^(\/[A-Za-z0-9_][A-Za-z0-9._-]*){2,}$/.test(v),
  },
]);

const retention = z.strictObject({
  maxAgeDays: integer(0, 3650).optional().describe('Older files are deleted. 0: age deletes nothing.'),
  maxBackups: integer(1, 10_000)
    .optional()
    .describe('Rotated files that are kept. 0 would mean "all of them" to kube-apiserver, so the least is 1.'),
  maxSize: checked(size(), [
    {
      rule: '!quantity(self).isLessThan(quantity("1Mi"))',
      message: 'maxSize must be at least 1Mi: kube-apiserver counts in whole MiB',
      holds: (v) => (parseSize(v) ?? 2 ** 20) >= 2 ** 20,
    },
  ])
    .optional()
    .describe('A file of this size is rotated. Rounded down to whole MiB.'),
  totalSize: size()
    .optional()
    .describe('The most that the log and its rotated files may take; lowers maxBackups where needed.'),
  compression: z.enum(['None', 'Gzip']).optional().describe('What happens to rotated files.'),
});

export const logSpec = z.strictObject({
  type: z.enum(['File', 'Stdout', 'None']).optional().describe('Where events are written. Unset: File.'),
  file: z
    .strictObject({
      path: logPath.optional().describe('The file on the host. Its folder is mounted into the API server, writable.'),
      readerGroup: integer(0, INT32).optional().describe('Numeric group that may read the log folder. 0: root only.'),
      format: z.enum(['JSON', 'Legacy']).optional(),
    })
    .optional(),
  retention: retention.optional().describe('What is kept of a file log.'),
  mode: mode.optional(),
  batch: batch.optional(),
  truncate: truncate.optional(),
});

export const webhookSpec = z.strictObject({
  secretRef: keyRef.describe(
    "The Secret with the webhook's kubeconfig, in this namespace. Without key: 'webhook.yaml'.",
  ),
  initialBackoffSeconds: integer(1, 300).optional().describe('Wait before the first retry.'),
  mode: mode.optional(),
  batch: batch.optional(),
  truncate: truncate.optional(),
  networkPolicy: z
    .enum(['Auto', 'None'])
    .optional()
    .describe('Auto: hosted API servers whose egress is restricted get a policy that lets them reach the webhook.'),
});

const quantities = z.record(z.string(), z.string().max(24)).meta({ maxProperties: 8 });
const environmentVariable = checked(
  z.strictObject({
    name: text(253),
    value: z.string().max(4096).optional(),
    secretKeyRef: z.strictObject({ name: objectName, key: text(253) }).optional(),
  }),
  [
    {
      rule: 'has(self.value) != has(self.secretKeyRef)',
      message: 'an environment variable has either value or secretKeyRef',
      holds: (v) => (v.value === undefined) !== (v.secretKeyRef === undefined),
    },
  ],
);
export type EnvironmentVariable = z.infer<typeof environmentVariable>;

const shippedFile = checked(
  z.strictObject({
    name: text(63),
    secretKeyRef: z.strictObject({ name: objectName, key: text(253) }).optional(),
    configMapKeyRef: z.strictObject({ name: objectName, key: text(253) }).optional(),
  }),
  [
    {
      rule: 'has(self.secretKeyRef) != has(self.configMapKeyRef)',
      message: 'a file has either secretKeyRef or configMapKeyRef',
      holds: (v) => (v.secretKeyRef === undefined) !== (v.configMapKeyRef === undefined),
    },
  ],
);
export type ShippedFile = z.infer<typeof shippedFile>;

/** Keys and values as fluent-bit has them; render/shipping judges them. A key that may be repeated has a list. */
const section = z
  .record(z.string().max(128), setting)
  .refine((s) => new Set(Object.keys(s).map((k) => k.toLowerCase())).size === Object.keys(s).length, {
    error: 'a key stands twice, in upper and in lower case: write it once, with a list of values',
  })
  .meta({ maxProperties: 64 });
export type FluentBitSection = z.infer<typeof section>;

const fluentBit = z.strictObject({
  image: text(512).optional().describe('Only for datacenters, or where they allow it.'),
  resources: z
    .strictObject({ requests: quantities.optional(), limits: quantities.optional() })
    .optional()
    .describe("Of fluent-bit's container."),
  env: list(environmentVariable, 64)
    .optional()
    .describe('Variables that filters and outputs name as ${NAME}; Secrets are in the namespace of the pods.'),
  files: list(shippedFile, 16)
    .optional()
    .describe(
      'Files that outputs name, such as tls.ca_file: ca.crt; Secrets and ConfigMaps are in the namespace of the pods.',
    ),
  service: section.optional().describe("Keys of fluent-bit's SERVICE section."),
  filters: list(section, 32).optional().describe('FILTER sections, in their order.'),
  outputs: list(section, 32).optional().describe('OUTPUT sections. None: standard output.'),
});
export type FluentBitSpec = z.infer<typeof fluentBit>;

export const shippingSpec = checked(
  z.strictObject({
    type: z.enum(['FluentBit']),
    fluentBit: fluentBit.optional(),
  }),
  [
    {
      rule: "self.type != 'FluentBit' || has(self.fluentBit)",
      message: 'type FluentBit needs fluentBit',
      holds: (v) => v.fluentBit !== undefined,
    },
  ],
);
export type ShippingSpec = z.infer<typeof shippingSpec>;
