/** What is known of the Go toolchain before anything is built: is it there, which one, with which flags. */
import { join } from 'node:path';
import type { PlaneVersion } from '../versions.ts';
import { PINNED } from '../versions.ts';
import { run } from './run.ts';
import type { Ask } from './types.ts';

/** The wrapper modules. */
export const GO_FOLDER = join(import.meta.dirname, '..', 'go');

/** `go1.26.8 linux/amd64`, after toolchain selection by go.mod; undefined without Go. */
export async function goVersion(ask: Pick<Ask, 'env' | 'signal'>): Promise<string | undefined> {
  const { code, stdout } = await run('go', ['version'], {
    cwd: GO_FOLDER,
    env: ask.env,
    signal: ask.signal,
    timeoutMs: 120_000,
  });
  return code === 0 ? stdout.trim().replace(/^go version /, '') : undefined;
}

/**
 * Arguments of `go build` for the control plane. `-gcflags=all=-l` (no inlining) takes a third off a cold build; that
 * is fine for a fixture, and never for what a benchmark compares with.
 */
export function goFlags(version: PlaneVersion): readonly string[] {
  const { kubernetes, modfile } = PINNED[version];
  const [major, minor] = kubernetes.slice(1).split('.');
  const name = 'k8s.io/component-base/version';
  const stamp = `-X ${name}.gitVersion=${kubernetes} -X ${name}.gitMajor=${major} -X ${name}.gitMinor=${minor}`;
  return [...modfile.args, '-trimpath', '-gcflags=all=-l', '-ldflags', `-s -w ${stamp}`];
}
