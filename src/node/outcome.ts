/** How bringing a node to a revision can end. Nothing here is thrown. */
import type { Finding } from '../api/findings.ts';
import type { Digest } from '../render/types.ts';
import type { Wait } from '../rollout/turn.ts';
import type { Failure } from './state-file.ts';

export type ApplyOutcome =
  /** The node runs what was asked. */
  | {
      readonly kind: 'Settled';
      readonly current: Digest | null;
      readonly restarted: boolean;
      readonly findings: readonly Finding[];
    }
  /** Nothing was changed. */
  | { readonly kind: 'Refused'; readonly findings: readonly Finding[] }
  /** The previous manifest is back; `Inconclusive` in the failure: and the API server is not healthy either. */
  | { readonly kind: 'RolledBack'; readonly failure: Failure }
  /** This very revision was tried before, and nothing changed since. */
  | { readonly kind: 'Held'; readonly failure: Failure | null }
  /** It would have to restart the API server, and may not do so now. Nothing was changed. */
  | { readonly kind: 'NotItsTurn'; readonly wait: Wait }
  /** A file HOLD stops this node. */
  | { readonly kind: 'OnHold' }
  /** The signal came; the journal knows how to go on. */
  | { readonly kind: 'Interrupted' }
  /** Someone changed a file between plan and rename: plan again. */
  | { readonly kind: 'Overtaken'; readonly path: string }
  /** The state file is of another program or version: nothing is done. */
  | { readonly kind: 'StateUnreadable' }
  | { readonly kind: 'DiskFailed'; readonly code: string; readonly message: string };
