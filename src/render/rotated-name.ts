/**
 * What rotation calls the files of a log, as kube-apiserver does it: whoever asks which files in a folder are the log's asks
 * here. Source: the rotation library under k8s.io/apiserver (lumberjack), which takes the last dot for the extension's.
 */

/** The moment in a rotated file's name (`audit-2006-01-02T15-04-05.000.log`, perhaps with `.gz`); UTC, in ms. */
export function rotatedName(
  name: string,
  log: string,
): { readonly rotatedAt: number; readonly gzip: boolean } | undefined {
  const dot = log.lastIndexOf('.');
  const [stem, extension] = dot < 0 ? [log, ''] : [log.slice(0, dot), log.slice(dot)];
  const gzip = name.endsWith('.gz');
  const plain = gzip ? name.slice(0, -3) : name;
  if (!plain.startsWith(`${stem}-`) || !plain.endsWith(extension)) return undefined;
  const stamp = plain.slice(stem.length + 1, plain.length - extension.length);
  const m = /^(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d\.\d{3})$/.exec(stamp);
  if (m === null) return undefined;
  const rotatedAt = Date.parse(`${m[1]}T${m[2]}:${m[3]}:${m[4]}Z`);
  return Number.isNaN(rotatedAt) ? undefined : { rotatedAt, gzip };
}

/** The log itself, or a file that its rotation made, and will delete. */
export const isOfLog = (name: string, log: string): boolean => name === log || rotatedName(name, log) !== undefined;
