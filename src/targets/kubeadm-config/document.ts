/**
 * The text of kubeadm's ClusterConfiguration as far as auditing is concerned: `apiServer.extraArgs` (a map in v1beta3, a
 * list with duplicates in v1beta4) and `apiServer.extraVolumes`. An edit is made in the parsed document, and only the
 * lines that differ are put into the text; what comes out is read again and must be exactly what was wanted. What is
 * no ClusterConfiguration of these two versions is refused. Called by ../kubeadm-config.ts.
 */
import { isMap, isScalar, isSeq, parseAllDocuments, Scalar, YAMLMap, YAMLSeq } from 'yaml';
import type { Document, Pair } from 'yaml';
import { mayNestTooDeep } from '../../yaml/nesting.ts';
import { merge3 } from '../merge.ts';
import { refusal } from '../refusal.ts';
import { eolOf } from '../static-pod/edit.ts';
import { at, isRecord, listOf, textOf } from '../static-pod/manifest.ts';
import type { Json, Read } from '../static-pod/manifest.ts';
import { samePod } from '../static-pod/ops.ts';

export const CONFIG_VERSIONS = ['kubeadm.k8s.io/v1beta3', 'kubeadm.k8s.io/v1beta4'] as const;
type ConfigVersion = (typeof CONFIG_VERSIONS)[number];

/** As kubeadm spells it: without the dashes. */
export type ExtraArg = { readonly name: string; readonly value: string };
export type ExtraVolume = { readonly name: string; readonly [field: string]: Json };

export type ClusterConfiguration = {
  readonly text: string;
  readonly version: ConfigVersion;
  readonly data: Json;
  readonly args: readonly ExtraArg[];
  readonly volumes: readonly ExtraVolume[];
};

const refused = (code: string, message: string): { refused: ReturnType<typeof refusal>[] } => ({
  refused: [refusal(code, message)],
});

/** Only the newest two: kubeadm before 1.22 wrote v1beta2, and what comes after v1beta4 nobody knows yet. */
function versionOf(data: Json): Read<ConfigVersion> {
  const [apiVersion, kind] = [textOf(at(data, 'apiVersion')) ?? '', textOf(at(data, 'kind')) ?? ''];
  const version = CONFIG_VERSIONS.find((v) => v === apiVersion);
  if (kind === 'ClusterConfiguration' && version !== undefined) return { ok: version };
  const said = `${kind === '' ? 'no kind' : kind} of ${apiVersion === '' ? 'no version' : apiVersion}`.slice(0, 200);
  return refused(
    'KubeadmConfigVersion',
    `kubeadm-config holds ${said}; ClusterConfigurations of v1beta3 and v1beta4 are understood.`,
  );
}

function parse(text: string): Document.Parsed | string {
  if (mayNestTooDeep(text)) return 'it nests deeper than any ClusterConfiguration does';
  const parsed = parseAllDocuments(text, { version: '1.1', prettyErrors: false, logLevel: 'silent' });
  const docs = Array.isArray(parsed) ? parsed.filter((d) => d.contents !== null) : [];
  const bad = docs.flatMap((d) => d.errors)[0];
  if (bad !== undefined) return bad.message.split('\n')[0] ?? bad.code;
  if (docs.length !== 1 || docs[0] === undefined) return `it has ${docs.length} documents`;
  return docs[0];
}

function dataOf(doc: Document): Json | undefined {
  try {
    return doc.toJS({ maxAliasCount: 100 }) as Json;
  } catch {
    return undefined;
  }
}

/** Null and absent are the same to kubeadm. */
const isNothing = (v: Json | undefined): boolean => v === undefined || v === null;

function argsOf(version: ConfigVersion, value: Json | undefined): readonly ExtraArg[] | null {
  if (isNothing(value)) return [];
  if (version === 'kubeadm.k8s.io/v1beta3') {
    if (!isRecord(value)) return null;
    const all = Object.entries(value);
    return all.every(([, v]) => typeof v === 'string') ? all.map(([name, v]) => ({ name, value: String(v) })) : null;
  }
  if (!Array.isArray(value)) return null;
  const all = listOf(value).map((v): ExtraArg | null => {
    const [name, text] = [textOf(at(v, 'name')), isNothing(at(v, 'value')) ? '' : textOf(at(v, 'value'))];
    return name === undefined || text === undefined ? null : { name, value: text };
  });
  const good = all.filter((a) => a !== null);
  return good.length === all.length ? good : null;
}

function volumesOf(value: Json | undefined): readonly ExtraVolume[] | null {
  if (isNothing(value)) return [];
  const isVolume = (v: Json): v is ExtraVolume => isRecord(v) && typeof v['name'] === 'string';
  return Array.isArray(value) && listOf(value).every(isVolume) ? listOf(value).filter(isVolume) : null;
}

/** Codes: KubeadmConfigUnreadable, KubeadmConfigVersion. */
export function readClusterConfiguration(text: string): Read<ClusterConfiguration> {
  const unreadable = (why: string): Read<never> =>
    refused('KubeadmConfigUnreadable', `kubeadm-config's ClusterConfiguration cannot be read: ${why}`.slice(0, 500));
  const doc = parse(text);
  if (typeof doc === 'string') return unreadable(doc);
  const data = dataOf(doc);
  if (!isRecord(data)) return unreadable('it is no map');
  const version = versionOf(data);
  if ('refused' in version) return version;
  const server = data['apiServer'];
  if (!isNothing(server) && !isRecord(server)) return unreadable('apiServer is no map');
  const args = argsOf(version.ok, at(server, 'extraArgs'));
  if (args === null) return unreadable(`apiServer.extraArgs is not what ${version.ok} has there`);
  const volumes = volumesOf(at(server, 'extraVolumes'));
  if (volumes === null) return unreadable('apiServer.extraVolumes is no list of named volumes');
  return { ok: { text, version: version.ok, data, args, volumes } };
}

/** What `apiServer` is to hold. `null`: the key goes, where it is empty. */
export type Wanted = {
  readonly args: readonly ExtraArg[];
  readonly volumes: readonly ExtraVolume[];
  /** Keys that are taken away where nothing is left in them. */
  readonly prune: readonly ('apiServer' | 'extraArgs' | 'extraVolumes')[];
};

/** The data that the edited text must mean. */
function wantedData(c: ClusterConfiguration, want: Wanted): Json {
  const server = isRecord(at(c.data, 'apiServer')) ? (at(c.data, 'apiServer') as Record<string, Json>) : {};
  const args: Json =
    c.version === 'kubeadm.k8s.io/v1beta3'
      ? Object.fromEntries(want.args.map((a) => [a.name, a.value]))
      : want.args.map((a) => ({ name: a.name, value: a.value }));
  const next = { ...server, extraArgs: args, extraVolumes: want.volumes };
  return { ...(c.data as Record<string, Json>), apiServer: next };
}

/** Empty maps and lists, null and absent are the same. */
function tidy(v: Json): Json | undefined {
  if (Array.isArray(v)) return v.length === 0 ? undefined : (v as readonly Json[]).map((x) => tidy(x) ?? null);
  if (!isRecord(v)) return v === null ? undefined : v;
  const kept = Object.entries(v).flatMap(([k, x]): [string, Json][] => {
    const t = tidy(x);
    return t === undefined ? [] : [[k, t]];
  });
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

/** Reads as this very string to every YAML reader, and as kubeadm writes it. */
function scalarOf(value: string): Scalar {
  const node = new Scalar(value);
  const isPlain = /^(?:\/[A-Za-z0-9._/-]*|[A-Za-z]{2,}(?:-[a-z]+)*)$/.test(value);
  if (!isPlain || /^(?:yes|no|on|off|true|false|null|nan|inf)$/i.test(value)) node.type = Scalar.QUOTE_DOUBLE;
  return node;
}

/** What stands at a key of `owner`, or the empty one instead; block style, where kubeadm wrote `{}`. */
function opened<T extends YAMLMap | YAMLSeq>(owner: YAMLMap, key: string, there: T | null, empty: () => T): T {
  const node = there ?? empty();
  if (node.items.length === 0) node.flow = false;
  if (owner.items.length === 0) owner.flow = false;
  if (node !== there) owner.set(key, node);
  return node;
}

function mapAt(owner: YAMLMap, key: string): YAMLMap {
  const there: unknown = owner.get(key, true);
  return opened(owner, key, isMap(there) ? there : null, () => new YAMLMap());
}

function seqAt(owner: YAMLMap, key: string): YAMLSeq {
  const there: unknown = owner.get(key, true);
  return opened(owner, key, isSeq(there) ? there : null, () => new YAMLSeq());
}

const volumeNode = (v: ExtraVolume): YAMLMap => {
  const map = new YAMLMap();
  for (const [k, x] of Object.entries(v)) map.set(k, typeof x === 'string' ? scalarOf(x) : x);
  return map;
};

const argNode = (a: ExtraArg): YAMLMap => {
  const map = new YAMLMap();
  map.set('name', scalarOf(a.name));
  map.set('value', scalarOf(a.value));
  return map;
};

/** Items that are not among `want` go, in order; those that are wanted beyond what is there come behind. */
function editItems<T>(
  items: readonly unknown[],
  want: readonly T[],
  how: {
    readonly match: (item: unknown, w: T) => boolean;
    readonly make: (w: T) => unknown;
    readonly set?: (item: unknown, w: T) => void;
  },
): unknown[] {
  const left = [...want];
  const kept = items.filter((item) => {
    const i = left.findIndex((w) => how.match(item, w));
    const found = i < 0 ? undefined : left.splice(i, 1)[0];
    if (found === undefined) return false;
    how.set?.(item, found);
    return true;
  });
  return [...kept, ...left.map(how.make)];
}

const scalarText = (n: unknown): string => (isScalar(n) ? String(n.value) : '');

/** Keeps the node, its comment and, where it may be, its quotes. */
function setScalar(owner: YAMLMap, key: string, value: string): void {
  const node: unknown = owner.get(key, true);
  if (isScalar(node) && node.value === value) return;
  const next = scalarOf(value);
  if (isScalar(node)) {
    if (node.comment !== undefined) next.comment = node.comment;
    if (node.type === 'QUOTE_SINGLE' || node.type === 'QUOTE_DOUBLE') next.type = node.type;
  }
  owner.set(key, next);
}

function editArgs(server: YAMLMap, version: ConfigVersion, want: readonly ExtraArg[]): void {
  if (version === 'kubeadm.k8s.io/v1beta3') {
    const map = mapAt(server, 'extraArgs');
    const keys = new Set(want.map((a) => a.name));
    map.items = map.items.filter((p: Pair) => keys.has(scalarText(p.key)));
    for (const a of want) setScalar(map, a.name, a.value);
    return;
  }
  const seq = seqAt(server, 'extraArgs');
  seq.items = editItems(seq.items, want, {
    match: (item, a) => isMap(item) && scalarText(item.get('name', true)) === a.name,
    make: argNode,
    set: (item, a) => isMap(item) && setScalar(item, 'value', a.value),
  });
}

function editVolumes(doc: Document, server: YAMLMap, want: readonly ExtraVolume[]): void {
  const seq = seqAt(server, 'extraVolumes');
  seq.items = editItems(seq.items, want, {
    match: (item, v) => isMap(item) && samePod(item.toJS(doc) as Json, v),
    make: volumeNode,
  });
}

function prune(root: YAMLMap, server: YAMLMap, keys: Wanted['prune']): void {
  for (const key of ['extraArgs', 'extraVolumes'] as const) {
    const node: unknown = server.get(key, true);
    const empty = (isMap(node) || isSeq(node)) && node.items.length === 0;
    if (empty && keys.includes(key)) server.delete(key);
    else if (empty) node.flow = true;
  }
  if (server.items.length > 0) return;
  if (keys.includes('apiServer')) root.delete('apiServer');
  else server.flow = true;
}

/** As the library would write it; only differences between two such texts count. */
function rendered(doc: Document, text: string): string {
  const indented = /^( *)[^\s#-][^\n]*:[ \t]*\r?\n\1 +- /m.test(text);
  const out = doc.toString({ lineWidth: 0, indentSeq: indented, flowCollectionPadding: false });
  return out.replaceAll('\n', eolOf(text));
}

/** The text with `apiServer` as wanted; null where no edit gives exactly that. */
export function editClusterConfiguration(c: ClusterConfiguration, want: Wanted): string | null {
  const [plain, doc] = [parse(c.text), parse(c.text)];
  if (typeof plain === 'string' || typeof doc === 'string' || !isMap(doc.contents)) return null;
  const root: YAMLMap = doc.contents;
  const server = mapAt(root, 'apiServer');
  if (want.args.length > 0 || server.has('extraArgs')) editArgs(server, c.version, want.args);
  if (want.volumes.length > 0 || server.has('extraVolumes')) editVolumes(doc, server, want.volumes);
  prune(root, server, want.prune);
  const whole = rendered(doc, c.text);
  const merged = merge3(rendered(plain, c.text), c.text, whole);
  const meant = tidy(wantedData(c, want));
  return [merged, whole].find((text) => text !== null && means(text, meant)) ?? null;
}

function means(text: string, meant: Json | undefined): boolean {
  const read = readClusterConfiguration(text);
  return 'ok' in read && JSON.stringify(sorted(tidy(read.ok.data))) === JSON.stringify(sorted(meant));
}

const sorted = (v: Json | undefined): unknown => {
  if (Array.isArray(v)) return (v as readonly Json[]).map(sorted);
  if (!isRecord(v)) return v;
  return Object.entries(v)
    .map(([k, x]) => [k, sorted(x)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
};
