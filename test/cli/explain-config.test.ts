/** `auditconfig explain-config` from files: who set what, what it overrode, and what does not count. */
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { run } from '../../src/cli/explain-config.ts';
import type { CommandResult } from '../../src/cli/types.ts';
import { IO } from './node-folder.ts';

const CONFIG = `apiVersion: auditconfig.dev/v1alpha1
kind: AuditConfig
metadata: {name: main, namespace: a}
spec:
  target: {type: StaticPod}
  policy: {preset: minimal, rules: [{level: None, users: [bob]}]}
  log: {retention: {maxAgeDays: 7, maxBackups: 3}}
  webhook: {secretRef: {name: mine}}
`;
const EU = `apiVersion: auditconfig.dev/v1alpha1
kind: DatacenterAuditConfig
metadata: {name: eu}
spec:
  selector: {namespaceSelector: {matchLabels: {datacenter: eu}}}
  defaults: {log: {retention: {maxAgeDays: 30}}}
  enforced: {policy: {preset: recommended}}
  mandatoryRules: [{level: Metadata, resources: [{resources: [secrets]}]}]
  limits: {log: {retention: {maxBackups: {min: 10}}}}
  forbid: [Webhook]
`;
const namespace = (datacenter: string): string =>
  `apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {datacenter: ${datacenter}}}\n`;

const explain = (args: string, files: Readonly<Record<string, string>>): Promise<CommandResult> =>
  run(
    args.split(' ').filter((a) => a !== ''),
    {
      ...IO,
      readFile: (path) => {
        const file = files[path];
        return file === undefined
          ? Promise.reject(new Error(`no ${path}`))
          : Promise.resolve(new TextEncoder().encode(file));
      },
    },
  );
const FILES = { 'ac.yaml': CONFIG, 'dc.yaml': EU, 'ns.yaml': namespace('eu') };

describe('auditconfig explain-config', () => {
  it('says of each field who set it, what it overrode, and what does not count', async () => {
    const { code, stdout } = await explain('-f ac.yaml -f dc.yaml -f ns.yaml', FILES);
    expect(code).toBe(0);
    const rows = (stdout ?? '').split('\n').map((l) => l.split(/ {3,}/));
    expect(rows).toContainEqual(['log.retention.maxAgeDays', '7', 'AuditConfig', '30 (Datacenter/eu defaults)']);
    expect(rows).toContainEqual(['log.retention.maxBackups', '10', 'Datacenter/eu limits', '3 (AuditConfig)']);
    expect(rows).toContainEqual(['policy.preset', 'recommended', 'Datacenter/eu enforced', 'minimal (AuditConfig)']);
    expect(stdout).toContain('1 of Datacenter/eu mandatoryRules, in front of everything');
    expect(stdout).toContain('spec.webhook: {"secretRef":{"name":"mine"}} (Datacenter/eu forbid)');
    expect(stdout).toContain('eu: selects it');
  });

  it.each([['json', JSON.parse], ['yaml', parse]] as const)('gives the same as %s', async (output, read) => {
    const { stdout } = await explain(`-f ac.yaml -f dc.yaml -f ns.yaml -o ${output}`, FILES);
    const told = (read as (text: string) => unknown)(stdout ?? '') as { fields: { path: string }[] };
    expect(told).toMatchObject({
      auditConfig: { namespace: 'a', name: 'main' },
      datacenters: [{ name: 'eu', counts: true }],
      rules: [{ by: 'Datacenter/eu mandatoryRules', count: 1, front: true }, { by: 'AuditConfig', count: 1, front: false }],
      ignored: [{ path: 'webhook', value: { secretRef: { name: 'mine' } }, by: 'Datacenter/eu forbid' }],
    });
    expect(told.fields).toContainEqual({
      path: 'policy.preset',
      value: 'recommended',
      setBy: 'Datacenter/eu enforced',
      overrode: [{ by: 'AuditConfig', value: 'minimal' }],
    });
  }); // prettier-ignore

  it('leaves out a datacenter that does not select the namespace, and says so', async () => {
    const { stdout } = await explain('-f ac.yaml -f dc.yaml -f ns.yaml', { ...FILES, 'ns.yaml': namespace('us') });
    expect(stdout).toContain('eu: does not select it');
    expect(stdout).not.toContain('recommended');
  });

  it('without the Namespace takes the datacenter to select it, and says that too', async () => {
    const { stdout, stderr } = await explain('-f ac.yaml -f dc.yaml', FILES);
    expect(stdout).toContain('recommended');
    expect(stderr).toMatch(/^note: /);
  });

  it('names who is exempt, until when and why', async () => {
    const end = new Date(Date.now() + 86_400_000).toISOString();
    const exempt = `${EU}  exemptions: [{namespace: a, reason: ticket 7, expirationTime: "${end}"}]\n`;
    const { stdout } = await explain('-f ac.yaml -f dc.yaml', { ...FILES, 'dc.yaml': exempt });
    expect(stdout).toContain(`eu: exempt until ${end}: ticket 7`);
    expect(stdout).not.toContain('recommended');
  });

  it('shows built-in defaults when asked', async () => {
    const { stdout } = await explain('-f ac.yaml --all', FILES);
    expect(stdout).toMatch(/^log\.mode +Blocking +BuiltIn$/m);
  });

  it.each([
    ['', {}, 2],
    ['-f gone.yaml', {}, 1],
    ['-f dc.yaml', FILES, 1],
    ['-f ac.yaml other', FILES, 1],
    ['-f ac.yaml', { 'ac.yaml': CONFIG.replace('StaticPod', 'StaticPodd') }, 1],
    ['-f ac.yaml -f dc.yaml', { ...FILES, 'dc.yaml': EU.replace('forbid', 'forbidd') }, 1],
  ])('%j of %j ends with %d', async (args, files, code) => {
    expect((await explain(args, files)).code).toBe(code);
  });

  it('takes the AuditConfig of the namespace that is asked for, and no cluster beside files', async () => {
    const other = {
      ...FILES,
      'other.yaml': CONFIG.replace('namespace: a', 'namespace: b').replace('minimal', 'basic'),
    };
    const files = '-f ac.yaml -f other.yaml';
    expect((await explain(files, other)).code).toBe(1);
    expect((await explain(`${files} -n b`, other)).stdout).toMatch(/^policy\.preset +basic/m);
    expect((await explain(`${files} -n c`, other)).stderr).toContain('in namespace c');
    for (const flag of ['--kubeconfig k', '--context c'])
      expect((await explain(`${files} ${flag}`, other)).code).toBe(2);
  });

  it('cannot be drawn on by the words of a tenant', async () => {
    const wild = CONFIG.replace('name: mine', 'name: "mine\\e[2J"').replace('maxAgeDays: 7', '"max\\e[2J": 7');
    const { code, stderr } = await explain('-f ac.yaml', { 'ac.yaml': wild });
    expect([code, stderr]).toEqual([1, expect.stringContaining('u{1b}')]);
    expect(stderr).not.toContain('\u001b');
    const end = new Date(Date.now() + 86_400_000).toISOString();
    const reason = `${EU}  exemptions: [{namespace: a, reason: "x\\e[2J", expirationTime: "${end}"}]\n`;
    const shown = await explain('-f ac.yaml -f dc.yaml -f ns.yaml', { ...FILES, 'dc.yaml': reason });
    expect(shown.stdout).toContain('x\\u{1b}[2J');
  });
});
