/** All rows of the campaign, kind by kind. */
import { CONCURRENCY } from './concurrency.ts';
import { CRASHES } from './crashes.ts';
import { FILES_AND_DISKS } from './files-and-disks.ts';
import { NETWORK } from './network.ts';
import { POLICY_AND_FLAGS } from './policy-and-flags.ts';
import type { Breakage } from './types.ts';

export const BREAKAGES: readonly Breakage[] = [
  ...POLICY_AND_FLAGS,
  ...FILES_AND_DISKS,
  ...CRASHES,
  ...NETWORK,
  ...CONCURRENCY,
];
