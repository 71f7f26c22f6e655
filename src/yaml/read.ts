/**
 * The door of the YAML room: bytes to nodes of the first document, with places. Accepts and refuses what the API
 * server's reader does; what comes after the first document is looked at only to say that nobody will read it.
 */
import type { Finding } from '../api/findings.ts';
import { composeDocument } from './compose.ts';
import { Cursor, isBreak } from './cursor.ts';
import { decodeText } from './encoding.ts';
import type { Decoded } from './encoding.ts';
import { YamlFault, findingOf, positionOf } from './fault.ts';
import { Parser } from './parser.ts';
import { Scanner } from './scanner.ts';
import type { ReadResult } from './types.ts';

/**
 * Reads the first YAML document of `bytes`. One finding of severity error where the API server's reader gives up
 * (its first fault, in its words), a warning `MultipleDocuments` where more text follows the document. Never throws.
 */
export function readYaml(bytes: Uint8Array): ReadResult {
  const text = decodeText(bytes);
  try {
    const document = composeDocument(new Parser(new Scanner(new Cursor(text))));
    if (document === undefined) return { findings: [] };
    const more = document.end.offset >= bytes.length ? undefined : restFinding(text, document.end.offset);
    return { root: document.root, findings: more === undefined ? [] : [more] };
  } catch (e) {
    if (e instanceof YamlFault) return { findings: [findingOf(e)] };
    throw e;
  }
}

/** Says that there is more behind the first document. Tolerant: what is there has not been read by anyone. */
function restFinding(text: Decoded, offset: number): Finding | undefined {
  const place = placeOfRest(new Cursor(text), offset);
  if (place === undefined) return undefined;
  return {
    severity: 'warning',
    code: 'MultipleDocuments',
    message: 'the API server reads only the first document; what begins here has no effect',
    path: '',
    at: place,
  };
}

function placeOfRest(cursor: Cursor, offset: number): Finding['at'] {
  while (cursor.offset < offset && cursor.pos < cursor.text.length) {
    if (isBreak(cursor.at())) cursor.readLine();
    else cursor.skip();
  }
  while (cursor.pos < cursor.text.length) {
    const here = positionOf(cursor.mark);
    const from = cursor.pos;
    while (cursor.pos < cursor.text.length && !isBreak(cursor.at())) cursor.skip();
    const line = cursor.text.slice(from, cursor.pos);
    if (!/^\s*(?:#.*|---\s*(?:#.*)?|\.\.\.\s*(?:#.*)?)?$/.test(line)) return here;
    cursor.readLine();
  }
  return undefined;
}
