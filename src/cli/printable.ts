/**
 * Words that others wrote, for a terminal: control characters and text that changes direction are shown as escapes, so that
 * a user agent in a log, a field of a tenant's AuditConfig or the last words of an API server cannot draw there. Used by
 * whatever prints for people; JSON has escapes of its own.
 */
export const printable = (s: string): string =>
  s.replace(
    /[\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/gu,
    (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`,
  );

/** The same of words of several lines, which stay lines; those after the first are indented. */
export const printableLines = (s: string): string => s.split('\n').map(printable).join('\n  ');
