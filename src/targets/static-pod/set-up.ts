/** What a manifest sets up, as far as adoption asks (../in-place.ts). */
import { inEffect } from '../audit-flags.ts';
import type { SetUp } from '../in-place.ts';
import { readFlags } from './flags.ts';
import type { Manifest } from './manifest.ts';
import { hostPathOf, showsLogFolder } from './mounts.ts';

/** null where the flags cannot be read, or not as whoever wrote them meant it. */
export function setUpOf(m: Manifest): SetUp | null {
  const flags = readFlags(m);
  if ('refused' in flags || flags.ok.findings.length > 0) return null;
  return {
    flags: inEffect(flags.ok.found),
    hostPathOf: (path) => hostPathOf(m, path),
    writesLog: (to) => showsLogFolder(m, to),
  };
}
