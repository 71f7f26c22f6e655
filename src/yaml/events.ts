/** What the parser gives and the composer takes: one event for each beginning and end, scalar and alias of a document. */
import type { Mark } from './fault.ts';
import type { ScalarStyle } from './tokens.ts';

export type Event =
  | { readonly type: 'StreamEnd' | 'DocumentStart' | 'DocumentEnd'; readonly start: Mark; readonly end: Mark }
  | { readonly type: 'SequenceEnd' | 'MappingEnd'; readonly start: Mark; readonly end: Mark }
  | { readonly type: 'Alias'; readonly name: string; readonly start: Mark; readonly end: Mark }
  | (Properties & { readonly type: 'SequenceStart' | 'MappingStart' })
  | (Properties & {
      readonly type: 'Scalar';
      readonly text: string;
      readonly style: ScalarStyle;
      /** It resolves by its text: a plain scalar without tag, or any with the tag `!`. */
      readonly implicit: boolean;
    });

/** What may stand before a node: `&anchor` and `!tag`, the tag in full, `''` for none. */
export type Properties = { readonly anchor?: string; readonly tag: string; readonly start: Mark; readonly end: Mark };
