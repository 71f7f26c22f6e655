// Puts the dependencies of the lockfile in place where they are not. Called by run.mjs before anything else; it imports
// nothing that would have to be installed first.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export function isNodeAtLeast(wanted) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const [wantedMajor, wantedMinor] = wanted.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

/** What a lockfile asks for: packages by their folder. Undefined where there is none, or none that can be read. */
function packagesOf(lockfile) {
  try {
    return JSON.parse(readFileSync(lockfile, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/**
 * npm leaves out what is for another platform, with all that only such a package needs. Which C library is here, and so
 * which of two packages, is not judged.
 */
function mayBeMissing({ optional, os, cpu, libc }) {
  if (!optional) return false;
  const forHere = os?.includes(process.platform) && cpu?.includes(process.arch) && libc === undefined;
  return !forHere;
}

/**
 * Whether npm has installed exactly what the lockfile says, whoever ran it: it writes down what it put there, last of
 * all. Whether a package is for development does not matter; all are installed.
 */
export function isInstalled(root) {
  const wanted = packagesOf(join(root, 'package-lock.json'));
  const there = packagesOf(join(root, 'node_modules', '.package-lock.json'));
  if (wanted === undefined || there === undefined) return false;
  const same = (a, b) => a.version === b.version && a.integrity === b.integrity;
  const missing = ([folder, entry]) =>
    folder !== '' && (there[folder] === undefined ? !mayBeMissing(entry) : !same(entry, there[folder]));
  return !Object.entries(wanted).some(missing) && Object.keys(there).every((folder) => wanted[folder] !== undefined);
}

/** Gives npm's exit code; 0 where everything is there already. */
export function installDependencies(root) {
  if (isInstalled(root)) return 0;
  console.error('installing dependencies (npm ci)');
  // The npm that runs this script, and never npx, which may fetch what is not pinned. Without install scripts: ssh2 of
  // testcontainers would want a compiler, and nothing here needs one.
  const npm = process.env.npm_execpath;
  const args = ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund'];
  const [command, first] = npm === undefined ? ['npm', []] : [process.execPath, [npm]];
  const { status } = spawnSync(command, [...first, ...args], { cwd: root, stdio: 'inherit' });
  return status ?? 1;
}
