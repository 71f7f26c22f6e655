/**
 * Makes a disagreement small: takes lines, then chunks, then single bytes away for as long as the same kind of
 * disagreement stays. What is left is what a person reads, with its bytes.
 */
import type { Binary } from './vocabulary.ts';

/** A big input has many pieces and slow answers: enough is enough. */
const MAX_TRIES = 1500;
const MAX_MS = 4000;
const SHOWN = 1500;

/** The smallest text found for which `fails` still answers true. `text` itself is known to fail. */
export async function minimized(text: Binary, fails: (text: Binary) => Promise<boolean>): Promise<Binary> {
  let best = text;
  let tries = 0;
  const until = Date.now() + MAX_MS;
  const exhausted = (): boolean => tries > MAX_TRIES || Date.now() > until;
  const attempt = async (candidate: Binary): Promise<boolean> => {
    tries++;
    if (candidate === best || exhausted() || !(await fails(candidate))) return false;
    best = candidate;
    return true;
  };
  const takeLines = async (): Promise<void> => {
    for (let size = Math.max(1, best.split('\n').length >> 1); size >= 1; size >>= 1) {
      for (let at = 0; at < best.split('\n').length;) {
        const lines = best.split('\n');
        lines.splice(at, size);
        if (!(await attempt(lines.join('\n')))) at += size;
      }
    }
  };
  const takeBytes = async (): Promise<void> => {
    for (let size = Math.max(1, best.length >> 2); size >= 1; size >>= 1) {
      for (let at = 0; at < best.length;) if (!(await attempt(best.slice(0, at) + best.slice(at + size)))) at += size;
    }
  };
  for (let before = ''; before !== best;) {
    before = best;
    await takeLines();
    await takeBytes();
  }
  return best;
}

/** The bytes, readable and exact: quoted as JSON with every byte above ASCII as \xNN. A long text is cut, and says so. */
export function shown(text: Binary): string {
  const quoted = JSON.stringify(text)
    .replace(/\\u00([0-9a-f]{2})/g, '\\x$1')
    .replace(/[\x7f-\xff]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return quoted.length <= SHOWN ? quoted : `${quoted.slice(0, SHOWN)}... (${text.length} bytes)`;
}
