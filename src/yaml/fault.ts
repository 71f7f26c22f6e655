/**
 * One refusal of the YAML reader. The stages are deeply nested and stop at the first fault, as the API server's do, so
 * a fault travels as an exception inside this room; `read.ts` and `convert.ts` turn it into a Finding at the door.
 */
import type { Finding, Position } from '../api/findings.ts';

/** A place between two characters, counted from 0 as the scanner needs it. `index` is in code points, `offset` in bytes. */
export type Mark = {
  readonly offset: number;
  readonly index: number;
  readonly line: number;
  readonly column: number;
};

export type YamlCode =
  | 'YamlInvalidEncoding'
  | 'YamlControlCharacter'
  | 'YamlSyntax'
  | 'YamlTab'
  | 'YamlUnterminated'
  | 'YamlMissingColon'
  | 'YamlBadIndentation'
  | 'YamlBadEscape'
  | 'YamlBadDirective'
  | 'YamlUnsupportedVersion'
  | 'YamlBadTag'
  | 'YamlBadAnchor'
  | 'YamlUnknownAnchor'
  | 'YamlAliasContainsItself'
  | 'YamlExcessiveAliasing'
  | 'YamlBadMerge'
  | 'YamlBadKey'
  | 'YamlTagMismatch'
  | 'YamlBadBase64'
  | 'YamlNotInJson'
  | 'YamlNestingTooDeep'
  | 'YamlServerPanics';

/** The sentence names no line; it does not come from the YAML library at all. */
export const NO_LINE = 0;
export const NOT_YAML = -1;

export class YamlFault extends Error {
  readonly code: YamlCode;
  readonly at: Mark;
  /** `problem` is the API server's sentence, without its `yaml: ` and line; `line` is that line, or one of the two below. */
  constructor(code: YamlCode, problem: string, where: { readonly at: Mark; readonly line: number }) {
    const prefix = where.line > 0 ? `yaml: line ${where.line}: ` : where.line === NO_LINE ? 'yaml: ' : '';
    super(prefix + problem);
    this.code = code;
    this.at = where.at;
  }
}

/** The parser's sentences name the line of the token, counted from 0; where that is 0, the one where its node began. */
export const parserFault = (code: YamlCode, problem: string, at: Mark, context?: Mark): YamlFault =>
  new YamlFault(code, problem, { at, line: at.line || (context?.line ?? 0) });

export const positionOf = (m: Mark): Position => ({ offset: m.offset, line: m.line + 1, column: m.column + 1 });

export const markOf = (p: Position): Mark => ({ offset: p.offset, index: 0, line: p.line - 1, column: p.column - 1 });

export const findingOf = (f: YamlFault): Finding => ({
  severity: 'error',
  code: f.code,
  message: f.message,
  path: '',
  at: positionOf(f.at),
});
