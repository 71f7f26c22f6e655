/**
 * Effective config to kube-apiserver flags, every default explicit and checked as the API server checks them at its
 * start (k8s.io/apiserver pkg/server/options/audit.go). Also the other way: KNOWN_FLAGS says which flags, with which
 * values, a bundle that was read from the API may hold.
 */
import { parseSize } from '../api/quantity.ts';
import type { EffectiveConfig, Mode, ResolvedBatch, ResolvedTruncate } from '../config/types.ts';
import { error } from './findings.ts';
import type { RenderFinding } from './findings.ts';
import { checkLogPath, splitLogPath } from './log-path.ts';
import { retentionOf } from './retention.ts';
import type { AuditFlag, FlagValue, Revision } from './types.ts';

type Flag = Revision['flags'][number];
type Values = Readonly<Record<AuditFlag, FlagValue>>;
type Part = { readonly values: Values; readonly findings: readonly RenderFinding[] };

const MODES: Readonly<Record<Mode, string>> = {
  Batch: 'batch',
  Blocking: 'blocking',
  BlockingStrict: 'blocking-strict',
};

const INTEGER = /^(0|[1-9][0-9]{0,17})$/;
const BOOLEAN = /^(true|false)$/;
const SECONDS = /^(0|[1-9][0-9]{0,8})s$/;
const VERSION = /^audit\.k8s\.io\/v1$/;

const ofBackend = (backend: 'log' | 'webhook'): Readonly<Record<AuditFlag, RegExp>> => ({
  [`--audit-${backend}-mode`]: /^(batch|blocking|blocking-strict)$/,
  [`--audit-${backend}-version`]: VERSION,
  [`--audit-${backend}-batch-buffer-size`]: INTEGER,
  [`--audit-${backend}-batch-max-size`]: INTEGER,
  [`--audit-${backend}-batch-max-wait`]: SECONDS,
  [`--audit-${backend}-batch-throttle-enable`]: BOOLEAN,
  [`--audit-${backend}-batch-throttle-qps`]: INTEGER,
  [`--audit-${backend}-batch-throttle-burst`]: INTEGER,
  [`--audit-${backend}-truncate-enabled`]: BOOLEAN,
  [`--audit-${backend}-truncate-max-batch-size`]: INTEGER,
  [`--audit-${backend}-truncate-max-event-size`]: INTEGER,
});

/** Every flag that is ever rendered, all of them known to kube-apiserver 1.26 to 1.36, and its literal values. */
export const KNOWN_FLAGS: Readonly<Record<AuditFlag, RegExp | 'file' | 'log'>> = {
  '--audit-policy-file': 'file',
  '--audit-log-path': 'log',
  '--audit-log-maxage': INTEGER,
  '--audit-log-maxbackup': INTEGER,
  '--audit-log-maxsize': INTEGER,
  '--audit-log-compress': BOOLEAN,
  '--audit-log-format': /^(json|legacy)$/,
  ...ofBackend('log'),
  '--audit-webhook-config-file': 'file',
  '--audit-webhook-initial-backoff': SECONDS,
  ...ofBackend('webhook'),
};

function batchFlags(backend: 'log' | 'webhook', mode: Mode, b: ResolvedBatch): Values {
  return {
    [`--audit-${backend}-mode`]: MODES[mode],
    [`--audit-${backend}-version`]: 'audit.k8s.io/v1',
    [`--audit-${backend}-batch-buffer-size`]: String(b.bufferSize),
    [`--audit-${backend}-batch-max-size`]: String(b.maxSize),
    [`--audit-${backend}-batch-max-wait`]: `${b.maxWaitSeconds}s`,
    [`--audit-${backend}-batch-throttle-enable`]: String(b.throttle.state === 'Enabled'),
    [`--audit-${backend}-batch-throttle-qps`]: String(b.throttle.qps),
    [`--audit-${backend}-batch-throttle-burst`]: String(b.throttle.burst),
  };
}

/** Checked even where truncation is off, as the API server does. */
function truncateFlags(backend: 'log' | 'webhook', t: ResolvedTruncate): Part {
  const at = `spec.${backend}.truncate`;
  const [event, batch] = [parseSize(t.maxEventSize) ?? 0, parseSize(t.maxBatchSize) ?? 0];
  const findings: RenderFinding[] = [];
  if (event <= 0) findings.push(error('TruncateInvalid', at, `${at}.maxEventSize: must be greater than 0`));
  else if (batch < event)
    findings.push(
      error(
        'TruncateInvalid',
        at,
        `${at}: maxBatchSize ${t.maxBatchSize} is below maxEventSize ${t.maxEventSize}: kube-apiserver would not start`,
      ),
    );
  return {
    values: {
      [`--audit-${backend}-truncate-enabled`]: String(t.state === 'Enabled'),
      [`--audit-${backend}-truncate-max-batch-size`]: String(batch),
      [`--audit-${backend}-truncate-max-event-size`]: String(event),
    },
    findings,
  };
}

function logFlags(effective: EffectiveConfig): Part {
  const { log } = effective.spec;
  if (log.type === 'None') return { values: {}, findings: [] };
  const truncate = truncateFlags('log', log.truncate);
  const shared: Values = {
    ...batchFlags('log', log.mode, log.batch),
    ...truncate.values,
    '--audit-log-format': log.file.format.toLowerCase(),
  };
  if (log.type === 'Stdout') return { values: { ...shared, '--audit-log-path': '-' }, findings: truncate.findings };
  const { retention, findings } = retentionOf(effective);
  const { name } = splitLogPath(log.file.path);
  return {
    values: {
      ...shared,
      '--audit-log-path': { dir: 'log', name },
      ...(retention === undefined
        ? {}
        : {
            '--audit-log-maxage': String(retention.maxAgeDays),
            '--audit-log-maxbackup': String(retention.maxBackups),
            '--audit-log-maxsize': String(retention.maxSizeMiB),
            '--audit-log-compress': String(retention.compress),
          }),
    },
    findings: [...checkLogPath(log.file.path), ...findings, ...truncate.findings],
  };
}

function webhookFlags({ spec: { webhook } }: EffectiveConfig): Part {
  if (webhook === undefined) return { values: {}, findings: [] };
  const truncate = truncateFlags('webhook', webhook.truncate);
  return {
    values: {
      '--audit-webhook-config-file': { file: 'webhook' },
      '--audit-webhook-initial-backoff': `${webhook.initialBackoffSeconds}s`,
      ...batchFlags('webhook', webhook.mode, webhook.batch),
      ...truncate.values,
    },
    findings: truncate.findings,
  };
}

/** Codes: NoBackend, TruncateInvalid, and those of the log path and of retention. */
export function renderFlags(effective: EffectiveConfig): {
  readonly flags: readonly Flag[];
  readonly findings: readonly RenderFinding[];
} {
  const [log, webhook] = [logFlags(effective), webhookFlags(effective)];
  const findings = [...log.findings, ...webhook.findings];
  // A policy without a backend is accepted by kube-apiserver, and nothing is ever recorded.
  if (effective.spec.log.type === 'None' && effective.spec.webhook === undefined)
    findings.push(
      error(
        'NoBackend',
        'spec.log.type',
        'spec.log.type: None without a webhook records nothing: choose File or Stdout, add a webhook, or set state: Disabled',
      ),
    );
  const values: Values = { '--audit-policy-file': { file: 'policy' }, ...log.values, ...webhook.values };
  return { flags: sortFlags(values), findings };
}

const isFlag = (name: string): name is AuditFlag => name.startsWith('--audit-');

const sortFlags = (values: Values): readonly Flag[] =>
  Object.entries(values)
    .flatMap(([name, value]) => (isFlag(name) ? [{ name, value }] : []))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
