/** Numbers as Go's strconv reads them, and as its encoding/json writes them. Text in, text out: no precision is lost. */

const INT = /^[+-]?(?:0[xX]([0-9a-fA-F]+)|0[oO]([0-7]+)|0[bB]([01]+)|(0[0-7]*)|([1-9][0-9]*))$/;

const MAX_INT64 = 2n ** 63n - 1n;
const MIN_INT64 = -(2n ** 63n);
const MAX_UINT64 = 2n ** 64n - 1n;

export const isInt64 = (n: bigint): boolean => n >= MIN_INT64 && n <= MAX_INT64;

/** strconv.ParseInt or ParseUint with base 0: prefixes `0x 0o 0b 0`, a sign for the former only. */
export function parseGoInt(text: string): { readonly value: bigint; readonly unsigned: boolean } | undefined {
  const m = INT.exec(text);
  if (m === null) return undefined;
  const [, hex, octal, binary, legacy, decimal] = m;
  let value: bigint;
  if (hex !== undefined) value = BigInt(`0x${hex}`);
  else if (octal !== undefined) value = BigInt(`0o${octal}`);
  else if (binary !== undefined) value = BigInt(`0b${binary}`);
  else if (legacy !== undefined) value = BigInt(`0o${legacy}`);
  else value = BigInt(decimal ?? '0');
  if (text.startsWith('-')) value = -value;
  if (isInt64(value)) return { value, unsigned: false };
  const signed = text.startsWith('-') || text.startsWith('+');
  return !signed && value <= MAX_UINT64 ? { value, unsigned: true } : undefined;
}

/** What go.yaml.in/yaml still tries after a float: digits behind `0b`, which may have a sign of their own. */
export function parseSignedBinary(text: string): bigint | undefined {
  const m = /^0b([+-])([01]+)$/.exec(text);
  if (m === null) return undefined;
  const value = BigInt(`0b${m[2] ?? ''}`) * (m[1] === '-' ? -1n : 1n);
  return isInt64(value) ? value : undefined;
}

/** YAML's own idea of a float, with underscores removed before. Out of range is no float. */
export function parseYamlFloat(text: string): number | undefined {
  if (!/^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/.test(text)) return undefined;
  return finite(text);
}

/** strconv.ParseFloat on a text that begins with a dot: underscores are allowed between digits. */
export function parseDotFloat(text: string): number | undefined {
  if (!/^\.[0-9_]+([eE][-+]?[0-9][0-9_]*)?$/.test(text)) return undefined;
  if (/(?:^|[^0-9_])_|__|_(?:[^0-9_]|$)/.test(text)) return undefined;
  return finite(text.replaceAll('_', ''));
}

function finite(text: string): number | undefined {
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

/** As encoding/json writes a float64, which is how JavaScript does, but for negative zero. */
export const formatFloat = (n: number): string => (Object.is(n, -0) ? '-0' : String(n));

/** strconv.FormatFloat(n, 'g', -1, 32): how a float becomes a key. */
export function formatFloatKey(n: number): string {
  const narrow = Math.fround(n);
  if (Number.isNaN(narrow)) return '.nan';
  if (!Number.isFinite(narrow)) return narrow < 0 ? '-.inf' : '.inf';
  if (narrow === 0) return Object.is(narrow, -0) ? '-0' : '0';
  let digits = 1;
  while (digits < 9 && Math.fround(Number(narrow.toExponential(digits - 1))) !== narrow) digits++;
  const [mantissa = '', exponent = '0'] = narrow.toExponential(digits - 1).split('e');
  const exp = Number(exponent);
  if (exp >= -4 && exp < 6)
    return exp >= 0 && exp + 1 >= digits ? integral(mantissa, exp) : narrow.toFixed(digits - 1 - exp);
  const size = Math.abs(exp);
  return `${mantissa}e${exp < 0 ? '-' : '+'}${size < 10 ? '0' : ''}${size}`;
}

const integral = (mantissa: string, exp: number): string => {
  const sign = mantissa.startsWith('-') ? '-' : '';
  return sign + mantissa.replace(/[-.]/g, '').padEnd(exp + 1, '0');
};
