// Builds dist/ where it is missing or older than what it is made from. Told apart by content and not by time: a fresh
// clone has no times worth comparing. build.mjs says how; this says when.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

function hashTree(hash, root, dir) {
  for (const entry of readdirSync(dir, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) hashTree(hash, root, path);
    else hash.update(path.slice(root.length)).update('\0').update(readFileSync(path));
  }
}

/** Whether there is a bundle now; what is wrong with the sources has been printed otherwise. */
export async function buildIfStale(root, force = false) {
  const hash = createHash('sha256');
  hashTree(hash, root, join(root, 'src'));
  for (const f of ['package-lock.json', 'package.json', 'test/house/build.mjs'])
    hash.update(readFileSync(join(root, f)));
  const want = hash.digest('hex');
  const stamp = join(root, 'dist', '.stamp');
  if (!force && existsSync(stamp) && readFileSync(stamp, 'utf8') === want) return true;
  const { bundle } = await import('./build.mjs');
  try {
    await bundle(root);
  } catch (error) {
    console.error(`building dist/ failed: ${error.message.split('\n')[0]}`);
    return false;
  }
  mkdirSync(join(root, 'dist'), { recursive: true });
  writeFileSync(stamp, want);
  return true;
}
