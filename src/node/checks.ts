/**
 * Before anything is touched: small named rules in a fixed order, each with a reason code. A node trusts nothing but what
 * it checked itself: a bundle came over an API that others may write to. A refusal changes no file. What only the
 * manifest can tell (second definition, mounts, log path) the target refuses in its plan.
 */
import type { Finding } from '../api/findings.ts';
import { hasErrors } from '../api/findings.ts';
import type { Minor } from '../api/versions.ts';
import type { Health } from '../host/probe.ts';
import { loadPolicy } from '../policy/load.ts';
import { digestOf } from '../render/digest.ts';
import { KNOWN_FLAGS } from '../render/flags.ts';
import type { Revision } from '../render/types.ts';
import { UNKNOWN_PORT } from '../targets/server.ts';
import type { ServerView } from '../targets/server.ts';
import { isOpen } from '../targets/variables.ts';

export type CheckFacts = {
  readonly to: Revision;
  /** Of the API server that runs on this node; null where it is not known. */
  readonly version: Minor | null;
  readonly server: ServerView;
  readonly health: Health;
  readonly hasCredentials: boolean;
  /** Bytes that the log may take, those that it has taken included (room.ts); null: unknown, or there is no log file. */
  readonly roomBytes: number | null;
};

export type Check = (f: CheckFacts) => readonly Finding[];

/** Where no API server runs yet. */
export type RevisionFacts = Pick<CheckFacts, 'to' | 'version' | 'roomBytes'>;
export type RevisionCheck = (f: RevisionFacts) => readonly Finding[];

const refuse = (code: string, message: string, path = ''): readonly Finding[] => [
  { severity: 'error', code, message, path },
];

/** Someone changed the bundle on its way, or it is another one than was asked for. */
const digestMatches: RevisionCheck = ({ to }) =>
  digestOf(to) === to.digest
    ? []
    : refuse('DigestMismatch', 'The content of the revision is not what its digest says.');

/** Flags are arguments of a root process: only audit flags, only those that this program renders, only such values. */
const onlyKnownFlags: RevisionCheck = ({ to }) =>
  to.flags.flatMap((f) => {
    const known = Object.hasOwn(KNOWN_FLAGS, f.name) ? KNOWN_FLAGS[f.name] : undefined;
    if (known === undefined)
      return refuse('FlagUnknown', `${f.name} is not an audit flag that a revision may set.`, f.name);
    const fits =
      typeof f.value === 'string'
        ? (known instanceof RegExp && known.test(f.value)) || (known === 'log' && f.value === '-')
        : known === ('file' in f.value ? 'file' : 'log');
    return fits ? [] : refuse('FlagValueInvalid', `${f.name} has a value that a revision may not set.`, f.name);
  });

/** A log's name stays inside the log's folder. */
const logStaysInFolder: RevisionCheck = ({ to }) =>
  to.flags.flatMap((f) =>
    typeof f.value === 'object' && 'dir' in f.value && !/^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(f.value.name)
      ? refuse('LogPathInvalid', 'The name of the log file is not a plain file name.', f.name)
      : [],
  );

/** What this very API server would refuse to start with. */
const policyLoads: RevisionCheck = ({ to, version }) =>
  [...new Set([...to.versions, ...(version === null ? [] : [version])])].flatMap((v) => {
    const { findings } = loadPolicy(to.policy, v);
    if (!hasErrors(findings)) return [];
    const first = findings.find((f) => f.severity === 'error');
    const detail = to.confidential || first === undefined ? '' : `: ${first.message}`;
    return refuse('PolicyDoesNotLoad', `A kube-apiserver ${v} would not start with this policy${detail}`);
  });

/** An address that holds a variable of the kubelet's is asked in vain, and each change of a healthy API server taken back. */
const knowsAddress: Check = ({ server: { address } }) =>
  address.port !== UNKNOWN_PORT && !isOpen(address.host)
    ? []
    : refuse(
        'AddressUnknown',
        'Where the API server listens cannot be told from its manifest, so it cannot be seen to become ready: write --bind-address and --secure-port without variables.',
      );

/** Whoever cannot see an API server become ready would always go back. */
const canProbe: Check = ({ server, health, hasCredentials }) =>
  hasCredentials || (server.anonymous && health !== 'Forbidden')
    ? []
    : refuse(
        'CannotProbe',
        'The API server answers no anonymous request, so it cannot be seen to become ready; give the agent credentials for /readyz.',
      );

const MIB = 1024 * 1024;

const numberOf = (to: Revision, name: string): number => {
  const value = to.flags.find((f) => f.name === name)?.value;
  return typeof value === 'string' ? Number(value) : 0;
};

/** A full disk stops more than the log. Unlimited backups (0) are only held to one file. */
const roomForLog: RevisionCheck = ({ to, roomBytes }) => {
  if (roomBytes === null || to.logDir === undefined) return [];
  const need = numberOf(to, '--audit-log-maxsize') * (numberOf(to, '--audit-log-maxbackup') + 1) * MIB;
  if (need <= roomBytes) return [];
  const [asked, free] = [need, roomBytes].map((b) => `${Math.ceil(b / MIB)} MiB`);
  return refuse('NoRoomForLog', `The log may grow to ${asked}, and ${to.logDir} has room for ${free}.`);
};

export const CHECKS: readonly Check[] = [
  digestMatches,
  onlyKnownFlags,
  logStaysInFolder,
  policyLoads,
  knowsAddress,
  canProbe,
  roomForLog,
];

/** Those that need no API server: what `prestage` asks before one starts. */
export const REVISION_CHECKS: readonly RevisionCheck[] = [
  digestMatches,
  onlyKnownFlags,
  logStaysInFolder,
  policyLoads,
  roomForLog,
];

/** Every rule's word, in order. */
export const runChecks = <F>(checks: readonly ((f: F) => readonly Finding[])[], facts: F): readonly Finding[] =>
  checks.flatMap((check) => check(facts));
