/**
 * The meaning of a scalar: YAML 1.1 as go.yaml.in/yaml v2 has it (`y`, `on` and `no` are booleans, `010` is eight,
 * base 60 and dates stay strings), and what an explicit tag makes of it.
 */
import { decodeBase64, textOfBytes } from './base64.ts';
import type { YamlCode } from './fault.ts';
import { formatFloat, parseDotFloat, parseGoInt, parseSignedBinary, parseYamlFloat } from './numbers.ts';
import { isYamlTimestamp } from './times.ts';
import type { ScalarTag } from './types.ts';

const PREFIX = 'tag:yaml.org,2002:';
export type Resolved = { readonly tag: ScalarTag; readonly text: string };
export type Unresolved = { readonly code: YamlCode; readonly problem: string };

const words = (tag: ScalarTag, text: string, list: string): [string, Resolved][] =>
  list.split(' ').map((word) => [word, { tag, text }]);

const WORDS: ReadonlyMap<string, Resolved> = new Map([
  ...words('bool', 'true', 'y Y yes Yes YES true True TRUE on On ON'),
  ...words('bool', 'false', 'n N no No NO false False FALSE off Off OFF'),
  ...words('null', '', '~ null Null NULL'),
  ...words('float', '.nan', '.nan .NaN .NAN'),
  ...words('float', '.inf', '.inf .Inf .INF +.inf +.Inf +.INF'),
  ...words('float', '-.inf', '-.inf -.Inf -.INF'),
  ['', { tag: 'null', text: '' }],
]);

const float = (n: number | undefined): Resolved | undefined =>
  n === undefined ? undefined : { tag: 'float', text: formatFloat(n) };

/** What a plain scalar without a tag is. */
export function resolvePlain(text: string): Resolved {
  const word = WORDS.get(text);
  if (word !== undefined) return word;
  if (text.startsWith('.')) return float(parseDotFloat(text)) ?? { tag: 'string', text };
  const first = text.charCodeAt(0);
  if (first !== 0x2b && first !== 0x2d && (first < 0x30 || first > 0x39)) return { tag: 'string', text };
  const digits = text.replaceAll('_', '');
  const int = parseGoInt(digits);
  if (int !== undefined) return { tag: int.unsigned ? 'uint' : 'int', text: String(int.value) };
  const signed = parseSignedBinary(digits);
  return (
    float(parseYamlFloat(digits)) ??
    (signed === undefined ? { tag: 'string', text } : { tag: 'int', text: String(signed) })
  );
}

const SHORT: Readonly<Record<ScalarTag, string>> = {
  string: '!!str',
  int: '!!int',
  uint: '!!int',
  float: '!!float',
  bool: '!!bool',
  null: '!!null',
  binary: '!!binary',
  merge: '!!merge',
};

/** `implicit`: the scalar resolves by its text (see parser.ts). `tag` is in its long form, `''` for none. */
export function resolveScalar(text: string, tag: string, implicit: boolean): Resolved | Unresolved {
  if (text === '<<' && (implicit || tag === `${PREFIX}merge`)) return { tag: 'merge', text };
  if (tag === '') return implicit ? resolvePlain(text) : { tag: 'string', text };
  switch (tag.startsWith(PREFIX) ? tag.slice(PREFIX.length) : '') {
    case 'binary': {
      const bytes = decodeBase64(text);
      if (bytes === undefined) return { code: 'YamlBadBase64', problem: '!!binary value contains invalid base64 data' };
      return { tag: 'binary', text: textOfBytes(bytes) };
    }
    case 'timestamp':
      return isYamlTimestamp(text) ? { tag: 'string', text } : misfit(resolvePlain(text), text, 'timestamp');
    case 'bool':
      return as('bool', text);
    case 'int':
      return as('int', text);
    case 'float':
      return as('float', text);
    case 'null':
      return as('null', text);
    default:
      return { tag: 'string', text };
  }
}

function as(wanted: 'bool' | 'int' | 'float' | 'null', text: string): Resolved | Unresolved {
  const found = resolvePlain(text);
  if (found.tag === wanted || (wanted === 'int' && found.tag === 'uint')) return found;
  if (wanted === 'float' && found.tag === 'int') return { tag: 'float', text: formatFloat(Number(found.text)) };
  return misfit(found, text, wanted);
}

function misfit(found: Resolved, text: string, wanted: string): Unresolved {
  const problem = `cannot decode ${SHORT[found.tag]} \`${text}\` as a !!${wanted}`;
  return { code: 'YamlTagMismatch', problem };
}
