/** The contract of `auditconfig lint`: exit codes, JSON shape, SARIF, AuditConfig files. */
import { describe, expect, it } from 'vitest';
import { run } from '../../src/cli/lint.ts';
// lint loads it when it sees the first of our own files: not while a test's time limit counts.
import '../../src/cli/lint-objects.ts';
import type { CommandResult, Io } from '../../src/cli/types.ts';

const HEAD = 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n';
const FILES: Readonly<Record<string, string>> = {
  'good.yaml': `${HEAD}- level: Metadata\n`,
  'warned.yaml': `${HEAD}- level: None\n  verbs: ["get", "*"]\n- level: Metadata\n`,
  'broken.yaml': `${HEAD}- level: Metdata\n`,
  'star.yaml': `${HEAD}- level: None\n  resources: [{group: "*"}]\n- level: Metadata\n`,
  'auditconfig.yaml':
    'apiVersion: auditconfig.dev/v1alpha1\nkind: AuditConfig\nmetadata: {name: a, namespace: b}\nspec:\n  target: {type: StaticPod, staticPod: {}}\n  policy: {preset: nonsense}\n',
  'datacenter.yaml':
    'apiVersion: auditconfig.dev/v1alpha1\nkind: DatacenterAuditConfig\nmetadata: {name: dc}\nspec:\n  selector: {}\n  mandatoryRules:\n  - level: Metadata\n    resources: [{group: -a}]\n',
  'fleet.yaml':
    'apiVersion: auditconfig.dev/v1alpha1\nkind: DatacenterAuditConfig\nmetadata: {name: dc}\nspec:\n  selector: {}\n  enforced:\n    log: {type: None}\n---\napiVersion: auditconfig.dev/v1alpha1\nkind: AuditConfig\nmetadata: {name: a, namespace: b}\nspec: {target: {type: StaticPod}}\n---\napiVersion: auditconfig.dev/v1alpha1\nkind: AuditConfig\nmetadata: {name: b, namespace: b}\nspec:\n  target: {type: StaticPod}\n  policy: {configMapRef: {name: p}}\n',
  'elsewhere.yaml':
    'apiVersion: auditconfig.dev/v1alpha1\nkind: DatacenterAuditConfig\nmetadata: {name: dc}\nspec:\n  enforced:\n    webhook: {secretRef: {namespace: kubermatic, name: w}}\n',
  'mentions.yaml': `# see kind: AuditConfig of auditconfig.dev/v1alpha1\n${HEAD}- level: Metadata\n`,
};

function lint(args: readonly string[], io: Partial<Io> = {}): Promise<CommandResult> {
  return run(args, {
    readFile: (path) => {
      const text = FILES[path];
      return text === undefined
        ? Promise.reject(new Error(`ENOENT: no such file or directory, open '${path}'`))
        : Promise.resolve(new TextEncoder().encode(text));
    },
    fds: { stdin: 0, stdout: 1 },
    stderrIsTTY: false,
    stdoutIsTTY: false,
    env: {},
    signal: new AbortController().signal,
    ...io,
  });
}

type Shape = { files: { file: string; valid: boolean; findings: Record<string, unknown>[] }[] };
const json = async (...files: string[]): Promise<Shape> =>
  JSON.parse((await lint(['-o', 'json', ...files])).stdout ?? '') as Shape;

describe('lint', () => {
  it('exits 0 for warnings, 1 for errors, 2 for wrong usage', async () => {
    expect((await lint(['good.yaml', 'warned.yaml'])).code).toBe(0);
    expect((await lint(['good.yaml', 'broken.yaml'])).code).toBe(1);
    expect((await lint(['missing.yaml'])).code).toBe(1);
    for (const args of [
      [],
      ['-o', 'xml', 'good.yaml'],
      ['--kubernetes-version', '1.2', 'good.yaml'],
      ['--kubernetes-version', '1.37', 'good.yaml'],
      ['-', '-'],
      ['--nope', 'good.yaml'],
    ]) {
      expect((await lint(args)).code, args.join(' ')).toBe(2);
    }
  });

  it('prints the documented JSON', async () => {
    const { files } = await json('warned.yaml', 'broken.yaml');
    expect(files.map((f) => [f.file, f.valid])).toEqual([
      ['warned.yaml', true],
      ['broken.yaml', false],
    ]);
    expect(files[0]?.findings).toEqual([
      {
        severity: 'warning',
        code: 'VerbWildcard',
        message: expect.any(String) as string,
        line: 5,
        column: 18,
        path: 'rules[0].verbs[1]',
      },
    ]);
    expect(files[1]?.findings[0]).toMatchObject({ severity: 'error', line: 4, path: 'rules[0].level' });
  });

  it('says valid by the version asked', async () => {
    const old = await lint(['-o', 'json', '--kubernetes-version', 'v1.35.4', 'star.yaml']);
    expect((JSON.parse(old.stdout ?? '') as Shape).files[0]?.valid).toBe(false);
    expect((await json('star.yaml')).files[0]?.valid).toBe(true);
  });

  it('prints file, line, column, severity and code as text, in color only on a terminal', async () => {
    const plain = (await lint(['warned.yaml'])).stdout ?? '';
    expect(plain).toMatch(/^warned\.yaml:5:18: warning VerbWildcard: \S/);
    expect((await lint(['warned.yaml'], { stdoutIsTTY: true })).stdout).toContain('\u001b[');
  });

  it.each([
    ['a pipe', false, {}, false],
    ['a terminal', true, {}, true],
    ['a terminal with NO_COLOR', true, { NO_COLOR: '1' }, false],
    ['a terminal with an empty NO_COLOR, which is none', true, { NO_COLOR: '' }, true],
    ['a pipe with FORCE_COLOR', false, { FORCE_COLOR: '1' }, true],
    ['a pipe with an empty FORCE_COLOR, which is none', false, { FORCE_COLOR: '' }, false],
    ['a terminal with FORCE_COLOR=0', true, { FORCE_COLOR: '0' }, false],
    ['NO_COLOR and FORCE_COLOR', true, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
    ['a dumb terminal', true, { TERM: 'dumb' }, false],
  ])('colors the text on %s: %4$s', async (_, stdoutIsTTY, env, colored) => {
    const { stdout } = await lint(['warned.yaml'], { stdoutIsTTY, env });
    expect(stdout?.includes('\u001b[')).toBe(colored);
  });

  it('prints SARIF that a code scanner can place', async () => {
    const log = JSON.parse((await lint(['-o', 'sarif', 'warned.yaml', 'broken.yaml'])).stdout ?? '') as {
      version: string;
      runs: { tool: { driver: { rules: { id: string }[] } }; results: Record<string, unknown>[] }[];
    };
    const [only] = log.runs;
    expect(log.version).toBe('2.1.0');
    const ids = only?.tool.driver.rules.map((r) => r.id) ?? [];
    expect(only?.results.map((r) => ids[Number(r.ruleIndex)])).toEqual(only?.results.map((r) => r.ruleId));
    expect(only?.results[0]).toMatchObject({
      ruleId: 'VerbWildcard',
      level: 'warning',
      locations: [
        { physicalLocation: { artifactLocation: { uri: 'warned.yaml' }, region: { startLine: 5, startColumn: 18 } } },
      ],
    });
  });

  it('takes AuditConfig files, and no policy that only mentions one', async () => {
    const { files } = await json('auditconfig.yaml', 'mentions.yaml');
    expect(files[0]?.valid).toBe(false);
    expect(files[0]?.findings.some((f) => String(f.path).startsWith('spec.policy'))).toBe(true);
    expect(files[1]).toEqual({ file: 'mentions.yaml', valid: true, findings: [] });
  });

  it('takes DatacenterAuditConfigs, and any number of AuditConfigs beside them', async () => {
    const { files } = await json('datacenter.yaml', 'fleet.yaml', 'elsewhere.yaml');
    const said = files.map((f) => f.findings.map((x) => [x['severity'], x['code'], x['line']]));
    expect(said).toEqual([
      [['error', 'GroupInvalid', 8]],
      [
        ['error', 'NoBackend', 7],
        ['error', 'ReferenceNotFound', 19],
      ],
      [['error', 'ReferenceNotFound', 6]],
    ]);
    expect(files[2]?.findings[0]?.['message']).toContain('in namespace kubermatic');
  });

  it('has a help with examples', async () => {
    const { code, stdout } = await lint(['--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('Examples:');
  });
});
