/**
 * What `lint` says of a file with our own resources: each AuditConfig as the controller would judge it, and each
 * DatacenterAuditConfig alone, over an AuditConfig that says nothing. What they refer to is looked for in the same file.
 * Loaded only where such a file is linted.
 */
import type { Finding, Position } from '../api/findings.ts';
import type { Minor } from '../api/versions.ts';
import { readDocuments } from '../render/documents.ts';
import type { FileDocument } from '../render/documents.ts';
import { lintFile, referenceOf } from '../render/file.ts';
import type { Reference } from '../render/references.ts';
import { acceptDatacenter } from '../rollout/accept-datacenter.ts';
import { referenceKey } from '../rollout/facts.ts';

const KIND = 'DatacenterAuditConfig';

const metadataOf = ({ value }: FileDocument): Readonly<Record<string, unknown>> =>
  typeof value['metadata'] === 'object' && value['metadata'] !== null ? { ...value['metadata'] } : {};

function referencesIn(documents: readonly FileDocument[]): ReadonlyMap<string, Reference> {
  const referable = documents.filter((d) => d.value['kind'] === 'Secret' || d.value['kind'] === 'ConfigMap');
  return new Map(
    referable.map((d) => {
      const { namespace = '', name = '' } = metadataOf(d);
      return [referenceKey(String(d.value['kind']), String(namespace), String(name)), referenceOf(d)];
    }),
  );
}

/**
 * Fields as they stand in the file: the renderer names the layer that rules came from, and of any other field only what
 * it became, which the enforced part has said if it has that field.
 */
function pathsIn(path: string): readonly string[] {
  const [, part, rest = ''] = /^Datacenter\/\S+ (defaults|enforced|mandatoryRules)\.?(.*)$/.exec(path) ?? [];
  if (part === 'mandatoryRules') return [`spec.${rest.replace(/^rules/, 'mandatoryRules')}`];
  if (part !== undefined) return [`spec.${part}.${rest}`];
  return [path.replace(/^spec\./, 'spec.enforced.'), path.replace(/^spec\./, 'spec.defaults.'), path];
}

/** The deepest of these places: a path that is not there is placed at its nearest ancestor. */
const deepest = (doc: FileDocument, paths: readonly string[]): Position =>
  paths.map((p) => doc.locate(p)).reduce((a, b) => (b.offset > a.offset ? b : a));

/** Findings of every AuditConfig and every DatacenterAuditConfig of a file; `now` in ms since the epoch. */
export function lintObjects(bytes: Uint8Array, version: Minor, now: number): readonly Finding[] {
  const found = lintFile(bytes, [version]);
  const { documents } = readDocuments(bytes);
  const datacenters = documents.filter((d) => d.value['kind'] === KIND);
  if (datacenters.length === 0) return found;
  const references = referencesIn(documents);
  const theirs = datacenters.flatMap((doc) => {
    const name = String(metadataOf(doc)['name'] ?? '');
    const { findings } = acceptDatacenter({ name, object: doc.value, references, versions: [version], now });
    return findings.map((f) => ({ ...f, at: deepest(doc, pathsIn(f.path)) }));
  });
  const judged = new Set(datacenters.map((d) => d.locate('kind').offset));
  const isSaidOfThem = (f: Finding): boolean =>
    f.code === 'NoAuditConfig' || (f.code === 'DocumentIgnored' && judged.has(f.at?.offset ?? -1));
  return [...found.filter((f) => !isSaidOfThem(f)), ...theirs];
}
