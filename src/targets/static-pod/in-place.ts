/**
 * Does a manifest that was set up by hand already do what a revision wants? Then it is adopted as it stands: nothing is
 * edited and nothing restarts. Equal means: the same flags in effect (a flag that is not set counts with the API server's
 * own default), and a policy file on the host that loads as the same policy. Whoever changes that file later makes it
 * unequal, and the next plan makes the edit.
 */
import type { Minor } from '../../api/versions.ts';
import { minorNumber } from '../../api/versions.ts';
import { emitPolicy } from '../../policy/emit.ts';
import { loadPolicy } from '../../policy/load.ts';
import type { FlagValue, Revision } from '../../render/types.ts';
import { resolveFlags } from '../host-layout.ts';
import type { HostLayout } from '../host-layout.ts';
import type { HostObserved } from '../types.ts';
import { inEffect, readFlags, sameValue } from './flags.ts';
import type { Manifest } from './manifest.ts';
import { hostPathOf, showsLogFolder } from './mounts.ts';

/** Defaults of k8s.io/apiserver pkg/server/options/audit.go, the same in 1.26 to 1.36 but for the three below. */
const LOG_DEFAULTS: Readonly<Record<string, string>> = {
  '--audit-log-compress': 'false',
  '--audit-log-format': 'json',
  '--audit-log-version': 'audit.k8s.io/v1',
  '--audit-log-mode': 'blocking',
  '--audit-log-batch-buffer-size': '10000',
  '--audit-log-batch-max-size': '1',
  '--audit-log-batch-max-wait': '0s',
  '--audit-log-batch-throttle-enable': 'false',
  '--audit-log-batch-throttle-qps': '0',
  '--audit-log-batch-throttle-burst': '0',
  '--audit-log-truncate-enabled': 'false',
  '--audit-log-truncate-max-batch-size': '10485760',
  '--audit-log-truncate-max-event-size': '102400',
  // Up to 1.35 the flag's default is 0, which rotates at 100 MB all the same.
  '--audit-log-maxsize': '100',
};

function defaultOf(name: string, version: Minor): string | undefined {
  const isNew = minorNumber(version) >= 36;
  if (name === '--audit-log-maxage') return isNew ? '366' : '0';
  if (name === '--audit-log-maxbackup') return isNew ? '100' : '0';
  return LOG_DEFAULTS[name];
}

/** Files that the manifest's flags name, on the host: what must be read to judge. */
export function namedFiles(m: Manifest): readonly string[] {
  const flags = readFlags(m);
  const now = 'ok' in flags ? inEffect(flags.ok.found) : new Map<string, string>();
  return ['--audit-policy-file', '--audit-webhook-config-file'].flatMap((name) => {
    const value = now.get(name);
    const path = value === undefined ? null : hostPathOf(m, value);
    return path === null ? [] : [path];
  });
}

const same = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((x, i) => x === b[i]);

/** Both as the API server of each version would load them. */
function samePolicy(file: Uint8Array, to: Revision): boolean {
  return to.versions.every((v) => {
    const [is, want] = [loadPolicy(file, v).policy, loadPolicy(to.policy, v).policy];
    return is !== undefined && want !== undefined && same(emitPolicy(is), emitPolicy(want));
  });
}

function sameFile(
  path: string | undefined,
  m: Manifest,
  seen: HostObserved,
  wanted: { to: Revision; file: 'policy' | 'webhook' },
): boolean {
  const host = path === undefined ? null : hostPathOf(m, path);
  const file = host === null ? null : (seen.files.get(host) ?? null);
  if (file === null) return false;
  if (wanted.file === 'policy') return samePolicy(file.bytes, wanted.to);
  return wanted.to.webhook !== undefined && same(file.bytes, wanted.to.webhook.reveal());
}

export type InPlaceInput = { readonly to: Revision; readonly seen: HostObserved; readonly layout: HostLayout };

/** True where the API server that runs from this manifest already does what the revision says. */
export function isInPlace(m: Manifest, { to, seen, layout }: InPlaceInput): boolean {
  const flags = readFlags(m);
  if ('refused' in flags || flags.ok.findings.length > 0) return false;
  const now = inEffect(flags.ok.found);
  const spelled = new Map(resolveFlags(to, layout).map((f) => [f.name, f.value]));
  const isSame = (name: string, value: FlagValue): boolean => {
    const is = now.get(name);
    if (typeof value === 'object' && 'file' in value) return sameFile(is, m, seen, { to, file: value.file });
    const want = spelled.get(name) ?? '';
    if (is !== undefined) return sameValue(name, is, want);
    return to.versions.every((v) => defaultOf(name, v) === want);
  };
  return (
    [...now.keys()].every((name) => spelled.has(name)) &&
    to.flags.every((f) => isSame(f.name, f.value)) &&
    showsLogFolder(m, to)
  );
}
