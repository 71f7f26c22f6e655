/** What a disk refuses is an outcome, not a bug: told from all other errors by its errno. Called by src/node. */

/** The errno of what a disk refused; null for anything else, which is a bug. */
export const diskCode = (e: unknown): string | null =>
  e instanceof Error && 'code' in e && typeof e.code === 'string' && /^E[A-Z0-9]+$/.test(e.code) ? e.code : null;
