/**
 * Does an API server that was set up by hand already do what a revision wants? Then it is adopted as it stands: nothing is
 * edited and nothing restarts. Equal means: the same flags in effect (a flag that is not set counts with the API server's
 * own default), and a policy file on the host that loads as the same policy. Whoever changes that file later makes it
 * unequal, and the next plan makes the edit.
 */
import type { Minor } from '../api/versions.ts';
import { minorNumber } from '../api/versions.ts';
import { emitPolicy } from '../policy/emit.ts';
import { loadPolicy } from '../policy/load.ts';
import type { FlagValue, Revision } from '../render/types.ts';
import { sameValue } from './audit-flags.ts';
import { resolveFlags } from './host-layout.ts';
import type { HostLayout } from './host-layout.ts';
import type { HostObserved, HostPath } from './types.ts';

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

/** An API server as it is set up now. */
export type SetUp = {
  /** The audit flags in effect. */
  readonly flags: ReadonlyMap<string, string>;
  /** Where on the host a file lies that the API server sees at `path`; null where it sees no file of the host. */
  readonly hostPathOf: (path: string) => HostPath | null;
  /** It can write where the log of this revision is. */
  readonly writesLog: (to: Revision) => boolean;
};

/** Files that the flags name, on the host: what must be read to judge. */
export const namedFiles = ({ flags, hostPathOf }: Pick<SetUp, 'flags' | 'hostPathOf'>): readonly HostPath[] =>
  ['--audit-policy-file', '--audit-webhook-config-file'].flatMap((name) => {
    const value = flags.get(name);
    const path = value === undefined || value === '' ? null : hostPathOf(value);
    return path === null ? [] : [path];
  });

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
  is: SetUp,
  { seen, to }: InPlaceInput,
  which: 'policy' | 'webhook',
): boolean {
  const host = path === undefined ? null : is.hostPathOf(path);
  const file = host === null ? null : (seen.files.get(host) ?? null);
  if (file === null) return false;
  if (which === 'policy') return samePolicy(file.bytes, to);
  // One that names files was written here: by hand, its credentials would stand somewhere else.
  return to.webhook !== undefined && to.credentials === undefined && same(file.bytes, to.webhook.reveal());
}

export type InPlaceInput = { readonly to: Revision; readonly seen: HostObserved; readonly layout: HostLayout };

/** True where the API server that is set up so already does what the revision says. */
export function isInPlace(is: SetUp, input: InPlaceInput): boolean {
  const { to, layout } = input;
  const spelled = new Map(resolveFlags(to, layout).map((f) => [f.name, f.value]));
  const isSame = (name: string, value: FlagValue): boolean => {
    const now = is.flags.get(name);
    if (typeof value === 'object' && 'file' in value) return sameFile(now, is, input, value.file);
    const want = spelled.get(name) ?? '';
    if (now !== undefined) return sameValue(name, now, want);
    return to.versions.every((v) => defaultOf(name, v) === want);
  };
  return (
    [...is.flags.keys()].every((name) => spelled.has(name)) &&
    to.flags.every((f) => isSame(f.name, f.value)) &&
    is.writesLog(to)
  );
}
