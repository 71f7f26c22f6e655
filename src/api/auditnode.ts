/**
 * The AuditNode resource: how controller and agent speak about one control-plane node. The controller writes spec, the
 * agent of that node writes status, and nobody else writes either (deploy/agent/admission.yaml). It holds names and
 * digests, never a policy or a Secret's value. Its name is the node's.
 */
import { z } from 'zod';
import { API_VERSION, DELIVERY_RESULTS, objectMeta } from './auditconfig.ts';
import { NODE_TARGETS, unitName } from './auditconfig-target.ts';
import { checked, conditions, integer, objectName, text } from './crd-schema.ts';

const digest = z
  .string()
  .max(64)
  .regex(/^[0-9a-f]{64}$/, 'a digest is 64 lower-case hex digits');

/** Waiting: what is asked needs a restart, and it is not this node's turn. Drifted: it is not as it was left, and that is awaited. */
export const NODE_PHASES = ['Settled', 'Waiting', 'Installing', 'Probing', 'RollingBack', 'Held', 'Drifted'] as const;
export type NodePhase = (typeof NODE_PHASES)[number];

const desired = checked(
  z.object({
    type: z
      .enum(['Revision', 'Removed'])
      .describe('Removed takes away exactly what was added. Absence of this object removes nothing.'),
    revision: z
      .object({
        kind: z.enum(['ConfigMap', 'Secret']),
        namespace: text(63),
        name: objectName,
        digest: digest.describe('What the content must hash to.'),
        credentials: digest
          .optional()
          .describe("Of the webhook's certificate and token that go with it. Others restart nothing."),
      })
      .optional(),
  }),
  [
    {
      rule: "(self.type == 'Revision') == has(self.revision)",
      message: 'revision belongs to type Revision, which needs it',
      holds: (d) => (d.type === 'Revision') === (d.revision !== undefined),
    },
  ],
);

export const auditNodeSpec = z.object({
  nodeName: objectName.describe('The node, and the name of this object.'),
  auditConfigRef: z
    .object({ namespace: text(63), name: objectName, uid: text(128) })
    .describe('The AuditConfig that the controller speaks for.'),
  target: z
    .object({ type: z.enum(NODE_TARGETS), unit: unitName.optional() })
    .optional()
    .describe('Where the flags lie on this node; an agent of another kind refuses. Unset: StaticPod.'),
  desired: desired.describe('What the node is to run.'),
  keep: z
    .array(digest)
    .max(4)
    .optional()
    .describe('Further revisions whose files stay on the node: kubeadm-config may name one.'),
  timeoutSeconds: integer(30, 3600).describe('Not healthy after this time: the agent goes back.'),
});
export type AuditNodeSpec = z.infer<typeof auditNodeSpec>;

/** What came of looking for an event that must be in the log. */
export const PROOF_RESULTS = [
  'EventFound',
  'EventMissing',
  'WrongLevel',
  'LogMissing',
  'NothingToObserve',
  'NoAnswer',
  'TooBusy',
] as const;
export type ProofResult = (typeof PROOF_RESULTS)[number];

export type { DeliveryResult } from './auditconfig.ts';

const flagText = z.string().max(1024);

export const auditNodeStatus = z.object({
  observedGeneration: z.int().min(0).optional().describe('The generation of spec that the agent has seen.'),
  phase: z.enum(NODE_PHASES).optional(),
  target: digest.optional().describe('What is being installed or probed.'),
  current: digest.optional().describe('What the API server runs with. Unset: none of ours.'),
  lastKnownGood: digest.optional().describe('The newest revision that this node proved healthy with.'),
  settledTime: z.string().max(64).meta({ format: 'date-time' }).optional().describe('Since when it runs current.'),
  message: z.string().max(4096).optional(),
  lastFailure: z
    .object({
      digest,
      reason: text(64),
      message: z.string().max(4096).describe("The API server's own last error lines, without values of Secrets."),
      time: z.string().max(64).meta({ format: 'date-time' }),
    })
    .optional()
    .describe('A revision that this node refused or went back from; it is not tried again until something changes.'),
  waiting: z
    .object({ reason: text(64), node: objectName.optional().describe('Which node it waits for.') })
    .optional()
    .describe('Why its API server is not restarted now, in phase Waiting.'),
  apiServer: z
    .object({ host: text(253).optional().describe('Unset: not known on the node.'), port: integer(1, 65_535) })
    .optional()
    .describe('Where the other nodes reach its kube-apiserver.'),
  kubernetesVersion: z.string().max(64).optional().describe("The running kube-apiserver's version."),
  agentVersion: z.string().max(64).optional(),
  adopted: z
    .object({
      flags: z.array(flagText).max(64).optional(),
      volumes: z.array(z.string().max(253)).max(16).optional(),
    })
    .optional()
    .describe('Audit settings that someone made by hand before; removal gives them back.'),
  proof: z
    .object({
      digest: digest.describe('The revision that it is about.'),
      result: z.enum(PROOF_RESULTS),
      time: z.string().max(64).meta({ format: 'date-time' }),
      auditID: z.string().max(64).optional().describe('Of the request; unset where none was sent.'),
      message: z.string().max(1024).optional(),
    })
    .optional()
    .describe('Whether a request that the policy records was found in the log, when it was last tried.'),
  webhook: z
    .object({
      digest: digest.describe('The revision that it is about.'),
      result: z.enum(DELIVERY_RESULTS),
      time: z.string().max(64).meta({ format: 'date-time' }),
      message: z.string().max(1024).optional(),
    })
    .optional()
    .describe('Whether the webhook takes events, from what the API server counts, when it was last looked at.'),
  retention: z
    .object({
      digest: digest.describe('The revision that it is about.'),
      measuredDays: z
        .int()
        .min(0)
        .max(36_500)
        .optional()
        .describe('For how many days the settings keep events at this rate. Unset: the log is too young to tell.'),
      bytesPerDay: z.int().min(0).optional().describe('How fast the log grows, before compression.'),
      oldestTime: z
        .string()
        .max(64)
        .meta({ format: 'date-time' })
        .optional()
        .describe('How far back the files on disk reach.'),
      sharesDiskWithEtcd: z
        .boolean()
        .optional()
        .describe("The log's folder is on the disk of etcd's data: a full one stops both. Unset: not to be seen."),
    })
    .optional()
    .describe('How long the log on this node is really kept.'),
  gaps: z
    .array(
      z.object({
        start: z.string().max(64).meta({ format: 'date-time' }),
        end: z.string().max(64).meta({ format: 'date-time' }).optional().describe('Unset: it is not over.'),
        reason: text(64),
      }),
    )
    .max(10)
    .optional()
    .describe('The latest intervals in which its API server served and did not record what it should.'),
  conditions: conditions.optional(),
});
export type AuditNodeStatus = z.infer<typeof auditNodeStatus>;

export const auditNode = z.object({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('AuditNode'),
  metadata: objectMeta,
  spec: auditNodeSpec,
  status: auditNodeStatus.optional(),
});
export type AuditNode = z.infer<typeof auditNode>;
