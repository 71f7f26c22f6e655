/** What is asked of systemd, and how its answers are read; systemd itself is in test/cluster/systemd.node.test.ts. */
import { describe, expect, it } from 'vitest';
import { systemdUnits } from '../../src/host/systemd.ts';
import type { Run } from '../../src/host/systemd.ts';

const UNIT = 'kube-apiserver.service';
const { signal } = new AbortController();

function played(
  answers: Readonly<Record<string, string>>,
  failing: readonly string[] = [],
): { exec: Run; asked: string[] } {
  const asked: string[] = [];
  const exec: Run = async (file, args) => {
    const line = [file, ...args].join(' ');
    asked.push(line);
    const fails = failing.some((f) => line.includes(f));
    const answer = Object.entries(answers).find(([part]) => line.includes(part))?.[1] ?? '';
    return { ok: !fails, stdout: answer, said: fails ? 'refused' : '' };
  };
  return { exec, asked };
}

describe('a unit', () => {
  it('is shown with its main process, read from /proc', async () => {
    const { exec } = played({ show: `MainPID=${process.pid}\nNRestarts=3\nActiveState=active\n` });
    const state = await systemdUnits('/proc', exec).show(UNIT, signal);
    expect(state).toMatchObject({ active: 'active', restarts: 3, process: { pid: process.pid } });
    expect(state?.process?.startedAt).toBeGreaterThan(0);
  });

  it('has no process where none runs, and no state where systemd does not answer', async () => {
    const dead = played({ show: 'MainPID=0\nNRestarts=0\nActiveState=failed\n' });
    expect(await systemdUnits('/proc', dead.exec).show(UNIT, signal)).toEqual({
      active: 'failed',
      process: null,
      restarts: 0,
    });
    const silent = played({}, ['show']);
    expect(await systemdUnits('/proc', silent.exec).show(UNIT, signal)).toBeNull();
  });

  it('is restarted after a reload, also where it has failed too often, and is not waited for', async () => {
    const { exec, asked } = played({});
    expect(await systemdUnits('/proc', exec).restart(UNIT, { reload: true }, signal)).toBeNull();
    expect(asked).toEqual([
      'systemctl daemon-reload',
      `systemctl reset-failed -- ${UNIT}`,
      `systemctl restart --no-block -- ${UNIT}`,
    ]);
    const other = played({});
    await systemdUnits('/proc', other.exec).restart(UNIT, { reload: false }, signal);
    expect(other.asked[0]).toContain('reset-failed');
  });

  it.each(['daemon-reload', 'restart'])('says what systemd says where %s is refused', async (what) => {
    const { exec } = played({}, [what]);
    expect(await systemdUnits('/proc', exec).restart(UNIT, { reload: true }, signal)).toBe('refused');
  });

  it('tells its last words from behind a cursor', async () => {
    const said = 'I0101 started\nError: invalid audit log mode\n';
    const { exec, asked } = played({ 'show-cursor': '-- cursor: s=abc;i=1\n', 'output cat': said });
    const units = systemdUnits('/proc', exec);
    const cursor = await units.cursor(UNIT, signal);
    expect(cursor).toBe('s=abc;i=1');
    expect(await units.lastWords(UNIT, cursor, signal)).toEqual(['Error: invalid audit log mode']);
    expect(asked.at(-1)).toContain('--after-cursor s=abc;i=1');
  });
});
