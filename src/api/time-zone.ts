/** Is it a time zone that this runtime knows, such as `UTC` or `Europe/Berlin`? CEL cannot tell; the controller can. */
export function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
