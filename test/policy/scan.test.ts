/** The byte scanner against JSON.parse and parseRequestLine, which are the reference. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePolicy } from '../../src/policy/evaluate.ts';
import { isRequest, parseRequestLine } from '../../src/policy/request.ts';
import { LineScanner, SLACK } from '../../src/policy/engine/scan.ts';
import type { Policy, RequestAttributes } from '../../src/api/audit.ts';
import { arbPolicy, arbRequest } from './arbitrary.ts';
import { policyOf, ruleOf } from './make.ts';

function bytesOf(line: string): Uint8Array {
  const text = new TextEncoder().encode(`${line}\n`);
  const bytes = new Uint8Array(text.length + SLACK);
  bytes.set(text);
  return bytes;
}

/** What the scanner decides: undefined where it leaves the line to JSON.parse. */
function scanned(policy: Policy, line: string): number | undefined {
  const compiled = compilePolicy(policy);
  const scanner = new LineScanner(compiled.tables);
  const bytes = bytesOf(line);
  scanner.readFrom(bytes);
  const end = scanner.scan(0);
  if (end < 0) return undefined;
  expect(end).toBe(bytes.length - SLACK - 1);
  return compiled.find(scanner.query);
}

/** What the reference decides: undefined where it is no request line. */
function referred(policy: Policy, line: string): number | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  const r = parseRequestLine(value);
  return isRequest(r) ? (compilePolicy(policy).decide(r).rule ?? policy.rules.length) : undefined;
}

type Spec = Record<string, unknown>;
function specOf({ kind, user, groups, ...rest }: RequestAttributes): Spec {
  return {
    ...(user === undefined ? {} : { user }),
    groups,
    [kind === 'Resource' ? 'resourceAttributes' : 'nonResourceAttributes']: rest,
  };
}

/** Leaves fields out and turns their order around, as other serialisers do. */
const arbSpec: fc.Arbitrary<Spec> = fc
  .tuple(arbRequest.map(specOf), fc.array(fc.nat(20), { maxLength: 3 }), fc.boolean())
  .map(([spec, leaveOut, turn]) => shape(spec, leaveOut, turn));

function shape(fields: Spec, leaveOut: readonly number[], turn: boolean): Spec {
  const kept = Object.entries(fields).filter(([, v], i) => !leaveOut.includes(i) || typeof v === 'object');
  const shaped = kept.map(([k, v]): [string, unknown] => [
    k,
    k.endsWith('Attributes')
      ? shape(
          v as Spec,
          leaveOut.map((n) => n - 4),
          turn,
        )
      : v,
  ]);
  return Object.fromEntries(turn ? shaped.reverse() : shaped);
}

const arbEdit = fc.tuple(
  fc.double({ min: 0, max: 0.999, noNaN: true }),
  fc.nat(2),
  fc.constantFrom(
    '"',
    '\\',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    ' ',
    '\t',
    'é',
    'null',
    '1',
    '""',
    '\u0000',
    '\u007f',
    'user',
    '"user":"x",',
    '"groups":[],',
    '\\u0061',
    '"verb":"get",',
    '\r',
    '😀',
    '\\ud800',
  ),
);

function edited(line: string, edits: readonly (readonly [number, number, string])[]): string {
  return edits.reduce((s, [where, cut, insert]) => {
    const at = Math.floor(where * s.length);
    return s.slice(0, at) + insert + s.slice(at + cut);
  }, line);
}

describe('the byte scanner', () => {
  it('reads every plainly written line as the reference does', () => {
    fc.assert(
      fc.property(arbPolicy(), arbSpec, (policy, spec) => {
        const line = JSON.stringify(spec);
        const plain = /^[\x20-\x7e]*$/.test(line) && !line.includes('\\');
        const got = scanned(policy, line);
        if (plain) expect(got).not.toBe(undefined);
        if (got !== undefined) expect(got).toBe(referred(policy, line));
      }),
      { numRuns: 1000 },
    );
  });

  it('never reads a damaged line in another way than the reference', () => {
    fc.assert(
      fc.property(arbPolicy(4), arbSpec, fc.array(arbEdit, { minLength: 1, maxLength: 3 }), (policy, spec, edits) => {
        const line = edited(JSON.stringify(spec), edits).replaceAll('\n', '');
        const got = scanned(policy, line);
        if (got !== undefined) expect(got).toBe(referred(policy, line));
      }),
      { numRuns: 3000 },
    );
  });

  const policy = policyOf(ruleOf({ users: ['a'] }), ruleOf({ namespaces: [''] }), ruleOf({ nonResourceURLs: ['*'] }));
  const rest = '"resourceAttributes":{"verb":"get"}';
  it.each([
    ['white space', `{"user":"a", ${rest}}`],
    ['a field twice', `{"user":"b","user":"a",${rest}}`],
    ['an unknown field', `{"usr":"a",${rest}}`],
    ['null', `{"user":null,${rest}}`],
    ['an escape', `{"user":"\\u0061",${rest}}`],
    ['non-ASCII bytes', `{"user":"ä",${rest}}`],
    ['a control character', `{"user":"\u0001",${rest}}`],
    ['both kinds of attributes', `{${rest},"nonResourceAttributes":{"path":"/","verb":"get"}}`],
    ['the same attributes twice', `{${rest},${rest}}`],
    ['no attributes', '{"user":"a"}'],
    ['an empty object', '{}'],
    ['something behind the end', `{${rest}} `],
    ['a carriage return', `{${rest}}\r`],
    ['a number for a user', `{"user":1,${rest}}`],
    ['a trailing comma', `{${rest},}`],
    ['nothing', ''],
    ['half a line', '{"user":"a","resourceAttributes":{"verb":"ge'],
  ])('leaves %s to JSON.parse', (_, line) => {
    expect(scanned(policy, line)).toBe(undefined);
  });

  it('knows a missing user from an empty one, and a missing namespace as none', () => {
    const users = policyOf(ruleOf({ users: [''] }), ruleOf({ userGroups: ['g'] }), ruleOf({ namespaces: [''] }));
    expect(scanned(users, `{"user":"",${rest}}`)).toBe(0);
    expect(scanned(users, `{"groups":["g"],${rest}}`)).toBe(2);
    expect(scanned(users, `{${rest},"groups":["g"],"user":"x"}`)).toBe(1);
    expect(scanned(users, `{${rest.replace('}', ',"namespace":"n"}')}}`)).toBe(3);
  });
});
