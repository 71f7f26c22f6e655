// Puts the dependencies of the lockfile in place, once for each lockfile, Node major and platform. Called by run.mjs
// before anything else; it imports nothing that would have to be installed first.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export function isNodeAtLeast(wanted) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const [wantedMajor, wantedMinor] = wanted.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

/** Gives npm's exit code; 0 where everything is there already. */
export function installDependencies(root) {
  const stamp = join(root, 'node_modules', '.auditconfig-stamp');
  const want = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .update(`${process.versions.modules} ${process.platform} ${process.arch}`)
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === want) return 0;
  console.error('installing dependencies (npm ci)');
  // The npm that runs this script, and never npx, which may fetch what is not pinned. Without install scripts: ssh2 of
  // testcontainers would want a compiler, and nothing here needs one.
  const npm = process.env.npm_execpath;
  const args = ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund'];
  const [command, first] = npm === undefined ? ['npm', []] : [process.execPath, [npm]];
  const { status } = spawnSync(command, [...first, ...args], { cwd: root, stdio: 'inherit' });
  if (status === 0) writeFileSync(stamp, want);
  return status ?? 1;
}
