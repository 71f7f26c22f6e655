/**
 * Bytes to policy, as kube-apiserver's LoadPolicyFromBytes (k8s.io/apiserver pkg/audit/policy/reader.go) loads them: a
 * policy comes out exactly where an API server of that version would start with it. What it only logs (unknown and
 * duplicate fields) is a warning; what it passes over in silence (a second document) is one too.
 */
import type { Policy } from '../api/audit.ts';
import type { Finding, Position } from '../api/findings.ts';
import type { Minor } from '../api/versions.ts';
import { convertYaml } from '../yaml/convert.ts';
import { readJson } from '../yaml/json.ts';
import { readYaml } from '../yaml/read.ts';
import type { Value } from '../yaml/value.ts';
import { decodeGo } from './load/decode.ts';
import { POLICY } from './load/types.ts';
import { checkKind } from './load/kind.ts';
import { policyOf, rawPolicyOf } from './load/policy.ts';
import type { RawPolicy } from './load/policy.ts';
import type { Loaded } from './types.ts';
import { validatePolicy } from './load/validate.ts';

const NOWHERE: ReadonlyMap<string, Position> = new Map();
const START: Position = { offset: 0, line: 1, column: 1 };
/** No object in etcd holds 2 MiB, and a reader of hostile input needs an end. */
const MAX_BYTES = 16 * 1024 * 1024;
const PROTOBUF = [0x6b, 0x38, 0x73, 0x00];

/** The first document as JSON. Severity error means that there is none. */
type Document = { readonly value?: Value; readonly findings: readonly Finding[]; readonly json: boolean };

/** unicode.IsSpace. */
const SPACE = /^[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*\{/;

/** The API server takes the JSON decoder where the first character that is no Unicode space is `{`. */
function looksLikeJson(bytes: Uint8Array): boolean {
  let end = 0;
  while (end < bytes.length && bytes[end] !== 0x7b) end++;
  if (end === bytes.length) return false;
  return SPACE.test(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(0, end + 1)));
}

function readDocument(bytes: Uint8Array): Document {
  if (bytes.length > MAX_BYTES) {
    const message = `a policy of ${bytes.length} bytes is not read here: the limit is ${MAX_BYTES}`;
    return { findings: [{ severity: 'error', code: 'PolicyFileTooLarge', message, path: '', at: START }], json: false };
  }
  if (looksLikeJson(bytes)) return { ...readJson(bytes), json: true };
  if (PROTOBUF.every((b, i) => bytes[i] === b)) {
    const message = 'a policy in protobuf is not supported here; write it as YAML or JSON';
    return {
      findings: [{ severity: 'error', code: 'PolicyProtobufNotSupported', message, path: '', at: START }],
      json: false,
    };
  }
  const read = readYaml(bytes);
  if (read.findings.some((f) => f.severity === 'error')) return { findings: read.findings, json: false };
  if (read.root === undefined) {
    return { value: { kind: 'null', at: START }, findings: read.findings, json: false };
  }
  const converted = convertYaml(read.root);
  const findings = [...read.findings, ...converted.findings];
  return converted.value === undefined ? { findings, json: false } : { value: converted.value, findings, json: false };
}

const errorsFirst = (findings: readonly Finding[]): readonly Finding[] => [
  ...findings.filter((f) => f.severity === 'error'),
  ...findings.filter((f) => f.severity !== 'error'),
];

/** What no version has a part in. */
type Prepared = {
  readonly raw?: RawPolicy;
  readonly findings: readonly Finding[];
  readonly positions: ReadonlyMap<string, Position>;
};

function prepare(bytes: Uint8Array): Prepared {
  const document = readDocument(bytes);
  const { value } = document;
  if (value === undefined) return { findings: errorsFirst(document.findings), positions: NOWHERE };
  const kind = checkKind(value);
  if (kind.length > 0) return { findings: [...kind, ...document.findings], positions: NOWHERE };
  const decoded = decodeGo(POLICY, value, document.json);
  const findings = errorsFirst([...document.findings, ...decoded.findings]);
  const { positions } = decoded;
  if (decoded.findings.some((f) => f.severity === 'error')) return { findings, positions };
  return { raw: rawPolicyOf(decoded.value), findings, positions };
}

/**
 * Loads `bytes` as kube-apiservers of `versions` do, one answer for each, in their order: the bytes are read once. Those
 * that load share one policy. Never throws, whatever the bytes.
 */
export function loadForVersions(bytes: Uint8Array, versions: readonly Minor[]): readonly Loaded[] {
  const { raw, findings, positions } = prepare(bytes);
  if (raw === undefined) return versions.map(() => ({ findings, positions }));
  let policy: Policy | undefined;
  return versions.map((version) => {
    const invalid = validatePolicy(raw, { version, positions });
    if (invalid.length > 0) return { findings: [...invalid, ...findings], positions };
    policy ??= policyOf(raw);
    return { policy, findings, positions };
  });
}

/**
 * Loads `bytes` as a kube-apiserver of `version` does. Never throws, whatever the bytes. Error findings carry the API
 * server's own sentence where it has one.
 */
export function loadPolicy(bytes: Uint8Array, version: Minor): Loaded {
  return loadForVersions(bytes, [version])[0] ?? { findings: [], positions: NOWHERE };
}
