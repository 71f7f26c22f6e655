/** `auditconfig render`: what it prints, where, and what it never prints unasked. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { runCli } from '../../src/cli/index.ts';
// A command is loaded when it is asked for: here, where no test's time limit counts.
import '../../src/cli/render.ts';
import '../../src/cli/patch.ts';
import type { CommandResult, Io } from '../../src/cli/types.ts';
import { fixtures as rancher } from '../targets/contract/rancher.ts';
import { IO, NodeFolder } from './node-folder.ts';

const SAMPLES = resolve(import.meta.dirname, '../../deploy/samples');

function io(files: Readonly<Record<string, string>>): Io {
  return {
    readFile: async (path) => {
      const file = files[path];
      return file === undefined ? readFile(join(SAMPLES, path)) : new TextEncoder().encode(file);
    },
    fds: { stdin: 0, stdout: 1 },
    stderrIsTTY: false,
    stdoutIsTTY: false,
    env: {},
    signal: new AbortController().signal,
  };
}
const render = (args: string, files: Readonly<Record<string, string>> = {}): Promise<CommandResult> =>
  runCli(['render', ...args.split(' ')], io(files));

const configFor = (target: string): string =>
  `apiVersion: auditconfig.dev/v1alpha1\nkind: AuditConfig\nmetadata: {name: a, namespace: b}\nspec: {target: {type: ${target}}}\n`;

describe('auditconfig render', () => {
  it('prints flags, folder, policy and the layer of each setting', async () => {
    const { code, stdout, stderr } = await render('-f own-rules.yaml');
    expect({ code, stderr }).toEqual({ code: 0, stderr: undefined });
    const shown = parse(stdout ?? '') as Record<string, unknown>;
    expect(shown).toMatchObject({
      auditConfig: 'control-plane',
      kubernetesVersions: ['1.36'],
      logFolder: { path: '/var/log/kube-audit', readerGroup: 2000 },
      settings: { 'log.retention.maxAgeDays': 'AuditConfig', 'log.mode': 'BuiltIn' },
    });
    expect(shown['flags']).toContain('--audit-log-path=/var/log/kube-audit/audit.log');
    expect(shown['flags']).toContain('--audit-log-maxbackup=50');
    const policyFile = (shown['flags'] as readonly string[]).find((f) => f.startsWith('--audit-policy-file='));
    expect(policyFile).toContain(String(shown['digest']).slice(0, 16));
    expect(shown['policy']).toContain('kind: "Policy"');
  });

  it('prints the same as JSON, and the policy alone', async () => {
    const json = JSON.parse((await render('-f first.yaml -o json')).stdout ?? '') as { policy: string };
    expect(parse((await render('-f first.yaml')).stdout ?? '')).toEqual(json);
    expect((await render('-f first.yaml -o policy')).stdout).toBe(json.policy);
  });

  it.each([
    ['StaticPod', { target: 'StaticPod' }],
    ['Systemd', { target: 'Systemd', unit: 'kube-apiserver.service' }],
    ['Systemd, systemd: {unit: api.service}', { target: 'Systemd', unit: 'api.service' }],
  ])('says where the flags of %s go', async (target, shown) => {
    expect(parse((await render('-f a.yaml', { 'a.yaml': configFor(target) })).stdout ?? '')).toMatchObject(shown);
  });

  it.each(rancher)('prints the drop-in of $name as patch writes it', async ({ name, bare }) => {
    const node = await NodeFolder.make(bare, configFor(name));
    try {
      const shown = parse((await render('-f a.yaml', { 'a.yaml': configFor(name) })).stdout ?? '') as {
        dropIn: { path: string; content: string };
      };
      const where = ['--target', name, '--root', node.root];
      expect((await runCli(['patch', ...where, '-f', node.config], IO)).code).toBe(0);
      expect(shown.dropIn.content).toBe(await node.read(shown.dropIn.path));
    } finally {
      await node.remove();
    }
  });

  it("never shows a webhook's kubeconfig unless asked", async () => {
    const { stdout } = await render('-f webhook.yaml');
    expect(stdout).toContain('webhook: "[secret]"');
    expect(stdout).toContain('token: "[secret]"');
    expect(stdout).not.toContain('put-a-token-here');
    expect((await render('-f webhook.yaml --show-secrets')).stdout).toContain('put-a-token-here');
  });

  it('never shows a policy that came from a Secret unless asked', async () => {
    expect((await render('-f policy-in-secret.yaml')).stdout).not.toContain('contractor');
    const refused = await render('-f policy-in-secret.yaml -o policy');
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stdout).toBeUndefined();
    expect((await render('-f policy-in-secret.yaml -o policy --show-secrets')).stdout).toContain('contractor');
  });

  it('says what is wrong with file, line and column, and prints nothing then', async () => {
    const file =
      'apiVersion: auditconfig.dev/v1alpha1\nkind: AuditConfig\nmetadata: {name: a}\nspec: {target: {type: StaticPod}, polcy: {}}\n';
    const { code, stdout, stderr } = await render('-f a.yaml', { 'a.yaml': file });
    expect({ code, stdout }).toEqual({ code: 1, stdout: undefined });
    expect(stderr).toMatch(/^a\.yaml:4:\d+: error: .*\[FieldUnknown\]\n$/);
    expect((await render('-f -', { '-': file })).stderr).toMatch(/^<stdin>:4:/);
  });

  it('says so when nothing is rendered, because the state is Disabled', async () => {
    const { code, stdout } = await render('-f disabled.yaml');
    expect({ code, state: (parse(stdout ?? '') as { state: string }).state }).toEqual({ code: 0, state: 'Disabled' });
    expect((await render('-f disabled.yaml -o policy')).stdout).toBe('');
  });

  it('judges for the versions asked', async () => {
    const file =
      'apiVersion: auditconfig.dev/v1alpha1\nkind: AuditConfig\nmetadata: {name: a}\nspec: {target: {type: StaticPod}, policy: {rules: [{level: None, resources: [{group: "*"}]}]}}\n';
    expect((await render('-f a.yaml --kubernetes-version 1.36', { 'a.yaml': file })).code).toBe(0);
    expect((await render('-f a.yaml --kubernetes-version v1.35.4', { 'a.yaml': file })).code).toBe(1);
    expect(
      (await render('-f a.yaml --kubernetes-version 1.36 --kubernetes-version 1.35', { 'a.yaml': file })).code,
    ).toBe(1);
  });

  it('exits 1 for a file that cannot be read', async () => {
    expect(await render('-f missing.yaml')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('missing.yaml') as unknown,
    });
  });

  it.each([
    '-o yaml',
    '-f first.yaml -o toml',
    '-f first.yaml --kubernetes-version new',
    '-f first.yaml --kubernetes-version 1.25',
    '-f first.yaml --kubernetes-version 1.37',
    '-f first.yaml --nope',
  ])('is wrong usage: %s', async (args) => {
    const { code, stdout, stderr } = await render(args);
    expect({ code, stdout: stdout ?? '' }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^error: /);
  });
});
