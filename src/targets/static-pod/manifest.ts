/**
 * Reads the bytes of a static-pod manifest as far as auditing is concerned: the kube-apiserver container, its arguments,
 * mounts and volumes, each with its place in the text, so that an edit can leave every other byte alone. It refuses what
 * cannot be edited safely (anchors, several documents or API servers, a shell as command) with a code; it changes nothing.
 */
import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, parseAllDocuments, visit } from 'yaml';
import type { Document, ParsedNode, Scalar, YAMLMap, YAMLSeq } from 'yaml';
import type { Finding } from '../../api/findings.ts';
import { mayNestTooDeep } from '../../yaml/nesting.ts';
import { refusal } from '../refusal.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** The lists of the manifest that this target edits. */
export type ListName = 'command' | 'args' | 'volumeMounts' | 'volumes';

export type ListPlace = {
  /** The mapping that holds the list (the container, or the pod's spec), and the list where there is one. */
  readonly owner: YAMLMap;
  readonly seq: YAMLSeq | null;
};

export type Manifest = {
  readonly text: string;
  /** The whole first document as plain data. */
  readonly pod: Json;
  readonly name: string;
  readonly namespace: string;
  /** Index of the API server's container in spec.containers. */
  readonly container: number;
  readonly lists: Readonly<Record<ListName, ListPlace>>;
};

export type Read<T> = { readonly ok: T } | { readonly refused: readonly Finding[] };

const no = (code: string, message: string, path = ''): { refused: readonly Finding[] } => ({
  refused: [refusal(code, message, path)],
});

export const isRecord = (v: Json | undefined): v is { readonly [key: string]: Json } =>
  typeof v === 'object' && v !== null && !Array.isArray(v);

export const at = (v: Json | undefined, ...keys: readonly string[]): Json | undefined =>
  keys.reduce<Json | undefined>((o, k) => (isRecord(o) ? o[k] : undefined), v);

export const textOf = (v: Json | undefined): string | undefined => (typeof v === 'string' ? v : undefined);

export const listOf = (v: Json | undefined): readonly Json[] => (Array.isArray(v) ? (v as readonly Json[]) : []);

function decode(bytes: Uint8Array): string | null {
  try {
    // A byte order mark stays a character of the text, so that it comes back when the text is encoded.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

type Doc = Document.Parsed<ParsedNode>;

/** The one document of a file; an empty one behind it is what a `---` at the end leaves. */
function parseOne(text: string): Read<Doc> {
  if (mayNestTooDeep(text)) return no('ManifestUnreadable', 'The manifest nests deeper than any Pod does.');
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { keepSourceTokens: true, lineCounter: lines });
  if (!Array.isArray(parsed)) return no('ManifestUnreadable', 'The manifest is empty.');
  const [doc, ...more] = parsed as Doc[];
  const bad = (parsed as Doc[]).flatMap((d) => d.errors)[0];
  if (bad !== undefined) {
    const { line, col } = lines.linePos(bad.pos[0]);
    const message = `The manifest is not valid YAML: ${bad.message.split('\n')[0] ?? bad.code}`;
    return { refused: [{ ...refusal('ManifestUnreadable', message), at: { offset: bad.pos[0], line, column: col } }] };
  }
  if (doc === undefined) return no('ManifestUnreadable', 'The manifest is empty.');
  if (more.some((d) => d.contents !== null && !(isScalar(d.contents) && d.contents.value === null)))
    return no(
      'SeveralDocuments',
      'The manifest holds several YAML documents, of which the kubelet reads only the first.',
    );
  return { ok: doc };
}

const hasAnchors = (doc: Doc): boolean => {
  let found = false;
  visit(doc, {
    Alias: () => ((found = true), visit.BREAK),
    Node: (_, node) =>
      isNode(node) && !isAlias(node) && node.anchor !== undefined ? ((found = true), visit.BREAK) : undefined,
  });
  return found;
};

const mapAt = (map: YAMLMap, key: string): YAMLMap | null => {
  const v: unknown = map.get(key, true);
  return isMap(v) ? v : null;
};

/** A list, or null for "not there"; undefined for something that is no list. */
function seqAt(map: YAMLMap, key: string): YAMLSeq | null | undefined {
  const v: unknown = map.get(key, true);
  if (v === undefined || v === null || (isScalar(v) && v.value === null)) return null;
  return isSeq(v) ? v : undefined;
}

export const basename = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** The words of a container: command, then args. */
export const wordsOf = (container: Json | undefined): readonly Json[] => [
  ...listOf(at(container, 'command')),
  ...listOf(at(container, 'args')),
];

const runsApiServer = (c: Json): boolean =>
  at(c, 'name') === 'kube-apiserver' ||
  wordsOf(c).some((w) => typeof w === 'string' && basename(w) === 'kube-apiserver');

/** Index of the API server's container. */
function findContainer(pod: Json): Read<number> {
  const containers = listOf(at(pod, 'spec', 'containers'));
  const found = containers.flatMap((c, i) => (runsApiServer(c) ? [i] : []));
  const [only] = found;
  if (only === undefined)
    return no('NoApiServerContainer', 'No container of this pod runs kube-apiserver.', 'spec.containers');
  if (found.length > 1)
    return no(
      'SeveralApiServerContainers',
      `${found.length} containers of this pod run kube-apiserver; it is not known which one to configure.`,
      'spec.containers',
    );
  return { ok: only };
}

function placesOf(spec: YAMLMap, container: YAMLMap, path: string): Read<Manifest['lists']> {
  const place = (owner: YAMLMap, key: ListName, p: string): Read<ListPlace> => {
    const seq = seqAt(owner, key);
    return seq === undefined
      ? no('ManifestNotAPod', `${p}.${key} is not a list.`, `${p}.${key}`)
      : { ok: { owner, seq } };
  };
  const command = place(container, 'command', path);
  const args = place(container, 'args', path);
  const volumeMounts = place(container, 'volumeMounts', path);
  const volumes = place(spec, 'volumes', 'spec');
  for (const r of [command, args, volumeMounts, volumes]) if ('refused' in r) return r;
  if ('ok' in command && 'ok' in args && 'ok' in volumeMounts && 'ok' in volumes)
    return { ok: { command: command.ok, args: args.ok, volumeMounts: volumeMounts.ok, volumes: volumes.ok } };
  throw new Error('unreachable');
}

/** Every word must be a text scalar: a number or a list in `command` stops the kubelet's decoder. */
function checkWords(lists: Manifest['lists'], path: string): Finding | null {
  for (const key of ['command', 'args'] as const) {
    const bad = (lists[key].seq?.items ?? []).findIndex((i) => !isScalar(i) || typeof i.value !== 'string');
    if (bad >= 0)
      return refusal('ArgumentNotText', 'An argument of the API server is not a string.', `${path}.${key}[${bad}]`);
  }
  return null;
}

/** With `{` in front the kubelet reads JSON (apimachinery's yaml.ToJSON), which is narrower than YAML's flow style. */
const isBrokenJson = (text: string): boolean => {
  if (!/^\s*\{/.test(text)) return false;
  try {
    JSON.parse(text);
    return false;
  } catch {
    return true;
  }
};

/** Reads a manifest, or says why it cannot be edited. */
export function readManifest(bytes: Uint8Array): Read<Manifest> {
  const text = decode(bytes);
  return text === null ? no('ManifestUnreadable', 'The manifest is not valid UTF-8.') : readManifestText(text);
}

export function readManifestText(text: string): Read<Manifest> {
  if (isBrokenJson(text))
    return no(
      'ManifestUnreadable',
      'The manifest begins with `{`, and the kubelet then reads it as JSON, which it is not.',
    );
  const parsed = parseOne(text);
  if ('refused' in parsed) return parsed;
  const doc = parsed.ok;
  if (hasAnchors(doc))
    return no(
      'ManifestHasAnchors',
      'The manifest uses YAML anchors or aliases: an edit in one place would change another.',
    );
  const pod = doc.toJS() as Json;
  if (at(pod, 'kind') !== 'Pod' || at(pod, 'apiVersion') !== 'v1')
    return no('ManifestNotAPod', 'The manifest is not a Pod of v1.');
  const found = findContainer(pod);
  if ('refused' in found) return found;
  const root: unknown = doc.contents;
  const spec = isMap(root) ? mapAt(root, 'spec') : null;
  const containers = spec === null ? null : seqAt(spec, 'containers');
  const container = containers?.items[found.ok];
  if (spec === null || !isMap(container)) throw new Error('the tree and its plain data disagree');
  const path = `spec.containers[${found.ok}]`;
  const lists = placesOf(spec, container, path);
  if ('refused' in lists) return lists;
  const words = checkWords(lists.ok, path);
  if (words !== null) return { refused: [words] };
  const meta = at(pod, 'metadata');
  const name = textOf(at(meta, 'name')) ?? '';
  const namespace = textOf(at(meta, 'namespace')) ?? 'default';
  return { ok: { text, pod, name, namespace, container: found.ok, lists: lists.ok } };
}

/** As the kubelet reads a file: the first document alone, and of a key that is given twice the last one (sigs.k8s.io/yaml). */
function firstDocument(text: string): Json | null {
  if (isBrokenJson(text) || mayNestTooDeep(text)) return null;
  const [doc] = parseAllDocuments(text, { uniqueKeys: false });
  if (doc === undefined || !('contents' in doc) || doc.errors.length > 0) return null;
  try {
    return doc.toJS() as Json;
  } catch {
    return null;
  }
}

/** Name and namespace of the pod that the kubelet would make of these bytes; null where it would make none. */
export function podIdentity(bytes: Uint8Array): { readonly name: string; readonly namespace: string } | null {
  const text = decode(bytes);
  const pod = text === null ? null : firstDocument(text);
  if (pod === null) return null;
  const name = textOf(at(pod, 'metadata', 'name'));
  if (at(pod, 'kind') !== 'Pod' || name === undefined) return null;
  return { name, namespace: textOf(at(pod, 'metadata', 'namespace')) ?? 'default' };
}

/** The text of the scalar items of a list, in order. */
export const wordTexts = (place: ListPlace): readonly string[] =>
  (place.seq?.items ?? []).map((i) => (isScalar(i) ? String((i as Scalar).value) : ''));
