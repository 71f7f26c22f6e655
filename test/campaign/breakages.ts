/** All rows of the campaign, kind by kind. */
import { CONCURRENCY } from './concurrency.ts';
import { CRASHES } from './crashes.ts';
import { FILES_AND_DISKS } from './files-and-disks.ts';
import { NETWORK } from './network.ts';
import { POLICY_AND_FLAGS } from './policy-and-flags.ts';
import type { Breakage } from './types.ts';

const ALL: readonly Breakage[] = [...POLICY_AND_FLAGS, ...FILES_AND_DISKS, ...CRASHES, ...NETWORK, ...CONCURRENCY];

/** Rows whose healing is the repair of drift, which this branch does not have yet. */
const AWAIT_DRIFT: ReadonlySet<string> = new Set([
  'flags-set-by-hand',
  'flags-taken-out-by-hand',
  'mount-taken-out-by-hand',
  'policy-file-cut-off',
  'revision-folder-deleted',
  'revision-folder-deleted-without-an-agent',
  'edited-at-the-rename',
  'one-api-server-is-away',
  'upgrade-in-mid-rollout',
  'ansible-rewrites-all-manifests',
]);

export const BREAKAGES: readonly Breakage[] = ALL.filter((b) => !AWAIT_DRIFT.has(b.id));
