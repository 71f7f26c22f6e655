/**
 * One policy, both answers: what differs. Validity first, then the loaded policy, the warnings, and each decision.
 * The engine under test is handed in, so that a test can break it and see this file notice.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Decision, Policy, RequestAttributes } from '../../src/api/audit.ts';
import type { Finding } from '../../src/api/findings.ts';
import type { Minor } from '../../src/api/versions.ts';
import type { Verdict } from './judge.ts';
import type { RequestLine } from './requests.ts';
import { ourWarnings, sameWarnings, theirWarnings } from './warnings.ts';

export type Engine = {
  readonly load: (
    bytes: Uint8Array,
    version: Minor,
  ) => { readonly policy?: Policy; readonly findings: readonly Finding[] };
  readonly compile: (policy: Policy) => { readonly decide: (r: RequestAttributes) => Decision };
  readonly parse: (line: RequestLine) => RequestAttributes | Finding;
};

export type Ours = {
  readonly policy?: Policy;
  readonly findings: readonly Finding[];
  /** The engine threw: a bug whatever the judge says. */
  readonly thrown?: string;
};

export type Difference = {
  readonly kind: 'Threw' | 'AcceptedByUs' | 'RefusedByUs' | 'Policy' | 'Warnings' | 'Decision';
  readonly ours: unknown;
  readonly theirs: unknown;
  readonly request?: RequestLine;
};

const trace = (e: unknown): string => (e instanceof Error ? (e.stack ?? e.message) : String(e));

export function loadOurs(engine: Engine, bytes: Uint8Array, version: Minor): Ours {
  try {
    return engine.load(bytes, version);
  } catch (e) {
    return { findings: [], thrown: trace(e) };
  }
}

function validity(ours: Ours, theirs: Verdict): Difference | undefined {
  if (ours.thrown !== undefined) return { kind: 'Threw', ours: ours.thrown, theirs: theirs.error ?? 'loads' };
  if (ours.policy !== undefined && theirs.policy === undefined)
    return { kind: 'AcceptedByUs', ours: ours.findings.map((f) => f.code), theirs: theirs.error };
  if (ours.policy === undefined && theirs.policy !== undefined) {
    const errors = ours.findings.filter((f) => f.severity === 'error');
    return { kind: 'RefusedByUs', ours: errors.map((f) => `${f.code}: ${f.message}`), theirs: 'loads' };
  }
  return undefined;
}

function decisions(
  engine: Engine,
  policy: Policy,
  lines: readonly RequestLine[],
  theirs: Verdict,
): Difference | undefined {
  const compiled = engine.compile(policy);
  for (const [i, request] of lines.entries()) {
    const parsed = engine.parse(request);
    const mine = 'kind' in parsed ? compiled.decide(parsed) : parsed;
    const judged = theirs.decisions?.[i];
    if (!isDeepStrictEqual(mine, judged)) return { kind: 'Decision', ours: mine, theirs: judged, request };
  }
  return undefined;
}

/** The first difference; undefined where both say the same. `lines` are the requests that the judge was asked. */
export function difference(
  engine: Engine,
  ours: Ours,
  theirs: Verdict,
  lines: readonly RequestLine[],
): Difference | undefined {
  const invalid = validity(ours, theirs);
  if (invalid !== undefined || ours.policy === undefined) return invalid;
  if (!isDeepStrictEqual(ours.policy, theirs.policy))
    return { kind: 'Policy', ours: ours.policy, theirs: theirs.policy };
  const [mine, judged] = [ourWarnings(ours.findings), theirWarnings(theirs.warnings ?? [])];
  if (!sameWarnings(mine, judged)) return { kind: 'Warnings', ours: mine, theirs: judged };
  try {
    return decisions(engine, ours.policy, lines, theirs);
  } catch (e) {
    return { kind: 'Threw', ours: trace(e), theirs: 'loads' };
  }
}
