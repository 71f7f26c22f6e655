/**
 * `npm test` starts this beside vitest, so that a first build runs while the unit tests do: 1.36 and then 1.35, which
 * fewer tests need. Tests that want a plane meanwhile wait for it (provision.ts). Ends when its standard input does,
 * that is with the process that started it. A version that cannot be had
 * is told here, once, and fails the tests that need it.
 */
import { NoControlPlane, provide } from './provision.ts';
import { PLANE_VERSIONS } from './versions.ts';

const ended = new AbortController();
process.stdin.on('error', () => ended.abort());
process.stdin.on('close', () => ended.abort());
process.stdin.resume();

const progress = (line: string): void => void process.stderr.write(`[control plane] ${line}\n`);
try {
  for (const version of PLANE_VERSIONS) {
    try {
      await provide({ version, env: process.env, signal: ended.signal, progress });
    } catch (error) {
      if (ended.signal.aborted) break;
      if (!(error instanceof NoControlPlane)) throw error;
      progress(error.message);
    }
  }
} finally {
  process.stdin.destroy();
}
