/**
 * The nouns of the merge: layers, what they give together, and which layer set what. Weakest first:
 * built-in defaults, a datacenter's defaults, the AuditConfig, a datacenter's enforced fields.
 */
import type { Stage } from '../api/audit.ts';
import type { LayerSpec, RolloutWindow } from '../api/auditconfig.ts';
import type { PolicyRuleSpec } from '../api/auditconfig-policy.ts';
import type { PresetName } from '../api/preset-names.ts';

export type Layer =
  | { readonly from: 'BuiltIn' | 'AuditConfig' }
  | { readonly from: 'Datacenter'; readonly name: string; readonly part: 'defaults' | 'enforced' };

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
  readonly name: string;
  readonly key?: string;
};

/** Own rules of one layer; rules of layers concatenate. */
export type LayerRules = { readonly layer: Layer; readonly rules: readonly PolicyRuleSpec[] };

export type ResolvedPolicy = {
  /** Absent: none, since rules or a reference stand instead. */
  readonly preset?: PresetName;
  /** In order of strength, the strongest layer's first: first match wins. */
  readonly rules: readonly LayerRules[];
  readonly rulesPosition: 'Before' | 'After';
  readonly reference?: PolicyReference;
  readonly omitStages: readonly Stage[];
  /** Absent: every part of the policy keeps its own. */
  readonly omitManagedFields?: boolean;
  readonly sensitiveBodies: 'Redact' | 'Allow';
  readonly systemNamespaces?: readonly string[];
};

export type ResolvedLog = {
  readonly type: 'File' | 'Stdout' | 'None';
  readonly file: { readonly path: string; readonly readerGroup: number; readonly format: 'JSON' | 'Legacy' };
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
  readonly secretRef: { readonly name: string; readonly key: string };
  readonly initialBackoffSeconds: number;
  readonly mode: Mode;
  readonly batch: ResolvedBatch;
  readonly truncate: ResolvedTruncate;
  readonly networkPolicy: 'Auto' | 'None';
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
  readonly rollout: ResolvedRollout;
  readonly kubeadmConfig: 'Ignore' | 'Sync';
};

export type EffectiveConfig = { readonly spec: ResolvedSpec; readonly provenance: Provenance };
