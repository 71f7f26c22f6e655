// Runs vitest, and beside it what provides the control planes' binaries (test/control-plane/provision-main.ts), so that
// a first build of minutes passes behind the unit tests. Nothing is left running when vitest ends, however it ends.
import { spawn } from 'node:child_process';
import { join } from 'node:path';

const exitOf = (child) =>
  new Promise((resolve) => {
    child.on('error', () => resolve(127));
    child.on('close', (code) => resolve(code ?? 1));
  });

/** Exit code of vitest. `planes`: whether tests run that need a kube-apiserver. */
export async function vitest(root, args, { planes }) {
  // One name for both: where no source has a control plane, only the first to ask waits for the network to say so.
  const env = { ...process.env, AUDITCONFIG_RUN: `run-${process.pid}-${Date.now()}` };
  const provider =
    planes &&
    spawn(
      process.execPath,
      ['--import', './test/house/typescript.mjs', 'test/control-plane/provision-main.ts'],
      // It ends when this pipe closes: when vitest is through, or when this process is killed.
      { cwd: root, env, stdio: ['pipe', 'inherit', 'inherit'] },
    );
  const provided = provider && exitOf(provider);
  const command = join(root, 'node_modules', '.bin', 'vitest');
  const child = spawn(command, ['run', ...args], { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'] });
  const stop = (signal) => child.kill(signal);
  process.on('SIGTERM', stop).on('SIGINT', stop);
  const code = await exitOf(child);
  if (provider) provider.stdin.end();
  await provided;
  process.off('SIGTERM', stop).off('SIGINT', stop);
  return code;
}
