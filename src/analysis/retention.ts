/**
 * How long the log is really kept: how far back the files on disk reach, how fast they grow, and so for how many days
 * the settings hold. kube-apiserver deletes by age and by number of files, whichever comes first, so `maxAgeDays: 30`
 * promises nothing. Pure arithmetic over names and sizes; src/agent/retention.ts reads them.
 */

const DAY_MS = 86_400_000;
const MIB = 2 ** 20;

export type RotatedFile = {
  /** When it was rotated: the time of its last event at the latest. Milliseconds since the epoch. */
  readonly rotatedAt: number;
  readonly gzip: boolean;
  readonly bytes: number;
};

/** As in the API server's flags. 0 for age or number: no such limit. */
export type RetentionLimits = { readonly maxAgeDays: number; readonly maxBackups: number; readonly maxSizeMiB: number };

export type LogFiles = {
  readonly rotated: readonly RotatedFile[];
  /** Of the file that is being written. */
  readonly currentBytes: number;
  /** Time of the oldest event on disk, in ms since the epoch; undefined: there is none, or it cannot be told. */
  readonly oldestAt: number | undefined;
};

export type Measured = {
  /** Whole days for which the settings keep events at this rate. Undefined: too young to tell. */
  readonly days?: number;
  readonly bytesPerDay?: number;
};

/** A log that is younger has not seen one whole day: nights and backups are not in its rate. */
const YOUNG_MS = DAY_MS;
/** Beyond this a number of days means nothing, and the API does not take it. */
const MAX_DAYS = 36_500;

/**
 * Compressed files count with what they held, which is maxSize: rotation goes by that. What is left right after the
 * oldest file was deleted is maxBackups full files; the one being written may be empty then and does not count.
 */
export function measureRetention(files: LogFiles, limits: RetentionLimits, now: number): Measured {
  const { rotated, oldestAt } = files;
  if (oldestAt === undefined) return {};
  const span = now - oldestAt;
  const fileBytes = limits.maxSizeMiB * MIB;
  const full = limits.maxBackups > 0 && rotated.length >= limits.maxBackups;
  // Files are deleted already: however young it is, it will not get older than this.
  if (span <= 0 || (span < YOUNG_MS && !full)) return {};
  const bytes = rotated.reduce((sum, f) => sum + (f.gzip ? Math.max(fileBytes, f.bytes) : f.bytes), files.currentBytes);
  const bytesPerDay = (bytes / span) * DAY_MS;
  const byNumber =
    limits.maxBackups === 0 || bytesPerDay === 0 ? Infinity : (limits.maxBackups * fileBytes) / bytesPerDay;
  const byAge = limits.maxAgeDays === 0 ? Infinity : limits.maxAgeDays;
  return { days: Math.min(MAX_DAYS, Math.floor(Math.min(byNumber, byAge))), bytesPerDay: Math.round(bytesPerDay) };
}
