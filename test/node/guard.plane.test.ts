/**
 * The guard as the kubelet's stand-in runs it: a static pod whose process is `auditconfig guard`, beside a real
 * kube-apiserver. The agent is killed right after the rename and never comes back, as after a reboot in mid-change.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { realHost } from '../../src/node/host.ts';
import { readState } from '../../src/node/state-file.ts';
import type { StateFile } from '../../src/node/state-file.ts';
import { DEFAULT_LAYOUT } from '../../src/targets/host-layout.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane, PlaneOptions } from '../control-plane/plane.ts';
import { ServerProcess } from '../control-plane/process.ts';
import { GUARD, revisionFor } from './guarded-revisions.ts';

const REPOSITORY = join(import.meta.dirname, '../..');
const GUARD_POD = `${GUARD.namespace}/auditconfig-guard`;

/** The pod's own arguments, with the node's folders where they are on this machine. `exec`: the pod's process is Node. */
const guardProgram: NonNullable<PlaneOptions['pods']> = (container, root) => {
  if (container.image !== GUARD.image) return undefined;
  const args = container.argv.map((a) => (a === '--root=/host' ? `--root=${root}` : a));
  const words = [process.execPath, join(REPOSITORY, 'dist/auditconfig.js'), ...args, `--proc=${root}/proc`];
  return { file: '/bin/sh', args: ['-c', `exec ${words.map((w) => `'${w}'`).join(' ')}`] };
};

describe('the guard of a node whose agent', () => {
  let plane: ControlPlane;
  afterEach(() => plane?.stop());

  async function start(): Promise<string> {
    plane = await startControlPlane({ version: '1.36', run: 'manifest', pods: guardProgram });
    return readFile(plane.manifestPath, 'utf8');
  }

  const agent = (...args: readonly string[]): ServerProcess =>
    new ServerProcess({
      file: process.execPath,
      args: ['--import', './test/house/typescript.mjs', 'test/node/killable-agent.ts', plane.root, ...args],
      cwd: REPOSITORY,
    });
  const state = (): Promise<StateFile | null> =>
    readState(realHost({ root: plane.root }).disk, DEFAULT_LAYOUT.stateDir);
  /** As the kubelet sees them: what begins with a dot is not there. */
  const manifests = async (): Promise<readonly string[]> =>
    (await readdir(join(plane.root, 'etc/kubernetes/manifests'))).filter((n) => !n.startsWith('.'));
  const claims = async (): Promise<readonly string[]> =>
    (await readdir(join(plane.root, DEFAULT_LAYOUT.stateDir))).filter((n) => n.startsWith('claim-'));

  let said: readonly string[] = [];
  /** Until the guard's pod has come and gone; its words are kept. */
  async function untilGuardIsGone(): Promise<void> {
    const end = Date.now() + 90_000;
    said = [];
    for (let seen = false; Date.now() < end; await sleep(50)) {
      const pod = plane.runner?.pod(GUARD_POD);
      seen ||= pod !== undefined;
      if (pod !== undefined && pod.lines.length >= said.length) said = pod.lines;
      if (seen && pod === undefined) return;
    }
    throw new Error(`the guard did not come and go:\n${said.join('\n')}`);
  }

  it('dies right after the rename of a bad revision rolls back alone', async () => {
    const before = await start();
    const killed = agent('bad', 'kill');
    expect(await killed.exited).toMatchObject({ signal: 'SIGKILL' });
    expect(await readFile(plane.manifestPath, 'utf8')).toContain('sideways');
    await untilGuardIsGone();
    await plane.ready();
    expect(await readFile(plane.manifestPath, 'utf8')).toBe(before);
    expect(await manifests()).toEqual(['kube-apiserver.yaml']);
    expect(await state()).toMatchObject({
      state: { phase: 'Held', current: null, refused: revisionFor('bad').digest, why: 'CrashLoop' },
      lastFailure: { message: expect.stringContaining('sideways') as unknown },
    });
    expect(await claims()).toEqual([]);
    expect(said.join('\n')).toContain('goes on in its place');
  });

  it('dies right after the rename of a good revision commits it alone', async () => {
    await start();
    expect(await agent('good', 'kill').exited).toMatchObject({ signal: 'SIGKILL' });
    const after = await readFile(plane.manifestPath, 'utf8');
    await untilGuardIsGone();
    await plane.ready();
    expect(await readFile(plane.manifestPath, 'utf8')).toBe(after);
    expect(await manifests()).toEqual(['kube-apiserver.yaml']);
    expect(await state()).toMatchObject({ state: { phase: 'Settled', current: revisionFor('good').digest } });
    expect(await claims()).toEqual([]);
  });

  it('lives leaves everything to it, and goes away', async () => {
    await start();
    const living = agent('good');
    await untilGuardIsGone();
    expect(await living.exited).toMatchObject({ code: 0 });
    expect(living.lines.join('\n')).toContain('"Settled"');
    expect(await state()).toMatchObject({ state: { phase: 'Settled', current: revisionFor('good').digest } });
    expect(await manifests()).toEqual(['kube-apiserver.yaml']);
    expect(said.join('\n')).toContain('guard stands by');
    expect(said.join('\n')).not.toContain('in its place');
  });
});
