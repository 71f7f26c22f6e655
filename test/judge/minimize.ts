/**
 * Makes a disagreement small: takes lines, then chunks, then single bytes away for as long as the same kind of
 * disagreement stays. What is left is what a person reads, with its bytes.
 */
import type { Binary } from './vocabulary.ts';

const MAX_TRIES = 3000;

/** The smallest text found for which `fails` still answers true. `text` itself is known to fail. */
export async function minimized(text: Binary, fails: (text: Binary) => Promise<boolean>): Promise<Binary> {
  let best = text;
  let tries = 0;
  const attempt = async (candidate: Binary): Promise<boolean> => {
    if (candidate === best || tries++ > MAX_TRIES || !(await fails(candidate))) return false;
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

/** The bytes, readable and exact: quoted as JSON with every byte above ASCII as \xNN. */
export const shown = (text: Binary): string =>
  JSON.stringify(text)
    .replace(/\\u00([0-9a-f]{2})/g, '\\x$1')
    .replace(/[\x7f-\xff]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
