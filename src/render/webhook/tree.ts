/**
 * The bytes of a kubeconfig as a tree with places, read as client-go reads them: always as YAML, with the API server's
 * own reader of it. No message quotes what stands there: it is a Secret's. Called by ../webhook.ts.
 */
import { hasErrors } from '../../api/findings.ts';
import type { Position } from '../../api/findings.ts';
import { convertYaml } from '../../yaml/convert.ts';
import { readYaml } from '../../yaml/read.ts';
import type { Value } from '../../yaml/value.ts';

/** A field's value, and where it stands. */
export type Field = { readonly value: Value; readonly at: Position };
/** A map by key; of a key that stands twice the last one counts, as in Go. */
export type Tree = { readonly at: Position; readonly fields: ReadonlyMap<string, Field> };

const START: Position = { offset: 0, line: 1, column: 1 };

export function treeOf(value: Value): Tree | undefined {
  if (value.kind === 'null') return { at: value.at, fields: new Map() };
  if (value.kind !== 'object') return undefined;
  return { at: value.at, fields: new Map(value.members.map((m) => [m.key, { value: m.value, at: m.at }])) };
}

/** The tree, or why there is none (as the end of a sentence) and where. */
export function readTree(bytes: Uint8Array): { readonly tree: Tree } | { readonly why: string; readonly at: Position } {
  const { root, findings } = readYaml(bytes);
  const fault = findings.find((f) => f.severity === 'error');
  // The reader's own sentence quotes the text; its code does not.
  if (fault !== undefined) return { why: `is not YAML that can be read: ${fault.code}`, at: fault.at ?? START };
  if (root === undefined) return { why: 'is empty', at: START };
  const converted = convertYaml(root);
  const bad = converted.findings.find((f) => f.severity === 'error');
  if (converted.value === undefined || hasErrors(converted.findings))
    return { why: `is not YAML that can be read: ${bad?.code ?? 'YamlNotInJson'}`, at: bad?.at ?? START };
  const tree = converted.value.kind === 'object' ? treeOf(converted.value) : undefined;
  return tree === undefined ? { why: 'is not a map', at: converted.value.at } : { tree };
}

/** The text of a field; '' where it is absent, null or no string. */
export function textOf(tree: Tree, key: string): string {
  const value = tree.fields.get(key)?.value;
  return value?.kind === 'string' ? value.value : '';
}

export function isTrue(tree: Tree, key: string): boolean {
  const value = tree.fields.get(key)?.value;
  return value?.kind === 'bool' && value.value;
}

/** Where a field stands, or the map that lacks it. */
export const placeOf = (tree: Tree, key: string): Position => tree.fields.get(key)?.at ?? tree.at;
