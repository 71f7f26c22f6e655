/**
 * Warnings of both sides, held against each other. The API server logs `unknown field "rules[0].foo"` (each path once,
 * at most 100), `duplicate field "rules[0].level"` for JSON, and for YAML one sentence that lists `line 7: key "level"
 * already set in map`: there the place is that of the value, so only the keys are compared. Ours are findings.
 */
import type { Finding } from '../../src/api/findings.ts';

export type Warnings = {
  readonly unknown: readonly string[];
  /** Paths; for the API server's YAML warnings only the last key, after a `*`. */
  readonly duplicate: readonly string[];
};

/** The API server stops counting here (sigs.k8s.io/json). */
const LIMIT = 100;

const ESCAPES: Readonly<Record<string, string>> = {
  ...{ a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v', '\\': '\\', '"': '"' },
};

/** What Go's strconv.Quote quoted. */
export function goUnquoted(quoted: string): string {
  return quoted.slice(1, -1).replace(/\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)/g, (escape) => {
    const [, kind = '', ...digits] = escape;
    if (digits.length === 0) return ESCAPES[kind] ?? kind;
    return String.fromCodePoint(Number.parseInt(digits.join(''), 16));
  });
}

const YAML_KEY = /^ {2}line \d+: key (.*) already set in map$/gm;

export function theirWarnings(warnings: readonly string[]): Warnings {
  const unknown: string[] = [];
  const duplicate: string[] = [];
  for (const w of warnings) {
    const field = /^(unknown|duplicate) field (".*")$/.exec(w);
    if (field === null) for (const m of w.matchAll(YAML_KEY)) duplicate.push(`*${m[1] ?? ''}`);
    else (field[1] === 'unknown' ? unknown : duplicate).push(goUnquoted(field[2] ?? ''));
  }
  return { unknown: unknown.sort(), duplicate: duplicate.sort() };
}

export function ourWarnings(findings: readonly Finding[]): Warnings {
  const paths = (code: string): string[] =>
    findings.filter((f) => f.severity === 'warning' && f.code === code).map((f) => f.path);
  return {
    unknown: [...new Set(paths('UnknownField'))].sort(),
    duplicate: [...new Set(paths('DuplicateField'))].sort(),
  };
}

/** Whether a path of ours ends in the key that a YAML warning names. Keys that are no strings are not compared. */
function endsIn(path: string, key: string): boolean {
  if (!key.startsWith('"')) return true;
  const name = goUnquoted(key);
  return path === name || path.endsWith(`.${name}`);
}

/**
 * JSON: the same paths. YAML: the same keys, each at least once on both sides. The API server counts a key again each
 * time it decodes an alias; we name each place once.
 */
function sameDuplicates(ours: readonly string[], theirs: readonly string[]): boolean {
  if (!theirs.some((t) => t.startsWith('*')))
    return ours.length === theirs.length && ours.every((path, i) => path === theirs[i]);
  const keys = theirs.map((t) => t.slice(1));
  return (
    keys.every((key) => ours.some((path) => endsIn(path, key))) &&
    ours.every((path) => keys.some((key) => endsIn(path, key)))
  );
}

export function sameWarnings(ours: Warnings, theirs: Warnings): boolean {
  const unknown =
    theirs.unknown.length + theirs.duplicate.filter((d) => !d.startsWith('*')).length >= LIMIT
      ? theirs.unknown.every((p) => ours.unknown.includes(p))
      : ours.unknown.length === theirs.unknown.length && ours.unknown.every((p, i) => p === theirs.unknown[i]);
  return unknown && (theirs.duplicate.length >= LIMIT || sameDuplicates(ours.duplicate, theirs.duplicate));
}
