/**
 * Which kind of object a document claims to be. The API server looks with encoding/json, which folds the case of
 * names (`KIND: Policy` counts here, and is an unknown field afterwards), and every match must be a string.
 */
import type { Finding, Position } from '../../api/findings.ts';
import type { Value } from '../../yaml/value.ts';
import { didYouMean } from '../suggest.ts';

const GROUP_VERSION = 'audit.k8s.io/v1';

/** encoding/json's folding, as far as it can give an ASCII name: letters, the long s and the Kelvin sign. */
const fold = (name: string): string =>
  name
    .replace(/[A-Z]/g, (c) => c.toLowerCase())
    .replaceAll('\u017f', 's')
    .replaceAll('\u212a', 'k');

const error = (code: string, message: string, place: { path: string; at: Position }): Finding => ({
  severity: 'error',
  code,
  message,
  path: place.path,
  at: place.at,
});

function typeError(value: Value, path: string, into: string): Finding {
  const message = `failed decoding: couldn't get version/kind; json parse error: json: cannot unmarshal ${value.kind} into ${into}`;
  return error('TypeMismatch', message, { path, at: value.at });
}

const TOP =
  'Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';

const FIELDS: ReadonlyMap<string, 'apiVersion' | 'kind'> = new Map([
  ['apiversion', 'apiVersion'],
  ['kind', 'kind'],
]);

/** Empty where the document is an audit.k8s.io/v1 Policy (a missing kind counts as one), else the reason. */
export function checkKind(document: Value): readonly Finding[] {
  if (document.kind !== 'object' && document.kind !== 'null') return [typeError(document, '', TOP)];
  const found = { apiVersion: '', kind: '' };
  const places: Places = {};
  for (const member of document.kind === 'object' ? document.members : []) {
    const field = FIELDS.get(fold(member.key));
    const { value } = member;
    if (field === undefined || value.kind === 'null') continue;
    if (value.kind !== 'string') return [typeError(value, member.key, `Go struct field .${field} of type string`)];
    found[field] = value.value;
    places[field] = value.at;
  }
  const wrong = judgeVersion(found.apiVersion, found.kind === '' ? 'Policy' : found.kind);
  if (wrong !== undefined)
    return [error(wrong.code, wrong.message, { path: 'apiVersion', at: places.apiVersion ?? document.at })];
  if (found.kind === '' || found.kind === 'Policy') return [];
  const message = `failed decoding: ${noKind(found.kind, GROUP_VERSION)}${didYouMean(found.kind, ['Policy'])}`;
  return [error('KindUnsupported', message, { path: 'kind', at: places.kind ?? document.at })];
}

const noKind = (kind: string, version: string): string =>
  `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(version)} in scheme "pkg/runtime/scheme.go:111"`;

type Places = { apiVersion?: Position; kind?: Position };

function judgeVersion(version: string, kind: string): { readonly code: string; readonly message: string } | undefined {
  if (version === GROUP_VERSION) return undefined;
  if (version === '' || version === '/' || version === 'audit.k8s.io/') {
    const message = `unknown group version field audit.k8s.io/__internal, Kind=${kind} in policy; write apiVersion: ${GROUP_VERSION}`;
    return { code: 'ApiVersionMissing', message };
  }
  const slashes = version.split('/').length - 1;
  const message =
    slashes > 1
      ? `failed decoding: unexpected GroupVersion string: ${version}`
      : `failed decoding: ${noKind(kind, version)}; write apiVersion: ${GROUP_VERSION}`;
  return { code: 'ApiVersionUnsupported', message };
}
