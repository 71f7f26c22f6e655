/** What each command says of an input that it cannot use: which file, why, and no stack; exit code 1, and nothing printed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMANDS, runCli } from '../../src/cli/index.ts';
import { IO } from './node-folder.ts';

await Promise.all(COMMANDS.map((c) => c.load()));

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'auditconfig-unreadable-'));
  writeFileSync(
    join(dir, 'garbage'),
    Uint8Array.from({ length: 999 }, (_, i) => (i * 131 + 7) % 256),
  );
  writeFileSync(join(dir, 'kube-apiserver.yaml'), 'no manifest');
  writeFileSync(
    join(dir, 'ours.yaml'),
    'apiVersion: auditconfig.dev/v1alpha1\nkind: AuditConfig\nmetadata: {name: x}\nspec: {target: {type: StaticPod}}\n',
  );
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** FILE is the input. */
const USES = [
  'lint FILE',
  'explain --policy FILE --verb get --resource pods',
  'evaluate --policy FILE',
  'render -f FILE',
  'explain-config -f FILE',
  'diff --manifest DIR/kube-apiserver.yaml -f FILE',
  'patch --manifest DIR/kube-apiserver.yaml -f FILE',
  'diff --manifest FILE -f DIR/ours.yaml',
  'prestage -f FILE --root DIR',
  'logs FILE',
  'status --kubeconfig FILE',
  'explain-config --kubeconfig FILE x',
  'prestage --kubeconfig FILE --root DIR',
];

describe.each(USES)('auditconfig %s', (use) => {
  it.each(['missing', 'garbage', '.'])('with %s for its input says which file it is about', async (name) => {
    const file = name === '.' ? dir : join(dir, name);
    const args = use.split(' ').map((a) => (a === 'FILE' ? file : a.replace('DIR', dir)));
    const { code, stdout = '', stderr = '' } = await runCli(args, IO);
    const said = stdout + stderr;
    expect([code, said]).toEqual([1, expect.stringContaining(file)]);
    expect(said).not.toMatch(/\n\s+at |this is a bug|illegal operation/);
    expect(said).not.toMatch(/[\u0000-\u0008\u000b-\u001f]/);
  });
});

describe('a policy', () => {
  it.each(['explain --verb get --path /x', 'evaluate'])(
    'is wanted by %s: of an AuditConfig it is said how to get one',
    async (use) => {
      const [name = '', ...rest] = use.split(' ');
      const { code, stderr } = await runCli([name, '--policy', join(dir, 'ours.yaml'), ...rest], IO);
      expect([code, stderr]).toEqual([1, expect.stringContaining('auditconfig render')]);
    },
  );
});
