/**
 * CozyFex's page, without its hand work: its manifest as printed (with two flags on one line, and with the volumes and
 * mounts that it leaves to the reader) and its unit (without a continuation, so that its audit flags are no arguments)
 * through `auditconfig diff` and `auditconfig patch`, on a folder that plays the node's disk.
 */
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { run as diff } from '../../src/cli/diff.ts';
import { run as patch } from '../../src/cli/patch.ts';
import type { CommandModule, CommandResult } from '../../src/cli/types.ts';
import { IO, NodeFolder } from '../cli/node-folder.ts';

const fixture = (name: string): Promise<string> => readFile(`${import.meta.dirname}/fixtures/${name}`, 'utf8');
const MANIFEST = '/etc/kubernetes/manifests/kube-apiserver.yaml';

type Pod = {
  spec: {
    containers: { command: string[]; volumeMounts: { mountPath: string; name: string; readOnly?: boolean }[] }[];
    volumes: { name: string; hostPath: { path: string; type: string } }[];
  };
};

describe("CozyFex's manifest, as printed", () => {
  let node: NodeFolder;
  let printed: string;
  const call = (command: CommandModule['run'], ...args: string[]): Promise<CommandResult> =>
    command(['--manifest', node.at(MANIFEST), '--root', node.root, ...args], IO);
  const withConfig = (): string[] => ['-f', node.config];

  beforeEach(async () => {
    printed = await fixture('cozyfex.kube-apiserver.yaml');
    const files = { [MANIFEST]: printed, '/etc/kubernetes/audit-policy.yaml': await fixture('cozyfex.policy.yaml') };
    node = await NodeFolder.make(files, await fixture('cozyfex.auditconfig.yaml'));
  });
  afterEach(() => node.remove());

  it('diff says what is wrong with it, and shows what patch would do, and changes nothing', async () => {
    const before = await node.tree();
    const { code, stdout = '', stderr = '' } = await call(diff, ...withConfig());
    expect(code).toBe(0);
    // --advertise-address and --allow-privileged on one line are one argument.
    expect(stderr).toContain('SeveralFlagsInOneArgument');
    expect(stderr).toContain('spec.containers[0].command[2]');
    // Its log lies in a folder that holds more, and rotation needs the whole folder.
    expect(stderr).toContain('LogFolderShared');
    expect(stderr).toMatch(/\/var\/log .*rotation/);
    // Its three flags are kept in mind for a removal.
    for (const flag of ['--audit-log-path', '--audit-policy-file', '--audit-log-maxage'])
      expect(stderr).toMatch(new RegExp(`FlagAdopted.*${flag}|${flag}.*FlagAdopted`));
    expect(stdout).toMatch(/^-\s+- --audit-policy-file=\/etc\/kubernetes\/audit-policy\.yaml$/m);
    expect(stdout).not.toMatch(/^-.*--audit-log-(path|maxage)/m);
    expect(await node.tree()).toEqual(before);
  });

  it('patch adds the volumes and mounts that the page leaves to its reader, and touches no other line', async () => {
    expect(await call(patch, ...withConfig())).toMatchObject({ code: 0 });
    const text = await node.read(MANIFEST);
    const lines = text.split('\n');
    const gone = printed.split('\n').filter((l) => !lines.includes(l));
    expect(gone).toEqual(['        - --audit-policy-file=/etc/kubernetes/audit-policy.yaml']);

    const { spec } = parse(text) as Pod;
    const [container] = spec.containers;
    const valueOf = (flag: string): string | undefined =>
      container?.command.find((a) => a.startsWith(`${flag}=`))?.slice(flag.length + 1);
    const policy = valueOf('--audit-policy-file') ?? '';
    const log = valueOf('--audit-log-path') ?? '';
    expect(log).toBe('/var/log/k8-audit.log');
    expect(valueOf('--audit-log-maxage')).toBe('30');
    expect(await node.read(policy)).toContain('kind: "Policy"');
    // Both files can be seen from inside the container: each lies in a folder that is mounted from the same place.
    for (const [file, readOnly] of [
      [policy, true],
      [log, false],
    ] as const) {
      const mount = container?.volumeMounts.find((m) => file.startsWith(`${m.mountPath}/`));
      const volume = spec.volumes.find((v) => v.name === mount?.name);
      expect(volume?.hostPath).toEqual({ path: mount?.mountPath, type: 'DirectoryOrCreate' });
      expect(mount?.readOnly ?? false).toBe(readOnly);
    }
  });

  it('patch twice changes nothing the second time, and --remove gives the printed manifest back', async () => {
    await call(patch, ...withConfig());
    const once = await node.tree();
    expect(await call(patch, ...withConfig())).toMatchObject({ code: 0, stdout: 'Nothing to change.\n' });
    expect(await node.tree()).toEqual(once);
    expect(await call(patch, '--remove')).toMatchObject({ code: 0 });
    expect(await node.read(MANIFEST)).toBe(printed);
    expect(await readdir(node.at('/etc/kubernetes'))).not.toContain('auditconfig');
  });

  it('a mistake in the AuditConfig changes no file', async () => {
    await writeFile(
      node.config,
      (await fixture('cozyfex.auditconfig.yaml')).replace('level: Metadata', 'level: Metdata'),
    );
    const before = await node.tree();
    const { code, stderr = '' } = await call(patch, ...withConfig());
    expect(code).toBe(1);
    expect(stderr).toMatch(/did you mean "?Metadata"?/);
    expect(await node.tree()).toEqual(before);
  });
});

describe("CozyFex's kube-apiserver.service", () => {
  const UNIT = '/etc/systemd/system/kube-apiserver.service';
  const unitOf = (exec: string): string =>
    `[Unit]\nDescription=Kubernetes API Server\n\n[Service]\n${exec}Restart=on-failure\nRestartSec=5\n\n[Install]\nWantedBy=multi-user.target\n`;
  let printed: string;
  /** What the shell's here-document, for which the page prints it, makes of it. */
  let written: string;
  let node: NodeFolder;
  const call = (command: CommandModule['run'], ...args: string[]): Promise<CommandResult> =>
    command(['--unit', node.at(UNIT), '--root', node.root, '--kubernetes-version', '1.36', ...args], IO);
  const withConfig = (): string[] => ['-f', node.config];
  const mended = (): string => written.replace(/(--v=2|k8-audit\.log|audit-policy\.yaml)\n/g, '$1 \\\n');

  beforeEach(async () => {
    printed = await fixture('cozyfex.kube-apiserver.txt');
    written = unitOf(printed.replaceAll('\\\\', '\\').replace('${INTERNAL_IP}', '10.240.0.10'));
    const config = (await fixture('cozyfex.auditconfig.yaml')).replace('type: StaticPod', 'type: Systemd');
    node = await NodeFolder.make({ '/etc/kubernetes/audit-policy.yaml': await fixture('cozyfex.policy.yaml') }, config);
  });
  afterEach(() => node.remove());

  it('as printed is refused with file, line and column, and nothing is changed', async () => {
    // Line 1 ends in two backslashes; what follows would be no argument.
    await node.write(UNIT, printed);
    const refusal = await node.unchanged(() => call(patch, ...withConfig()));
    expect(refusal.code).toBe(1);
    expect(refusal.stderr).toContain(`${node.at(UNIT)}:1:${printed.indexOf('\\') + 1}: error: `);
    expect(refusal.stderr).toContain('[ContinuationMissing]');
  });

  it('as the shell writes it is refused at the end of the line that lacks its backslash', async () => {
    await node.write(UNIT, written);
    const line = written.split('\n').findIndex((l) => l.endsWith('--v=2')) + 1;
    for (const command of [patch, diff]) {
      const { code, stderr = '' } = await node.unchanged(() => call(command, ...withConfig()));
      expect(code).toBe(1);
      expect(stderr).toContain(`${node.at(UNIT)}:${line}:${'    --v=2'.length + 1}: error: `);
      expect(stderr).toMatch(/--audit-log-path.*\[ContinuationMissing\]/);
    }
  });

  it('mended is patched: its three audit flags are taken over, every other line stays, and removal gives all back', async () => {
    await node.write(UNIT, mended());
    const before = await node.tree();
    const { code, stdout, stderr } = await call(patch, ...withConfig());
    expect(code).toBe(0);
    expect(stdout).toContain('systemctl daemon-reload && systemctl restart kube-apiserver.service');
    for (const flag of ['--audit-log-path', '--audit-policy-file', '--audit-log-maxage'])
      expect(stderr).toMatch(new RegExp(`${flag}.*\\[FlagAdopted\\]`));
    const lines = (await node.read(UNIT)).split('\n').map((l) => l.replace(/ \\$/, ''));
    const gone = mended()
      .split('\n')
      .map((l) => l.replace(/ \\$/, ''))
      .filter((l) => !lines.includes(l));
    expect(gone).toEqual(['    --audit-policy-file=/etc/kubernetes/audit-policy.yaml']);
    expect(await call(patch, ...withConfig())).toMatchObject({ code: 0, stdout: 'Nothing to change.\n' });
    expect((await call(patch, '--remove')).code).toBe(0);
    expect(await node.tree()).toEqual(before);
  });
});
