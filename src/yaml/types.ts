/**
 * What the YAML reader gives: nodes with places. The reader follows the grammar and the resolver of the API server's
 * own reader (sigs.k8s.io/yaml over go.yaml.in/yaml/v2), not the YAML 1.2 of the npm world.
 */
import type { Finding, Position } from '../api/findings.ts';

/** What a scalar resolves to. `merge` is a `<<` key; `uint` is an integer above int64, which cannot be a key. */
export type ScalarTag = 'string' | 'int' | 'uint' | 'float' | 'bool' | 'null' | 'binary' | 'merge';

export type Scalar = {
  readonly kind: 'scalar';
  readonly tag: ScalarTag;
  /** The value: a string's own text, `true`, `false`, digits, a float as JSON writes it (or `.inf`, `-.inf`, `.nan`). */
  readonly text: string;
  readonly style: 'plain' | 'single' | 'double' | 'literal' | 'folded';
  readonly at: Position;
  readonly end: Position;
};
export type Sequence = {
  readonly kind: 'sequence';
  readonly items: readonly Node[];
  readonly at: Position;
  readonly end: Position;
};
export type Mapping = {
  readonly kind: 'mapping';
  readonly pairs: readonly { readonly key: Node; readonly value: Node }[];
  readonly at: Position;
  readonly end: Position;
};
export type Alias = {
  readonly kind: 'alias';
  readonly name: string;
  /** May be a node that the alias stands in: then the document is refused when it is converted. */
  readonly target: Exclude<Node, Alias>;
  readonly at: Position;
  readonly end: Position;
};
export type Node = Scalar | Sequence | Mapping | Alias;

/** `root` is absent for an empty document and where `findings` hold an error. */
export type ReadResult = { readonly root?: Node; readonly findings: readonly Finding[] };
