/** `auditconfig explain`: a request from flags, from standard input, or out of a recorded event. */
import { describe, expect, it } from 'vitest';
import { run } from '../../src/cli/explain.ts';
import type { CommandResult } from '../../src/cli/types.ts';

const POLICY = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  verbs: [create]
  resources: [{group: "", resources: [pods], resourceNames: [web]}]
- level: None
  nonResourceURLs: ["/healthz*"]
- level: Request
  resources: [{group: apps, resources: [deployments]}]
`;

function explain(args: readonly string[], stdin = ''): Promise<CommandResult> {
  const encoder = new TextEncoder();
  return run(['--policy', 'p.yaml', ...args], {
    readFile: (path) => Promise.resolve(encoder.encode(path === '-' ? stdin : POLICY)),
    fds: { stdin: 0, stdout: 1 },
    stderrIsTTY: false,
    stdoutIsTTY: false,
    env: {},
    signal: new AbortController().signal,
  });
}
const json = async (args: readonly string[], stdin = ''): Promise<unknown> =>
  JSON.parse((await explain(['-o', 'json', ...args], stdin)).stdout ?? '');

const DEPLOYMENT = [
  '--user',
  'alice',
  '--group',
  'dev',
  '--verb',
  'patch',
  '--resource',
  'deployments',
  '--api-group',
  'apps',
  '-n',
  'x',
];

describe('explain', () => {
  it('takes a request from flags and gives codes as JSON', async () => {
    expect(await json(DEPLOYMENT)).toMatchObject({
      level: 'Request',
      rule: 2,
      omitStages: ['RequestReceived'],
      omitManagedFields: false,
      events: [{ stage: 'ResponseComplete', requestObject: true, responseObject: false }],
      earlier: [
        { rule: 0, code: 'Verb' },
        { rule: 1, code: 'AResourceRequest' },
      ],
    });
  });

  it('names rules with their lines as text', async () => {
    const { stdout, code } = await explain(DEPLOYMENT);
    expect(code).toBe(0);
    expect(stdout).toContain('rules[2] (p.yaml:10:3) decides: level Request');
    expect(stdout).toContain('rules[0] (p.yaml:5:3): Verb:');
  });

  it('takes a path from flags', async () => {
    expect(await json(['--verb', 'get', '--path', '/healthz/etcd'])).toMatchObject({
      level: 'None',
      rule: 1,
      events: [],
    });
  });

  it('takes a request from standard input', async () => {
    const line = '{"user":"a","groups":[],"resourceAttributes":{"verb":"get","resource":"pods"}}';
    expect(await json([], line)).toMatchObject({ level: 'None', rule: null });
  });

  it('takes a recorded event, in which a create shows a name that the policy never saw', async () => {
    const event = {
      kind: 'Event',
      verb: 'create',
      requestURI: '/api/v1/namespaces/x/pods',
      user: { username: 'a', groups: [] },
      objectRef: { resource: 'pods', namespace: 'x', name: 'web', apiVersion: 'v1' },
    };
    expect(await json([], JSON.stringify(event))).toMatchObject({
      rule: null,
      earlier: [{ code: 'ResourceName' }, {}, {}],
    });
  });

  it('exits 1 for an input that is no request, and 2 for wrong usage', async () => {
    expect((await explain([], 'nonsense')).code).toBe(1);
    expect((await explain([], '{}')).code).toBe(1);
    for (const args of [
      ['--verb', 'get'],
      ['--path', '/x'],
      ['--verb', 'get', '--path', '/x', '--resource', 'pods'],
      ['--verb', 'get', '--path', 'x'],
      ['-o', 'xml'],
      ['more'],
    ]) {
      expect((await explain(args)).code, args.join(' ')).toBe(2);
    }
  });

  it.each([
    ['--verb get --resource deployments', ['ResourceInOtherGroup']],
    ['--verb gte --resource pods/exce', ['VerbUnknown', 'SubresourceUnknown']],
    ['--verb list --path /healthz', ['VerbUnknown']],
    ['--user system:serviceaccount:x --verb get --resource pods', ['ServiceAccountMalformed']],
    ['--user alice --group dev --verb patch --resource widgets --api-group example.org', []],
    ['--verb create --resource pods/exec -n default --name web', []],
  ])('explains %s, and says which of its words no request has', async (args, codes) => {
    const { code, stdout, stderr } = await explain(args.split(' '));
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^(rules\[\d\] .*decides|No rule matches)/)]);
    expect([...(stderr ?? '').matchAll(/^note: (\w+): /gm)].map((m) => m[1])).toEqual(codes);
  });

  it('shows control characters of its input as escapes', async () => {
    const { stderr } = await explain([], '\u001b[31mred');
    expect(stderr).toContain('u{1b}');
    expect(stderr).not.toContain('\u001b');
  });

  it('has a help with examples', async () => {
    const { code, stdout } = await explain(['--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('Examples:');
  });
});
