/**
 * The YAML documents of a file, with the place of every field. AuditConfigs are no input of an API server's flag, so the
 * npm reader is good enough here (policies inside them are rendered anew). Places are counted as everywhere: bytes,
 * lines, and columns in code points. Called by file.ts.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, visit } from 'yaml';
import type { Document, Node, Scalar, Tags, YAMLMap } from 'yaml';
import type { Finding, Position } from '../api/findings.ts';
import { mayNestTooDeep } from '../yaml/nesting.ts';

export type FileDocument = {
  readonly value: Readonly<Record<string, unknown>>;
  /** The place of a path such as `spec.policy.rules[0].level`, or of its nearest ancestor that is there. */
  readonly locate: (path: string) => Position;
  /** The place in the file of a place inside a string's own text; that of the string where it cannot be told. */
  readonly inside: (path: string, at: Position) => Position;
};

/** Larger files are refused: an AuditConfig and what it refers to are below 3 MiB in any cluster. */
const MAX_BYTES = 4 * 2 ** 20;

/** Codes: FileTooLarge, FileNotText, FileNotYaml, FileStarIsAlias, FieldDuplicate, DocumentNotAMap. */
export function readDocuments(bytes: Uint8Array): {
  readonly documents: readonly FileDocument[];
  readonly findings: readonly Finding[];
} {
  const refuse = (code: string, message: string): { documents: []; findings: Finding[] } => ({
    documents: [],
    findings: [{ severity: 'error', code, path: '', message }],
  });
  if (bytes.length > MAX_BYTES)
    return refuse('FileTooLarge', `the file has ${bytes.length} bytes; at most ${MAX_BYTES} are read`);
  const text = decode(bytes);
  if (text === undefined) return refuse('FileNotText', 'the file is not UTF-8 text');
  if (mayNestTooDeep(text)) return refuse('FileNotYaml', 'it nests deeper than any AuditConfig does');
  const lines = new LineCounter();
  // uniqueKeys of the library is quadratic; duplicates are looked for below.
  const parsed = parseAllDocuments(text, {
    version: '1.1',
    customTags: asKubernetes,
    lineCounter: lines,
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
  });
  const place = placer(text, lines);
  const hidden = namesSecret(text);
  const findings: Finding[] = [];
  const documents: FileDocument[] = [];
  for (const doc of Array.isArray(parsed) ? parsed : []) {
    const before = findings.length;
    for (const e of doc.errors.slice(0, 1)) {
      const star = starAt(text, e.pos[0]);
      const at = place(e.pos[0]);
      if (star !== undefined) findings.push(starFinding(star, at, hidden));
      else findings.push(finding('FileNotYaml', notYaml(e, hidden), at));
    }
    if (findings.length === before) findings.push(...danglingAliases(doc, place, hidden));
    if (findings.length > before || doc.contents === null || isEmpty(doc)) continue;
    findings.push(...duplicates(doc, place));
    const value: unknown = toValue(doc);
    const whole = { locate: locator(doc, place), inside: insider(doc, text, place) };
    if (isRecord(value)) documents.push(...itemsOf({ value, ...whole }));
    else
      findings.push(
        finding('DocumentNotAMap', 'a document must be a map with apiVersion and kind', place(doc.range[0])),
      );
  }
  return { documents, findings };
}

/** A value that begins with a star, such as fluent-bit's `Match: *`. */
const starAt = (text: string, offset: number): string | undefined =>
  /[:-][ \t]+$/.test(text.slice(0, offset)) ? /^\*[^\s,}\]]*/.exec(text.slice(offset))?.[0] : undefined;

function starFinding(star: string, at: Position, hidden: boolean): Finding {
  const what = hidden ? 'what begins with a star' : star;
  return finding(
    'FileStarIsAlias',
    `${what} without quotes is an alias in YAML: ${hidden ? 'put it in quotes' : `write "${star}"`}`,
    at,
  );
}

/**
 * Of a file that may hold a Secret nothing is repeated: a password that YAML takes for an alias or a block's header would
 * stand in the error. Where the document does not parse, its kind is not known, so the text is asked.
 */
const namesSecret = (text: string): boolean => /\bkind["']?[ \t]*:\s*(?:!\S+\s+)?["']?Secret/.test(text);

/** The library's code says what is wrong, its messages repeat what stands there. */
const notYaml = ({ code, message }: Document['errors'][number], hidden: boolean): string =>
  hidden ? `not YAML: ${code} (what stands there is not shown: it may be a Secret's)` : `not YAML: ${message}`;

/** Of anchors that are nowhere: hardly an alias that somebody meant. */
function danglingAliases(doc: Document, place: Place, hidden: boolean): readonly Finding[] {
  const found: Finding[] = [];
  visit(doc, {
    Alias: (_key, alias) => {
      if (alias.resolve(doc) === undefined)
        found.push(starFinding(`*${alias.source}`, place(alias.range?.[0] ?? 0), hidden));
    },
  });
  return found.slice(0, 1);
}

type Place = (offset: number) => Position;

/** YAML 1.1 as sigs.k8s.io/yaml has it: dates and times of day stay strings. */
const asKubernetes = (tags: Tags): Tags =>
  tags.filter((t) => typeof t === 'string' || (t.tag !== 'tag:yaml.org,2002:timestamp' && t.format !== 'TIME'));

const finding = (code: string, message: string, at: Position, path = ''): Finding => ({
  severity: 'error', code, path, message, at,
}); // prettier-ignore

const isRecord = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v);
const isEmpty = (doc: Document): boolean => isScalar(doc.contents) && doc.contents.value === null;

/** The items of a List, as `kubectl get -o yaml` prints them; any other document is itself. */
function itemsOf(document: FileDocument): readonly FileDocument[] {
  const { value, locate, inside } = document;
  if (value['kind'] !== 'List' || !Array.isArray(value['items'])) return [document];
  return value['items'].filter(isRecord).map((item, i) => {
    const below = (path: string): string => (path === '' ? `items[${i}]` : `items[${i}].${path}`);
    return { value: item, locate: (path) => locate(below(path)), inside: (path, at) => inside(below(path), at) };
  });
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes).replace(/^\ufeff/, '');
  } catch {
    return undefined;
  }
}

/** Aliases beyond reason (a "billion laughs" file) throw in the library. */
function toValue(doc: Document): unknown {
  try {
    return doc.toJS({ maxAliasCount: 100 });
  } catch {
    return undefined;
  }
}

/** Offsets of the library are UTF-16 units. */
function placer(text: string, lines: LineCounter): Place {
  return (unit) => {
    const { line } = lines.linePos(unit);
    const start = lines.lineStarts[line - 1] ?? 0;
    return {
      offset: new TextEncoder().encode(text.slice(0, unit)).length,
      line,
      column: [...text.slice(start, unit)].length + 1,
    };
  };
}

function duplicates(doc: Document, place: Place): Finding[] {
  const found: Finding[] = [];
  visit(doc, {
    Map: (_key, map) => {
      const seen = new Set<string>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        const name = String(key.value);
        if (seen.has(name))
          found.push(finding('FieldDuplicate', `${name} stands twice in one map`, place(key.range?.[0] ?? 0), name));
        seen.add(name);
      }
    },
  });
  return found;
}

/** `a.b[0][c.d]` to its keys; the way back of fieldPath. */
export function pathKeys(path: string): readonly (string | number)[] {
  return [...path.matchAll(/\[([^\]]*)\]|[^.[\]]+/g)].map(([all, inner]) => {
    const key = inner ?? all;
    return inner !== undefined && /^\d+$/.test(key) ? Number(key) : key;
  });
}

type Found = { readonly node: Node; readonly offset: number; readonly whole: boolean };

/** The node at the path, or its nearest ancestor. A map's member begins at its key. */
function find(doc: Document, path: string): Found | undefined {
  let node: unknown = doc.contents;
  let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
  let here: Node | undefined = isNode(node) ? node : undefined;
  for (const key of pathKeys(path)) {
    if (isAlias(node)) node = node.resolve(doc);
    if (isMap(node)) {
      const pair = memberOf(node, String(key));
      if (pair === undefined) return here === undefined ? undefined : { node: here, offset, whole: false };
      offset = (isScalar(pair.key) ? pair.key.range?.[0] : undefined) ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof key === 'number' && node.items[key] !== undefined) {
      node = node.items[key];
      offset = (isNode(node) ? node.range?.[0] : undefined) ?? offset;
    } else return here === undefined ? undefined : { node: here, offset, whole: false };
    here = isNode(node) ? node : here;
  }
  return here === undefined ? undefined : { node: here, offset, whole: true };
}

/** fluent-bit's keys are compared without their case, so that a finding may name one as nobody wrote it. */
function memberOf(map: YAMLMap, key: string): YAMLMap['items'][number] | undefined {
  const named = (same: (name: string) => boolean) =>
    map.items.find((p) => isScalar(p.key) && same(String(p.key.value)));
  return named((n) => n === key) ?? named((n) => n.toLowerCase() === key);
}

const isNode = (v: unknown): v is Node => isScalar(v) || isMap(v) || isSeq(v) || isAlias(v);

const locator =
  (doc: Document, place: Place) =>
  (path: string): Position =>
    place(find(doc, path)?.offset ?? 0);

/** Only a literal block (`|`) holds its text line by line as it stands. */
function insider(doc: Document, text: string, place: Place): FileDocument['inside'] {
  return (path, at) => {
    const found = find(doc, path);
    if (found?.whole !== true || !isScalar(found.node)) return place(found?.offset ?? 0);
    const start = blockStart(found.node, text);
    if (start === undefined) return place(found.offset);
    let from = start.from;
    for (let line = 1; line < at.line; line++) from = text.indexOf('\n', from) + 1;
    const end = text.indexOf('\n', from);
    const row = [...text.slice(from, end < 0 ? text.length : end)];
    const before = row.slice(0, start.indent + at.column - 1).join('').length;
    return place(from + before);
  };
}

/** Where a literal block's first line begins, and how far its lines are indented. */
function blockStart(node: Scalar, text: string): { readonly from: number; readonly indent: number } | undefined {
  if (node.type !== 'BLOCK_LITERAL' || node.range === null || node.range === undefined) return undefined;
  const from = text.indexOf('\n', node.range[0]) + 1;
  const first = /^([ ]*)\S/m.exec(text.slice(from));
  return from === 0 || first === null ? undefined : { from, indent: first[1]?.length ?? 0 };
}
