/**
 * What the YAML reader gives: nodes with places. The reader follows the grammar and the resolver of the API server's
 * own reader (sigs.k8s.io/yaml over go.yaml.in/yaml), not the YAML 1.2 of the npm world.
 */
import type { Finding, Position } from '../api/findings.ts';

export type Scalar = {
  readonly kind: 'scalar';
  /** As resolved; `string` keeps its text, `int`, `float` and `bool` their Go value as text in `text`. */
  readonly tag: string;
  readonly text: string;
  readonly style: 'plain' | 'single' | 'double' | 'literal' | 'folded';
  readonly at: Position;
  readonly end: Position;
};
export type Sequence = {
  readonly kind: 'sequence';
  readonly tag: string;
  readonly items: readonly Node[];
  readonly at: Position;
  readonly end: Position;
};
export type Mapping = {
  readonly kind: 'mapping';
  readonly tag: string;
  readonly pairs: readonly { readonly key: Node; readonly value: Node }[];
  readonly at: Position;
  readonly end: Position;
};
export type Alias = {
  readonly kind: 'alias';
  readonly name: string;
  readonly target: Node;
  readonly at: Position;
  readonly end: Position;
};
export type Node = Scalar | Sequence | Mapping | Alias;

/** `root` is absent for an empty document and where `findings` hold an error. */
export type ReadResult = { readonly root?: Node; readonly findings: readonly Finding[] };
