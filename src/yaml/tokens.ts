/** The scanner's tokens. Block collections have no brackets of their own: the scanner derives them from indentation. */
import type { Mark } from './fault.ts';

export type ScalarStyle = 'plain' | 'single' | 'double' | 'literal' | 'folded';

type Plain =
  | 'StreamStart'
  | 'StreamEnd'
  | 'DocumentStart'
  | 'DocumentEnd'
  | 'BlockSequenceStart'
  | 'BlockMappingStart'
  | 'BlockEnd'
  | 'FlowSequenceStart'
  | 'FlowSequenceEnd'
  | 'FlowMappingStart'
  | 'FlowMappingEnd'
  | 'BlockEntry'
  | 'FlowEntry'
  | 'Key'
  | 'Value';

export type TagToken = { readonly type: 'Tag'; readonly handle: string; readonly suffix: string };
export type ScalarToken = { readonly type: 'Scalar'; readonly text: string; readonly style: ScalarStyle };

export type Token = { readonly start: Mark; readonly end: Mark } & (
  | { readonly type: Plain }
  | { readonly type: 'Alias' | 'Anchor'; readonly name: string }
  | { readonly type: 'VersionDirective'; readonly major: number; readonly minor: number }
  | { readonly type: 'TagDirective'; readonly handle: string; readonly prefix: string }
  | TagToken
  | ScalarToken
);
export type PlainType = Plain;
