/**
 * Applies list edits to the text of a manifest, by token range: what no op names keeps its bytes, comments and line ends.
 * Block and flow style, JSON, CRLF and a missing last newline are kept as they are. Where the layout leaves no safe place
 * for an edit it gives null; what it gives is compared by the caller with the pod that was wanted (ops.ts).
 */
import { isCollection, isPair, isScalar } from 'yaml';
import type { CST, Node, Pair, Range, Scalar, YAMLMap, YAMLSeq } from 'yaml';
import { flowText, scalarText, blockItem } from './emit.ts';
import type { ListName, ListPlace, Manifest } from './manifest.ts';
import type { ListOp } from './ops.ts';

type TextEdit = { readonly from: number; readonly to: number; readonly text: string };
type Insert = Extract<ListOp, { op: 'Insert' }>;

/** What an edit of one list stands on: the text, whether it is JSON, and which items of the list go. */
type Ground = { readonly text: string; readonly json: boolean; readonly gone: ReadonlySet<number> };

/** Thrown inside this file only: the layout has no safe place for the edit. */
class NoPlace extends Error {}

const rangeOf = (node: Node): Range => {
  if (node.range === null || node.range === undefined) throw new NoPlace();
  return node.range;
};

const lineStart = (text: string, offset: number): number => text.lastIndexOf('\n', offset - 1) + 1;

/** Just behind the line end of the line that holds `offset`. */
function lineEnd(text: string, offset: number): number {
  const n = text.indexOf('\n', offset);
  return n < 0 ? text.length : n + 1;
}

export const eolOf = (text: string): string => (/\r\n/.test(text) ? '\r\n' : '\n');

/** Where the content of a node ends, trailing comments and blank lines not counted. */
function contentEnd(node: Node | Pair): number {
  if (isPair(node)) {
    const value = node.value as Node | null;
    if (value === null || (isScalar(value) && value.source === '')) return keyEnd(node);
    return contentEnd(value);
  }
  if (isCollection(node) && node.flow !== true) {
    const last = node.items.at(-1) as Node | Pair | undefined;
    return last === undefined ? rangeOf(node)[1] : contentEnd(last);
  }
  return rangeOf(node)[1];
}

/** Behind the colon of a pair without a value. */
function keyEnd(pair: Pair): number {
  const src = pair.srcToken as CST.CollectionItem | undefined;
  const colon = src?.sep?.find((t) => t.type === 'map-value-ind');
  if (colon === undefined) throw new NoPlace();
  return colon.offset + colon.source.length;
}

/** Where a new line can begin behind an item: the end of its last line. Block scalars end there already. */
function behind(text: string, node: Node): number {
  const end = contentEnd(node);
  return end > 0 && text[end - 1] === '\n' ? end : lineEnd(text, end);
}

/** The dash of an item of a block list. */
function dashOf(seq: YAMLSeq, index: number): number {
  const token = seq.srcToken as CST.Token | undefined;
  const item = token?.type === 'block-seq' ? token.items[index] : undefined;
  const dash = item?.start.find((t) => t.type === 'seq-item-ind');
  if (dash === undefined) throw new NoPlace();
  return dash.offset;
}

const nodeAt = (seq: YAMLSeq, index: number): Node => {
  const node = seq.items[index] as Node | undefined;
  if (node === undefined) throw new NoPlace();
  return node;
};

/** New lines at `offset`, which is a line's start or the end. */
function newLines(text: string, offset: number, lines: readonly string[]): TextEdit {
  const eol = eolOf(text);
  return { from: offset, to: offset, text: lines.map((l) => l + eol).join('') };
}

function insertBlock(text: string, seq: YAMLSeq, op: Insert): TextEdit {
  const dash = dashOf(seq, Math.max(0, op.after));
  const indent = ' '.repeat(dash - lineStart(text, dash));
  const offset = op.after < 0 ? lineStart(text, dash) : behind(text, nodeAt(seq, op.after));
  return newLines(
    text,
    offset,
    op.values.flatMap((v) => blockItem(v, indent)),
  );
}

function insertFlow(seq: YAMLSeq, op: Insert, { text, json, gone }: Ground): TextEdit {
  const values = op.values.map((v) => flowText(v, json));
  if (op.after < 0) {
    const open = rangeOf(seq)[0] + 1;
    return { from: open, to: open, text: values.join(', ') + (seq.items.length > gone.size ? ', ' : '') };
  }
  const item = nodeAt(seq, op.after);
  const [from] = rangeOf(item);
  const end = rangeOf(item)[1];
  const before = text.slice(lineStart(text, from), from);
  const glue = /^[ \t]*$/.test(before) ? `,${eolOf(text)}${before}` : ', ';
  return { from: end, to: end, text: values.map((v) => glue + v).join('') };
}

/** The list is not there: a new key at the end of its owner, or a value in place of an empty one. */
function insertNewList(owner: YAMLMap, op: Insert, { text, json }: Ground): TextEdit {
  const pair = owner.items.find((p) => isScalar(p.key) && p.key.value === op.list);
  const flow = `[${op.values.map((v) => flowText(v, json)).join(', ')}]`;
  if (pair !== undefined) {
    const value = pair.value as Node | null;
    if (value === null || (isScalar(value) && value.source === '')) {
      const end = keyEnd(pair);
      return { from: end, to: end, text: ` ${flow}` };
    }
    const [from, to] = rangeOf(value);
    return { from, to, text: flow };
  }
  if (owner.flow === true) {
    const last = owner.items.at(-1);
    if (last === undefined) throw new NoPlace();
    const end = contentEnd(last);
    return { from: end, to: end, text: `, ${json ? JSON.stringify(op.list) : op.list}: ${flow}` };
  }
  return newKey(text, owner, op);
}

function newKey(text: string, owner: YAMLMap, op: Insert): TextEdit {
  const first = owner.items[0]?.key as Node | undefined;
  if (first === undefined) throw new NoPlace();
  const column = rangeOf(first)[0] - lineStart(text, rangeOf(first)[0]);
  const indent = ' '.repeat(column);
  return newLines(text, behind(text, owner), [
    `${indent}${op.list}:`,
    ...op.values.flatMap((v) => blockItem(v, indent)),
  ]);
}

function insert({ owner, seq }: ListPlace, op: Insert, ground: Ground): TextEdit {
  if (seq === null || (seq.items.length === 0 && seq.flow !== true)) return insertNewList(owner, op, ground);
  return seq.flow === true ? insertFlow(seq, op, ground) : insertBlock(ground.text, seq, op);
}

function removeBlock(text: string, seq: YAMLSeq, index: number): TextEdit {
  const dash = dashOf(seq, index);
  const from = lineStart(text, dash);
  if (/[^ ]/.test(text.slice(from, dash))) throw new NoPlace();
  return { from, to: behind(text, nodeAt(seq, index)), text: '' };
}

/** With the comma in front of it, or behind it where nothing in front of it stays. */
function removeFlow(seq: YAMLSeq, index: number, { text, gone }: Ground): TextEdit {
  const item = rangeOf(nodeAt(seq, index));
  const next = seq.items[index + 1] as Node | undefined;
  const staysBefore = seq.items.findIndex((_, i) => !gone.has(i)) < index && gone.size < seq.items.length;
  const from = staysBefore ? rangeOf(nodeAt(seq, index - 1))[1] : item[0];
  const to = staysBefore || next === undefined ? item[1] : rangeOf(next)[0];
  if ((text.slice(from, item[0]) + text.slice(item[1], to)).includes('#')) throw new NoPlace();
  return { from, to, text: '' };
}

/** The comment behind the `|` or `>` of a block scalar. */
const headerComment = (node: Scalar): string => {
  const token = node.srcToken as CST.Token | undefined;
  const comment = token?.type === 'block-scalar' ? token.props.find((t) => t.type === 'comment') : undefined;
  return comment !== undefined && 'source' in comment ? ` ${comment.source}` : '';
};

function set(text: string, place: ListPlace, index: number, value: string): TextEdit {
  const node = place.seq === null ? undefined : place.seq.items[index];
  if (!isScalar(node)) throw new NoPlace();
  const [from, to] = rangeOf(node);
  const isBlock = node.type === 'BLOCK_FOLDED' || node.type === 'BLOCK_LITERAL';
  const style = node.type === 'QUOTE_DOUBLE' || node.type === 'QUOTE_SINGLE' ? node.type : 'PLAIN';
  const written = scalarText(value, style);
  if (!isBlock) return { from, to, text: written };
  const tail = /\s*$/.exec(text.slice(from, to))?.[0] ?? '';
  return { from, to, text: written + headerComment(node) + tail };
}

function textEdit(place: ListPlace, op: ListOp, ground: Ground): TextEdit {
  if (op.op === 'Insert') return insert(place, op, ground);
  if (op.op === 'Set') return set(ground.text, place, op.index, op.value);
  if (place.seq === null) throw new NoPlace();
  return place.seq.flow === true
    ? removeFlow(place.seq, op.index, ground)
    : removeBlock(ground.text, place.seq, op.index);
}

const goneFrom = (list: ListName, ops: readonly ListOp[]): ReadonlySet<number> =>
  new Set(ops.flatMap((o) => (o.op === 'Remove' && o.list === list ? [o.index] : [])));

/** `text` with all edits, or null where two of them touch the same bytes. */
function splice(text: string, edits: readonly TextEdit[]): string | null {
  let out = '';
  let at = 0;
  for (const e of [...edits].sort((a, b) => a.from - b.from || a.to - b.to)) {
    if (e.from < at) return null;
    out += text.slice(at, e.from) + e.text;
    at = e.to;
  }
  return out + text.slice(at);
}

/** The manifest's text with all ops done, or null where one of them has no safe place. */
export function applyToText(m: Manifest, ops: readonly ListOp[]): string | null {
  // A last line without its line end gets one for the time of the edit, and whichever line is last then lacks it again.
  const lent = m.text.endsWith('\n') ? '' : eolOf(m.text);
  const text = m.text + lent;
  const json = /^\s*\{/.test(text);
  try {
    const edits = ops.map((op) => textEdit(m.lists[op.list], op, { text, json, gone: goneFrom(op.list, ops) }));
    const edited = splice(text, edits);
    return edited?.slice(0, edited.length - lent.length) ?? null;
  } catch (e) {
    if (e instanceof NoPlace) return null;
    throw e;
  }
}
