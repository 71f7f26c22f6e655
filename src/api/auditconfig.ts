/**
 * The AuditConfig resource: what one control plane's auditing is to be. This is the one source of the CRD
 * (src/api/crd.ts), of the TypeScript types and of the checks without a cluster. Every field but `target` may be
 * absent, since layers merge (src/config); no field has a default here. Unknown fields are refused: what this release
 * does not know it must not seem to obey.
 */
import { z } from 'zod';
import { isTimeZone } from './time-zone.ts';
import { conditions, integer, list, objectName, text } from './crd-schema.ts';
import { logSpec, shippingSpec, webhookSpec } from './auditconfig-sinks.ts';
import { policySpec } from './auditconfig-policy.ts';
import { targetSpec } from './auditconfig-target.ts';

export const GROUP = 'auditconfig.dev';
export const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}`;

export const rolloutWindow = z.strictObject({
  days: list(z.enum(['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']), 7)
    .optional()
    .describe('On which days it opens. Unset: every day.'),
  start: z
    .string()
    .max(5)
    .regex(/^([01][0-9]|2[0-3]):[0-5][0-9]$/)
    .describe('When it opens, in its time zone, such as 22:00.'),
  durationMinutes: integer(1, 10_080).describe('How long it stays open, also over midnight.'),
  timeZone: text(64)
    .refine(isTimeZone, { error: "must be a time zone of the IANA database, such as Europe/Berlin, or 'UTC'" })
    .optional()
    .describe('Of the IANA database, such as Europe/Berlin. Unset: UTC.'),
});
export type RolloutWindow = Readonly<z.infer<typeof rolloutWindow>>;

export const rolloutSpec = z.strictObject({
  paused: z
    .boolean()
    .optional()
    .describe('No API server is restarted, not to repair drift either. Running changes finish, or are undone.'),
  minReadySeconds: integer(0, 86_400)
    .optional()
    .describe('How long a node must have been healthy before the next one is changed.'),
  timeoutSeconds: integer(30, 3600)
    .optional()
    .describe('A node that is not healthy with its new revision after this time goes back to what it had.'),
  windows: list(rolloutWindow, 32)
    .optional()
    .describe(
      'Times in which a restart of an API server may begin. A change that fails is undone at any time. Unset: always.',
    ),
  maxFailures: integer(1, 1000)
    .optional()
    .describe('The rollout stops when so many nodes went back or refused. Unset: 1.'),
  allowDegraded: z
    .boolean()
    .optional()
    .describe(
      'Changes a node although another API server is not ready, unless it would be the last; a node that is long dead holds nobody back.',
    ),
});

/** The fields that layers merge: all of spec but target. */
export const layerSpec = z.strictObject({
  state: z
    .enum(['Enabled', 'Disabled'])
    .optional()
    .describe('Disabled takes away exactly what was added. Unset: Enabled.'),
  policy: policySpec.optional().describe('What is recorded. Nothing given: the preset metadata.'),
  log: logSpec.optional().describe("kube-apiserver's own log of events."),
  webhook: webhookSpec.optional().describe('Sends events to an HTTP endpoint.'),
  shipping: shippingSpec.optional().describe('Ships the log file elsewhere.'),
  rollout: rolloutSpec.optional().describe('How changes reach the nodes.'),
  kubeadmConfig: z
    .enum(['Ignore', 'Sync'])
    .optional()
    .describe('Sync keeps kubeadm-config in step, so that an upgrade keeps the flags.'),
});
export type LayerSpec = z.infer<typeof layerSpec>;

export const auditConfigSpec = layerSpec.extend({
  target: targetSpec.describe(
    "Where the kube-apiserver's flags live. Cannot be changed, but for how it is asked (kubeconfigSecretRef).",
  ),
});
export type AuditConfigSpec = z.infer<typeof auditConfigSpec>;

const digest = z
  .string()
  .max(64)
  .regex(/^[0-9a-f]{64}$/);
/** What came of looking at what an API server counts of its webhook. */
export const DELIVERY_RESULTS = ['Delivering', 'EventsLost', 'Failing', 'NoTraffic', 'NoAnswer'] as const;
export type DeliveryResult = (typeof DELIVERY_RESULTS)[number];

/** What came of asking a hosted API server. Refused: its kubeconfig is not one that may be used, or is not there. */
export const HOSTED_PROOF_RESULTS = [
  'EventCounted',
  'EventMissing',
  'NothingToObserve',
  'NoAnswer',
  'Refused',
] as const;
export type HostedProofResult = (typeof HOSTED_PROOF_RESULTS)[number];

const nodeCount = z.int().min(0).max(100_000);

export const auditConfigStatus = z.object({
  observedGeneration: z.int().min(0).optional().describe('The generation of spec that this status speaks of.'),
  revision: z
    .object({ name: objectName, digest })
    .optional()
    .describe('The newest revision that was rendered and published.'),
  effective: z
    .object({
      digest,
      preset: z.string().max(64).optional(),
      layers: z.array(text(512)).max(64).describe('The layers that were merged, weakest first.'),
      fields: z
        .array(z.object({ path: text(256), set: text(512), overrode: z.array(text(512)).max(64).optional() }))
        .max(64)
        .optional()
        .describe('Fields that a datacenter set, and whose value it overrode.'),
      ignored: z
        .array(z.object({ path: text(256), by: text(512) }))
        .max(64)
        .optional()
        .describe('Fields of spec that do not count, and which datacenter says so.'),
    })
    .optional()
    .describe('What the merge of all layers gave.'),
  datacenters: z
    .array(
      z.object({
        name: objectName,
        digest,
        binding: z
          .boolean()
          .describe('It enforces, limits or forbids something: this AuditConfig is not deleted by its owner.'),
      }),
    )
    .max(64)
    .optional()
    .describe('The DatacenterAuditConfigs that count here, and what of them.'),
  lastValid: z
    .object({ name: objectName })
    .optional()
    .describe('Where the newest valid spec is kept: it counts while a newer one is not valid, or paused.'),
  nodes: z
    .object({
      desired: nodeCount,
      updated: nodeCount,
      failed: nodeCount,
      summary: z.string().max(32).optional().describe('updated/desired'),
      worst: z
        .array(z.object({ name: objectName, phase: text(64), message: z.string().max(2048).optional() }))
        .max(10)
        .optional()
        .describe('At most ten nodes that are not where they should be.'),
    })
    .optional(),
  workload: z
    .object({
      digest: digest.optional().describe('The revision that was put into it last.'),
      credentials: digest.optional().describe("Of the webhook's credentials that were published for it last."),
      carried: z
        .object({ from: digest, credentials: digest.optional(), result: z.enum(['Carried', 'None', 'Unknown']) })
        .optional()
        .describe('Whether these newest credentials were given to what runs, too, which is another revision.'),
      published: z
        .int()
        .min(0)
        .max(1_000)
        .optional()
        .describe('Revisions that were published since old ones were last deleted.'),
      startedTime: z.string().max(32).optional().describe('When that was.'),
      lastKnownGood: digest.optional().describe('The newest revision with which all its pods were available.'),
      refused: z
        .object({ digest, base: text(16), message: z.string().max(2048) })
        .optional()
        .describe('A revision that it went back from, and with which template of its owner.'),
      fallback: z
        .object({
          of: digest,
          twin: digest,
          time: z.string().max(32),
          again: text(16).optional().describe('Of the annotation auditconfig.dev/again then.'),
          credentials: digest.optional(),
        })
        .optional()
        .describe(
          'A revision whose webhook kept requests waiting, the same in mode Batch, which is put in instead, and since when.',
        ),
      proof: z
        .object({
          digest,
          result: z.enum(HOSTED_PROOF_RESULTS),
          time: z.string().max(64),
          message: z.string().max(1024),
          kubeconfig: text(512).optional().describe('Secret, and its key where one is named, by which it was asked.'),
        })
        .optional()
        .describe('What its API server counted of requests that the policy records, when it was last asked.'),
      webhook: z
        .object({
          digest,
          credentials: digest.optional(),
          result: z.enum(DELIVERY_RESULTS),
          time: z.string().max(64),
          message: z.string().max(1024),
        })
        .optional()
        .describe('What its API server counted of its webhook then.'),
      reverts: z.array(z.string().max(32)).max(8).optional().describe('When somebody took our edit out.'),
      fight: z
        .object({ manager: text(256), generation: z.int().min(0) })
        .optional()
        .describe('Who takes it out again and again: it is not put in any more until spec changes.'),
    })
    .optional()
    .describe('Of a hosted control plane.'),
  retention: z
    .object({ requestedDays: z.int().min(0).max(36_500), measuredDays: z.int().min(0).max(36_500).optional() })
    .optional(),
  conditions: conditions.optional(),
});
export type AuditConfigStatus = z.infer<typeof auditConfigStatus>;

/** What is read of metadata. Everything else stays in the object, unread. */
export const objectMeta = z.looseObject({
  name: z.string().min(1).max(253),
  namespace: z.string().max(63).optional(),
  uid: z.string().max(128).optional(),
  generation: z.int().optional(),
  resourceVersion: z.string().max(128).optional(),
  creationTimestamp: z.string().max(64).optional(),
  deletionTimestamp: z.string().max(64).optional(),
  finalizers: z.array(z.string()).optional(),
});

export const auditConfig = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('AuditConfig'),
  metadata: objectMeta,
  spec: auditConfigSpec,
  status: z.unknown().optional(),
});
/** `status` is what an API server stored: parse it with auditConfigStatus where it is read. */
export type AuditConfig = z.infer<typeof auditConfig>;
