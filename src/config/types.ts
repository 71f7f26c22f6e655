/**
 * The nouns of the merge: layers, what they give together, and which layer set what. Weakest first:
 * built-in defaults, a datacenter's defaults, the AuditConfig, a datacenter's enforced fields.
 */
import type { Stage } from '../api/audit.ts';
import type { LayerSpec, RolloutWindow } from '../api/auditconfig.ts';
import type { ShippingSpec } from '../api/auditconfig-sinks.ts';
import type { PolicyRuleSpec } from '../api/auditconfig-policy.ts';
import type { DatacenterAuditConfigSpec } from '../api/datacenterauditconfig.ts';
import type { PresetName } from '../api/preset-names.ts';
import type { AllowedDestinations } from './destinations.ts';

export type Layer =
  | { readonly from: 'BuiltIn' | 'AuditConfig' }
  | { readonly from: 'Datacenter'; readonly name: string; readonly part: DatacenterPart };
/** `limits` moved a value into its bounds; `mandatoryRules` keeps on what they need to be recorded. */
export type DatacenterPart = 'defaults' | 'enforced' | 'mandatoryRules' | 'limits' | 'forbid';

export type LayerInput = { readonly layer: Layer; readonly spec: LayerSpec };

/** `log.retention.maxAgeDays`, below spec. */
export type FieldPath = string;

/** Which layer's value counts for a field, and which weaker layers had one too (weakest first). */
export type Origin = { readonly set: Layer; readonly overrode: readonly Layer[] };
export type Provenance = Readonly<Record<FieldPath, Origin>>;

export type OnOff = 'Enabled' | 'Disabled';
export type Mode = 'Batch' | 'Blocking' | 'BlockingStrict';

/** As kube-apiserver's --audit-*-batch-* flags: events, seconds, batches a second. */
export type ResolvedBatch = {
  readonly bufferSize: number;
  readonly maxSize: number;
  readonly maxWaitSeconds: number;
  readonly throttle: { readonly state: OnOff; readonly qps: number; readonly burst: number };
};
/** Sizes are quantities. */
export type ResolvedTruncate = {
  readonly state: OnOff;
  readonly maxEventSize: string;
  readonly maxBatchSize: string;
};

export type PolicyReference = {
  readonly kind: 'ConfigMap' | 'Secret';
  /** Only where a datacenter refers to it; absent: that of the AuditConfig. */
  readonly namespace?: string;
  readonly name: string;
  readonly key?: string;
};

/** Own rules of one layer; rules of layers concatenate. */
export type LayerRules = { readonly layer: Layer; readonly rules: readonly PolicyRuleSpec[] };

export type ResolvedPolicy = {
  /** Absent: none, since rules or a reference stand instead. */
  readonly preset?: PresetName;
  /** In front of everything, out of reach of the rest: mandatory rules, then enforced ones, the strongest's first. */
  readonly front: readonly LayerRules[];
  /** In order of strength, the strongest layer's first: first match wins. */
  readonly rules: readonly LayerRules[];
  readonly rulesPosition: 'Before' | 'After';
  readonly reference?: PolicyReference;
  readonly omitStages: readonly Stage[];
  /** Absent: every part of the policy keeps its own. */
  readonly omitManagedFields?: boolean;
  readonly sensitiveBodies: 'Redact' | 'Allow';
  /** What counts for `front`, and for a preset or a reference that is enforced: an AuditConfig does not reach it. */
  readonly enforced: EnforcedPolicy;
  readonly systemNamespaces?: readonly string[];
};

export type EnforcedPolicy = {
  readonly preset: boolean;
  readonly reference: boolean;
  readonly omitStages: readonly Stage[];
  readonly omitManagedFields?: boolean;
  readonly sensitiveBodies: 'Redact' | 'Allow';
  readonly systemNamespaces?: readonly string[];
};

export type LogFormat = 'JSON' | 'Legacy';
export type ResolvedLog = {
  readonly type: 'File' | 'Stdout' | 'None';
  readonly file: { readonly path: string; readonly readerGroup: number; readonly format: LogFormat };
  readonly retention: {
    readonly maxAgeDays: number;
    readonly maxBackups: number;
    readonly maxSize: string;
    readonly totalSize?: string;
    readonly compression: 'None' | 'Gzip';
  };
  readonly mode: Mode;
  readonly batch: ResolvedBatch;
  readonly truncate: ResolvedTruncate;
};

export type ResolvedWebhook = {
  /** `namespace` only where a datacenter refers to it; absent: that of the AuditConfig. */
  readonly secretRef: { readonly name: string; readonly key: string; readonly namespace?: string };
  readonly initialBackoffSeconds: number;
  readonly mode: Mode;
  readonly batch: ResolvedBatch;
  readonly truncate: ResolvedTruncate;
  readonly networkPolicy: 'Auto' | 'None';
  /** Of each datacenter that limits them: all must allow it. Not there where a datacenter enforces the webhook. */
  readonly allowedDestinations?: readonly AllowedDestinations[];
};

export type ResolvedRollout = {
  readonly paused: boolean;
  readonly minReadySeconds: number;
  readonly timeoutSeconds: number;
  /** None: always. */
  readonly windows: readonly RolloutWindow[];
  readonly maxFailures: number;
  readonly allowDegraded: boolean;
};

/** Every field that this release acts upon has a value; where it came from is in the provenance. */
export type ResolvedSpec = {
  readonly state: OnOff;
  readonly policy: ResolvedPolicy;
  readonly log: ResolvedLog;
  readonly webhook?: ResolvedWebhook;
  /** As it was merged: render/shipping judges it. */
  readonly shipping?: ShippingSpec;
  readonly rollout: ResolvedRollout;
  readonly kubeadmConfig: 'Ignore' | 'Sync';
};

export type EffectiveConfig = {
  readonly spec: ResolvedSpec;
  readonly provenance: Provenance;
  /** A datacenter names which images or plugins of a shipper an AuditConfig may choose; the others were left out. */
  readonly permits?: { readonly images: boolean; readonly plugins: boolean };
};

/** The part of a DatacenterAuditConfig that control planes get. The rest says which, when and how. */
export type DatacenterContent = Pick<
  DatacenterAuditConfigSpec,
  'defaults' | 'enforced' | 'mandatoryRules' | 'limits' | 'forbid' | 'priority'
> & {
  /** Digests of the objects that it refers to, as they were when it was published (render/pins.ts). */
  readonly references?: Readonly<Record<string, string>>;
};
export type Datacenter = { readonly name: string; readonly content: DatacenterContent };

/** A field of the AuditConfig that does not count, and who says so. */
export type Ignored = { readonly path: FieldPath; readonly by: Layer };
/** Two datacenters enforce different values: `set` counts. */
export type Conflict = { readonly path: FieldPath; readonly set: string; readonly over: string };

export type DatacenterEffect = EffectiveConfig & {
  readonly ignored: readonly Ignored[];
  readonly conflicts: readonly Conflict[];
};
