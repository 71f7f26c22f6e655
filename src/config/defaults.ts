/**
 * The built-in layer: what counts where no other layer says anything. Every value is rendered as a flag, because the
 * API server's own defaults differ between versions (1.36 changed those of the log).
 */
import type { ResolvedLog, ResolvedRollout, ResolvedWebhook } from './types.ts';

const LOG: ResolvedLog = {
  type: 'File',
  file: { path: '/var/log/kube-audit/audit.log', readerGroup: 0, format: 'JSON' },
  retention: { maxAgeDays: 30, maxBackups: 10, maxSize: '100Mi', compression: 'None' },
  mode: 'Blocking',
  batch: { bufferSize: 10_000, maxSize: 1, maxWaitSeconds: 0, throttle: { state: 'Disabled', qps: 10, burst: 15 } },
  truncate: { state: 'Disabled', maxEventSize: '100Ki', maxBatchSize: '10Mi' },
};

const ROLLOUT: ResolvedRollout = {
  paused: false,
  minReadySeconds: 30,
  timeoutSeconds: 300,
  windows: [],
  maxFailures: 1,
  allowDegraded: false,
};

/** Complete but for what says what is recorded: of that, "nothing given" means the preset metadata (merge.ts). */
export const BUILT_IN = {
  state: 'Enabled',
  policy: { rulesPosition: 'Before', omitStages: [], sensitiveBodies: 'Redact' },
  log: LOG,
  rollout: ROLLOUT,
  kubeadmConfig: 'Ignore',
} as const;

/** The key of webhook.secretRef where none is named; a reference never merges, so it is filled in afterwards. */
export const WEBHOOK_KEY = 'webhook.yaml';

/** Part of the built-in layer where some layer has a webhook. */
export const BUILT_IN_WEBHOOK: Omit<ResolvedWebhook, 'secretRef'> = {
  initialBackoffSeconds: 10,
  mode: 'Batch',
  batch: { bufferSize: 10_000, maxSize: 400, maxWaitSeconds: 30, throttle: { state: 'Enabled', qps: 10, burst: 15 } },
  truncate: { state: 'Disabled', maxEventSize: '100Ki', maxBatchSize: '10Mi' },
  networkPolicy: 'Auto',
};
