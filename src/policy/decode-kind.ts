/**
 * Which kind of object a document claims to be. The API server looks with encoding/json, which folds the case of
 * names (`KIND: Policy` counts here, and is an unknown field afterwards), and every match must be a string.
 */
import type { Finding } from '../api/findings.ts';
import type { Member, Value } from '../yaml/value.ts';
import { didYouMean } from './suggest.ts';

const GROUP_VERSION = 'audit.k8s.io/v1';

/** encoding/json's folding, as far as it can give an ASCII name: letters, the long s and the Kelvin sign. */
const fold = (name: string): string =>
  name
    .replace(/[A-Z]/g, (c) => c.toLowerCase())
    .replaceAll('\u017f', 's')
    .replaceAll('\u212a', 'k');

const error = (code: string, message: string, place: { path: string; at: Finding['at'] }): Finding => ({
  severity: 'error',
  code,
  message,
  path: place.path,
  ...(place.at === undefined ? {} : { at: place.at }),
});

function typeError(value: Value, path: string, into: string): Finding {
  const message = `failed decoding: couldn't get version/kind; json parse error: json: cannot unmarshal ${value.kind} into ${into}`;
  return error('TypeMismatch', message, { path, at: value.at });
}

/** Empty where the document is an audit.k8s.io/v1 Policy (a missing kind counts as one), else the reason. */
export function checkKind(document: Value): readonly Finding[] {
  if (document.kind !== 'object' && document.kind !== 'null') {
    return [typeError(document, '', 'Go value of type struct { APIVersion string; Kind string }')];
  }
  const members = document.kind === 'object' ? document.members : [];
  const found = { apiversion: '', kind: '' };
  const places: { apiversion?: Member; kind?: Member } = {};
  for (const member of members) {
    const name = fold(member.key);
    if (name !== 'apiversion' && name !== 'kind') continue;
    const { value } = member;
    if (value.kind === 'null') continue;
    if (value.kind !== 'string') return [typeError(value, member.key, `Go struct field .${name} of type string`)];
    found[name] = value.value;
    places[name] = member;
  }
  return judge(found, places);
}

function judge(
  found: { readonly apiversion: string; readonly kind: string },
  places: { readonly apiversion?: Member; readonly kind?: Member },
): readonly Finding[] {
  const { apiversion: version, kind } = found;
  const slashes = version.split('/').length - 1;
  const at = places.apiversion?.value.at;
  if (version === '' || version === '/' || version === 'audit.k8s.io/') {
    const message = `unknown group version field audit.k8s.io/__internal, Kind=${kind || 'Policy'} in policy: apiVersion: ${GROUP_VERSION} is missing`;
    return [error('ApiVersionMissing', message, { path: 'apiVersion', at })];
  }
  if (slashes > 1) {
    return [
      error('ApiVersionUnsupported', `failed decoding: unexpected GroupVersion string: ${version}`, {
        path: 'apiVersion',
        at,
      }),
    ];
  }
  if (version !== GROUP_VERSION) {
    const message = `failed decoding: no kind "${kind || 'Policy'}" is registered for version "${version}": use ${GROUP_VERSION}`;
    return [error('ApiVersionUnsupported', message, { path: 'apiVersion', at })];
  }
  if (kind !== '' && kind !== 'Policy') {
    const message = `failed decoding: no policy is of kind "${kind}"${didYouMean(kind, ['Policy'])}`;
    return [error('KindUnsupported', message, { path: 'kind', at: places.kind?.value.at })];
  }
  return [];
}
