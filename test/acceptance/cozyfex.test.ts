/**
 * CozyFex's page, without its hand work: its manifest as printed (with two flags on one line, and with the volumes and
 * mounts that it leaves to the reader) through `auditconfig diff` and `auditconfig patch`, on a folder that plays the
 * node's disk.
 */
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { run as diff } from '../../src/cli/diff.ts';
import { run as patch } from '../../src/cli/patch.ts';
import type { CommandModule, CommandResult, Io } from '../../src/cli/types.ts';

const fixture = (name: string): Promise<string> => readFile(`${import.meta.dirname}/fixtures/${name}`, 'utf8');
const MANIFEST = 'etc/kubernetes/manifests/kube-apiserver.yaml';

type Pod = {
  spec: {
    containers: { command: string[]; volumeMounts: { mountPath: string; name: string; readOnly?: boolean }[] }[];
    volumes: { name: string; hostPath: { path: string; type: string } }[];
  };
};

describe("CozyFex's manifest, as printed", () => {
  let root: string;
  let printed: string;
  const on = (path: string): string => join(root, path);
  const read = (path: string): Promise<string> => readFile(on(path), 'utf8');
  const io: Io = {
    readFile: (path) => readFile(path),
    fds: { stdin: 0, stdout: 1 },
    stderrIsTTY: false,
    stdoutIsTTY: false,
    env: {},
    signal: new AbortController().signal,
  };
  const call = (command: CommandModule['run'], ...args: string[]): Promise<CommandResult> =>
    command(['--manifest', on(MANIFEST), '--root', root, ...args], io);
  const withConfig = ['-f', `${import.meta.dirname}/fixtures/cozyfex.auditconfig.yaml`];
  /** Every file below the root but the journal's folder, by path. */
  const files = async (): Promise<Record<string, string>> => {
    const all = await readdir(root, { recursive: true, withFileTypes: true });
    const plain = all.filter((e) => e.isFile()).map((e) => join(e.parentPath, e.name));
    return Object.fromEntries(
      await Promise.all(plain.map(async (f) => [f.slice(root.length + 1), await readFile(f, 'utf8')] as const)),
    );
  };

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'auditconfig-cozyfex-'));
    printed = await fixture('cozyfex.kube-apiserver.yaml');
    await mkdir(dirname(on(MANIFEST)), { recursive: true });
    await writeFile(on(MANIFEST), printed);
    await writeFile(on('etc/kubernetes/audit-policy.yaml'), await fixture('cozyfex.policy.yaml'));
  });
  afterEach(() => rm(root, { recursive: true }));

  it('diff says what is wrong with it, and shows what patch would do, and changes nothing', async () => {
    const before = await files();
    const { code, stdout = '', stderr = '' } = await call(diff, ...withConfig);
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
    expect(await files()).toEqual(before);
  });

  it('patch adds the volumes and mounts that the page leaves to its reader, and touches no other line', async () => {
    expect(await call(patch, ...withConfig)).toMatchObject({ code: 0 });
    const text = await read(MANIFEST);
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
    expect(await read(policy.slice(1))).toContain('kind: "Policy"');
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
    await call(patch, ...withConfig);
    const once = await files();
    expect(await call(patch, ...withConfig)).toMatchObject({ code: 0, stdout: 'Nothing to change.\n' });
    expect(await files()).toEqual(once);
    expect(await call(patch, '--remove')).toMatchObject({ code: 0 });
    expect(await read(MANIFEST)).toBe(printed);
    expect(await readdir(on('etc/kubernetes'))).not.toContain('auditconfig');
  });

  it('a mistake in the AuditConfig changes no file', async () => {
    const broken = on('broken.yaml');
    await writeFile(broken, (await fixture('cozyfex.auditconfig.yaml')).replace('level: Metadata', 'level: Metdata'));
    const before = await files();
    const { code, stderr = '' } = await call(patch, '-f', broken);
    expect(code).toBe(1);
    expect(stderr).toMatch(/did you mean "?Metadata"?/);
    expect(await files()).toEqual(before);
  });
});
