/**
 * A revision whose webhook blocks requests has a twin: the same but for --audit-webhook-mode=batch, with a digest of its own.
 * An agent keeps it at hand, since a receiver that dies takes the API away that it could be asked for. Every batch flag is
 * rendered in every mode, so the twin needs nothing that the revision does not hold. Called by the agent.
 */
import { digestOf } from './digest.ts';
import type { Revision } from './types.ts';

const MODE = '--audit-webhook-mode';

/** Undefined for a revision whose webhook blocks nothing. */
export function batchTwin(revision: Revision): Revision | undefined {
  const mode = revision.flags.find((f) => f.name === MODE)?.value;
  if (mode === undefined || mode === 'batch') return undefined;
  const flags = revision.flags.map((f) => (f.name === MODE ? { ...f, value: 'batch' } : f));
  return { ...revision, flags, digest: digestOf({ ...revision, flags }) };
}
