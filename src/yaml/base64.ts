/** `!!binary`: standard base64 as Go decodes it, to text in which each byte that is no UTF-8 is a lone surrogate. */

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const DIGIT = new Map([...ALPHABET].map((c, i) => [c, i]));

/** The bytes, or undefined where Go gives an error. Line breaks are skipped; unused bits of the last digit are too. */
export function decodeBase64(text: string): Uint8Array | undefined {
  const clean = text.replace(/[\r\n]/g, '');
  if (clean.length % 4 !== 0) return undefined;
  const padding = clean.endsWith('==') ? 2 : clean.endsWith('=') ? 1 : 0;
  const bytes = new Uint8Array((clean.length / 4) * 3 - padding);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (let i = 0; i < clean.length - padding; i++) {
    const digit = DIGIT.get(clean.charAt(i));
    if (digit === undefined) return undefined;
    held = ((held << 6) | digit) & 0xffff;
    bits += 6;
    if (bits >= 8 && at < bytes.length) {
      bits -= 8;
      bytes[at++] = (held >> bits) & 0xff;
    }
  }
  return bytes;
}

/** A Go string's bytes as text: what is no UTF-8 becomes U+DC80 to U+DCFF, byte by byte. */
export function textOfBytes(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length;) {
    const { code, width } = decodeRune(bytes, at);
    text += code < 0 ? String.fromCharCode(0xdc00 + (bytes[at] ?? 0)) : String.fromCodePoint(code);
    at += width;
  }
  return text;
}

/** utf8.DecodeRune: a code of -1 and a width of 1 where the bytes are no UTF-8. */
export function decodeRune(bytes: Uint8Array, at: number): { readonly code: number; readonly width: number } {
  const lead = bytes[at] ?? 0;
  if (lead < 0x80) return { code: lead, width: 1 };
  const width = lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
  const invalid = { code: -1, width: 1 };
  if (width === 0 || at + width > bytes.length) return invalid;
  let code = lead & (0x7f >> width);
  for (let k = 1; k < width; k++) {
    const octet = bytes[at + k] ?? 0;
    if ((octet & 0xc0) !== 0x80) return invalid;
    code = (code << 6) | (octet & 0x3f);
  }
  if (code < (width === 3 ? 0x800 : width === 4 ? 0x10000 : 0x80)) return invalid;
  return code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? invalid : { code, width };
}

/** As Go's JSON encoder and decoder write such text: U+FFFD for each byte that is no UTF-8. */
export const replaceInvalid = (text: string): string => text.replace(/[\udc80-\udcff]/gu, '\ufffd');
