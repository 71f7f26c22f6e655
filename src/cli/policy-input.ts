/**
 * What lint, explain and evaluate share: the policy that a flag names, the Kubernetes version to read it for, and how a
 * finding is printed. A policy that an API server would not load is a value here, with its findings, never an exception.
 */
import type { Policy } from '../api/audit.ts';
import type { Finding } from '../api/findings.ts';
import { isTested, NEWEST, OLDEST, parseMinor } from '../api/versions.ts';
import type { Minor } from '../api/versions.ts';
import { loadPolicy } from '../policy/load.ts';
import type { Loaded } from '../policy/types.ts';
import { printable } from './printable.ts';
import type { CommandResult, Io } from './types.ts';

/**
 * The version asked for, or a usage error. Versions before 1.26 read policies in other ways; what later ones than the
 * newest will do nobody knows, and a guess is no verdict.
 */
export function versionOf(text: string | undefined): Minor | CommandResult {
  const version = parseMinor(text ?? NEWEST);
  return version !== undefined && isTested(version)
    ? version
    : usage(`--kubernetes-version must be from ${OLDEST} to ${NEWEST}, not '${text ?? ''}'`);
}

export const usage = (message: string): CommandResult => ({ code: 2, stderr: `error: ${message}\n` });

const NOT_READ: Readonly<Record<string, (path: string) => string>> = {
  ENOENT: (path) => `there is no file ${path}`,
  ENOTDIR: (path) => `there is no file ${path}: what should be a folder on the way there is none`,
  EISDIR: (path) => `${path} is a folder, and not a file`,
  EACCES: (path) => `this user may not read ${path}`,
  EPERM: (path) => `this user may not read ${path}`,
  ERR_FS_FILE_TOO_LARGE: (path) => `${path} is too large to be read`,
};

/** Why a file was not read. The system's own words name a function, and of a folder not even the path. */
export function whyNotRead(path: string, e: unknown): string {
  if (!(e instanceof Error)) return String(e);
  const code = 'code' in e ? String(e.code) : '';
  const said = NOT_READ[code]?.(path === '-' ? 'standard input' : path);
  return said === undefined ? `cannot read ${path}: ${e.message}` : `${said} (${code})`;
}

/** Bytes of a file, or the sentence that says why not: `unreadableInput` makes the result of it. */
export async function readInput(path: string, io: Io): Promise<{ bytes: Uint8Array } | { unreadable: string }> {
  try {
    return { bytes: await io.readFile(path) };
  } catch (e) {
    return { unreadable: whyNotRead(path, e) };
  }
}

/**
 * A file that cannot be read, whichever flag names it: 1, as with any input that is not what it should be. 2 is for the
 * command line itself.
 */
export const unreadableInput = (why: string): CommandResult => ({ code: 1, stderr: `error: ${why}\n` });

/** `file:line:column: severity Code: message`; the place is left out where there is none. */
export function findingText(file: string, f: Finding): string {
  const at = f.at === undefined ? '' : `:${f.at.line}:${f.at.column}`;
  return `${file === '-' ? '<stdin>' : file}${at}: ${f.severity} ${f.code}: ${printable(f.message)}`;
}

/** Both must be there, so that a policy that mentions an AuditConfig in a comment stays a policy. */
export function isOurs(bytes: Uint8Array): boolean {
  const text = new TextDecoder().decode(bytes);
  return text.includes('auditconfig.dev/') && /^[^#\n]*\bkind"?\s*:\s*["']?(?:Datacenter)?AuditConfig\b/m.test(text);
}

/** A policy that loads, and where its fields stand. */
export type PolicyFile = { readonly policy: Policy; readonly positions: Loaded['positions'] };

/** The policy of a file, or the result with which the command ends: 1 where an API server would not load it. */
export async function policyFrom(path: string, version: Minor, io: Io): Promise<PolicyFile | CommandResult> {
  const input = await readInput(path, io);
  if ('unreadable' in input) return unreadableInput(input.unreadable);
  const { policy, findings, positions } = loadPolicy(input.bytes, version);
  if (policy !== undefined) return { policy, positions };
  const errors = findings.filter((f) => f.severity === 'error').map((f) => `${findingText(path, f)}\n`);
  const instead = isOurs(input.bytes)
    ? `${path} holds an AuditConfig, and a policy is needed: auditconfig render -f ${path} -o policy prints it`
    : `a kube-apiserver ${version} would not load ${path}`;
  return { code: 1, stderr: `${errors.join('')}error: ${instead}\n` };
}

/** Tells a result from the value that was asked for. */
export const isResult = (v: object | string): v is CommandResult => typeof v === 'object' && 'code' in v;
