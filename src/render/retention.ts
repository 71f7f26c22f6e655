/**
 * Retention of a file log: quantities to what kube-apiserver counts in. Its zeros are traps: maxbackup 0 keeps all
 * files for ever, and maxsize 0 means 100 MB up to 1.35 and "never rotate" from 1.36. So neither is ever rendered.
 * Source: k8s.io/apiserver pkg/server/options/audit.go and the rotation library under it (sizes are MiB there).
 */
import { parseSize } from '../api/quantity.ts';
import type { EffectiveConfig, ResolvedLog } from '../config/types.ts';
import { error, warning } from './findings.ts';
import type { RenderFinding } from './findings.ts';

const MIB = 2 ** 20;
/** A recorded response body of a large list is of this order; a larger event than maxsize fails to be written. */
const COMFORTABLE_MIB = 10;

export type Retention = {
  readonly maxAgeDays: number;
  readonly maxBackups: number;
  readonly maxSizeMiB: number;
  readonly compress: boolean;
};

/** Codes: RetentionInvalid, TotalSizeTooSmall (errors); RetentionCapped, MaxSizeRounded, MaxSizeSmall (warnings). */
export function retentionOf({ spec, provenance }: EffectiveConfig): {
  readonly retention?: Retention;
  readonly findings: readonly RenderFinding[];
} {
  const r = spec.log.retention;
  const bytes = parseSize(r.maxSize);
  const total = r.totalSize === undefined ? undefined : parseSize(r.totalSize);
  if (bytes === undefined || bytes < MIB || (r.totalSize !== undefined && total === undefined))
    return {
      findings: [
        error(
          'RetentionInvalid',
          'spec.log.retention',
          'spec.log.retention: maxSize must be at least 1Mi and totalSize a size',
        ),
      ],
    };
  const maxSizeMiB = Math.floor(bytes / MIB);
  const findings = sizeWarnings(r, bytes, maxSizeMiB);
  const fits = total === undefined ? undefined : Math.floor(total / (maxSizeMiB * MIB)) - 1;
  if (fits !== undefined && fits < 1)
    return {
      findings: [
        ...findings,
        error(
          'TotalSizeTooSmall',
          'spec.log.retention.totalSize',
          `spec.log.retention.totalSize: ${r.totalSize} has no room for the log and one rotated file of ${maxSizeMiB}Mi each: raise it, or lower maxSize`,
        ),
      ],
    };
  const chosen = provenance['log.retention.maxBackups']?.set.from !== 'BuiltIn';
  if (fits !== undefined && chosen && fits < r.maxBackups)
    findings.push(
      warning(
        'RetentionCapped',
        'spec.log.retention.maxBackups',
        `spec.log.retention.maxBackups: ${r.maxBackups} files of ${maxSizeMiB}Mi do not fit into totalSize ${r.totalSize}; ${fits} are kept`,
      ),
    );
  const wanted = chosen || fits === undefined ? r.maxBackups : fits;
  const maxBackups = Math.min(wanted, fits ?? wanted, MAX_BACKUPS);
  return {
    retention: { maxAgeDays: r.maxAgeDays, maxBackups, maxSizeMiB, compress: r.compression === 'Gzip' },
    findings,
  };
}

/** More files than this make every rotation slow: the folder is read and sorted each time. */
const MAX_BACKUPS = 10_000;

function sizeWarnings(r: ResolvedLog['retention'], bytes: number, mib: number): RenderFinding[] {
  const at = 'spec.log.retention.maxSize';
  const found: RenderFinding[] = [];
  if (bytes % MIB !== 0)
    found.push(
      warning(
        'MaxSizeRounded',
        at,
        `${at}: ${r.maxSize} is rendered as ${mib}Mi, since kube-apiserver counts in whole MiB`,
      ),
    );
  if (mib < COMFORTABLE_MIB)
    found.push(
      warning(
        'MaxSizeSmall',
        at,
        `${at}: an event larger than ${mib}Mi cannot be written; responses to large lists are of that order`,
      ),
    );
  return found;
}
