import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { printable } from '../../src/cli/printable.ts';
import { LineCutter } from '../../src/cli/log-lines.ts';
import { run } from '../../src/cli/logs.ts';
import type { CommandResult } from '../../src/cli/types.ts';

const dir = mkdtempSync(join(tmpdir(), 'auditconfig-logs-'));
afterAll(() => rmSync(dir, { recursive: true }));

const event = (over: object = {}): object => ({
  kind: 'Event',
  apiVersion: 'audit.k8s.io/v1',
  level: 'Metadata',
  auditID: 'a-1',
  stage: 'ResponseComplete',
  requestURI: '/api/v1/namespaces/shop/secrets/db',
  verb: 'get',
  user: { username: 'alice', groups: ['system:authenticated'] },
  sourceIPs: ['203.0.113.9', '10.0.0.7'],
  userAgent: 'curl/8',
  objectRef: { resource: 'secrets', namespace: 'shop', name: 'db', apiVersion: 'v1' },
  responseStatus: { code: 200 },
  requestReceivedTimestamp: '2026-11-21T08:00:00.000000Z',
  stageTimestamp: '2026-11-21T08:00:00.004000Z',
  ...over,
});

type Ran = CommandResult & { readonly out: string };

let runs = 0;
/** Runs the command with real descriptors: `stdin` and standard output are files. */
async function logs(args: readonly string[], stdin: string | Buffer = ''): Promise<Ran> {
  const [input, printed] = [join(dir, `in-${++runs}`), join(dir, `out-${runs}`)];
  writeFileSync(input, stdin);
  const fds = { stdin: openSync(input, 'r'), stdout: openSync(printed, 'w') };
  const result = await run(args, {
    readFile: () => Promise.reject(new Error('logs streams')),
    fds,
    stderrIsTTY: false,
    stdoutIsTTY: false,
    env: {},
    signal: new AbortController().signal,
  });
  closeSync(fds.stdin);
  closeSync(fds.stdout);
  return { ...result, out: readFileSync(printed, 'utf8') };
}

const lines = (...events: readonly object[]): string => events.map((e) => `${JSON.stringify(e)}\n`).join('');
const file = (name: string, bytes: string | Buffer): string => {
  writeFileSync(join(dir, name), bytes);
  return join(dir, name);
};

describe('logs', () => {
  it('answers the seven questions for an event, in the order in which they are asked', async () => {
    const path = file('one.log', lines(event()));
    const { code, out } = await logs([path]);
    expect(code).toBe(0);
    expect(out.split('\n').map((l) => l.trim())).toEqual([
      `${path}:1`,
      'when:           2026-11-21T08:00:00.000000Z, this stage 4 ms later',
      'what:           get, answered 200, logged at Metadata',
      'on what:        secrets (v1) shop/db',
      'to where:       /api/v1/namespaces/shop/secrets/db',
      `observed where: the kube-apiserver that wrote ${path}, at stage ResponseComplete`,
      'from where:     10.0.0.7; the client claims: forwarded for 203.0.113.9; curl/8',
      'who:            alice',
      '',
      '',
    ]);
  });

  it('reads standard input, and prints one object a line with -o json', async () => {
    const { code, out } = await logs(['-', '-o', 'json'], lines(event(), event({ auditID: 'a-2' })));
    expect(code).toBe(0);
    const objects = out
      .trim()
      .split('\n')
      .map((l): unknown => JSON.parse(l));
    expect(objects).toMatchObject([
      { observedWhere: { file: '<stdin>', line: 1, auditID: 'a-1' }, who: { user: 'alice' } },
      { observedWhere: { line: 2, auditID: 'a-2' }, fromWhere: { address: '10.0.0.7' } },
    ]);
  });

  it('adds groups, audit ID and annotations with -o wide', async () => {
    const { out } = await logs(['-', '-o', 'wide'], lines(event({ annotations: { 'a/b': 'c' } })));
    expect(out).toContain('system:authenticated');
    expect(out).toContain('a-1');
    expect(out).toContain('annotation a/b: c');
  });

  it('reads gzip by its content, whatever the name, and several members in a row', async () => {
    const zipped = Buffer.concat([gzipSync(lines(event())), gzipSync(lines(event({ auditID: 'a-2' })))]);
    const { code, out } = await logs([file('rotated.log', zipped), '-o', 'json']);
    expect(code).toBe(0);
    expect(out.trim().split('\n')).toHaveLength(2);
  });

  it('filters by stage and level, and keeps the line numbers of the log', async () => {
    const log = lines(
      event({ stage: 'RequestReceived' }),
      event({ level: 'Request' }),
      event({ stage: 'ResponseStarted' }),
      event(),
    );
    const at = async (...args: string[]): Promise<unknown[]> => {
      const { out } = await logs(['-', '-o', 'json', ...args], log);
      const all = out
        .split('\n')
        .filter((l) => l !== '')
        .map((l): unknown => JSON.parse(l));
      return all.map((a) => (a as { observedWhere: { line: number } }).observedWhere.line);
    };
    expect(await at('--stage', 'ResponseComplete')).toEqual([2, 4]);
    expect(await at('--stage', 'ResponseStarted', '--stage', 'RequestReceived')).toEqual([1, 3]);
    expect(await at('--level', 'Metadata', '--stage', 'ResponseComplete')).toEqual([4]);
  });
});

describe('a log with broken lines', () => {
  it('names each with its number, reads the rest, and ends with code 1', async () => {
    const log = `${lines(event())}{"kind":"Event","apiV${lines(event())}\n[]\n${lines(event({ stage: 'Done' }))}${lines(event())}`;
    const { code, out, stderr } = await logs(['-', '-o', 'json'], log);
    expect(code).toBe(1);
    expect(out.trim().split('\n')).toHaveLength(2);
    expect(stderr?.match(/:\d+: .*\[\w+\]/g)?.map((l) => l.replace(/: .*\[/, ' ['))).toEqual([
      ':2 [LogLineNotJson]',
      ':4 [EventNotAnObject]',
      ':5 [EventUnknownValue]',
    ]);
  });

  it('says that a last line without its end is torn', async () => {
    const { code, out, stderr } = await logs(['-', '-o', 'json'], `${lines(event())}${lines(event()).slice(0, 80)}`);
    expect(code).toBe(1);
    expect(out.trim().split('\n')).toHaveLength(1);
    expect(stderr).toContain('<stdin>:2: error:');
    expect(stderr).toContain('[LogLineTorn]');
  });

  it('takes a whole last line without a newline as it is', async () => {
    expect(await logs(['-'], lines(event()).trimEnd())).toMatchObject({ code: 0 });
  });

  it('never repeats what stood in a broken line', async () => {
    const { stderr } = await logs(['-'], '{"requestObject":{"password":"hunter2"}\n');
    expect(stderr).not.toContain('hunter2');
  });

  it('counts what it no longer tells one by one', async () => {
    const { stderr } = await logs(['-'], 'x\n'.repeat(150));
    expect(stderr?.trim().split('\n')).toHaveLength(101);
    expect(stderr).toContain('50 more lines');
  });

  it('shows what stands before the damage of a gzip, and ends with code 1', async () => {
    const zipped = gzipSync(lines(...Array.from({ length: 4000 }, (_, i) => event({ auditID: `${i * 7919}` }))));
    const { code, out, stderr } = await logs(['-', '-o', 'json'], zipped.subarray(0, zipped.length - 3000));
    expect(code).toBe(1);
    expect(out.split('\n').length).toBeGreaterThan(100);
    expect(stderr).toContain('cannot read -');
  });

  it('ends with code 1 for a file that is not there', async () => {
    expect(await logs([join(dir, 'absent.log')])).toMatchObject({ code: 1, out: '' });
  });
});

describe('the usage of logs', () => {
  it.each([
    [[], 'missing required argument'],
    [['-', '--stage', 'ResponseCompleted'], 'did you mean "ResponseComplete"?'],
    [['-', '--level', 'metadata'], 'did you mean "Metadata"?'],
    [['-', '-o', 'xml'], 'One of text, json, wide'],
  ])('refuses %j with code 2', async (args, said) => {
    const { code, stderr } = await logs(args);
    expect(code).toBe(2);
    expect(stderr).toContain(said);
  });

  it('is explained by --help', async () => {
    expect(await logs(['--help'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('observed where') as unknown,
    });
  });
});

describe('what comes from a client', () => {
  it('cannot draw on the terminal', async () => {
    const userAgent = 'x\u001b[2J\u009b\n  who: root\u202e';
    const { out } = await logs(['-'], lines(event({ userAgent })));
    expect(out).toContain('x\\u{1b}[2J\\u{9b}\\u{a}  who: root\\u{202e}');
    expect(printable('naïve 漢 😀')).toBe('naïve 漢 😀');
  });
});

describe('lines', () => {
  const texts = (cut: LineCutter, ...chunks: readonly string[]): string[] =>
    [...chunks.flatMap((c) => cut.push(Buffer.from(c))), ...cut.end()].map((l) =>
      'text' in l ? `${l.number} ${l.text}${l.ended ? '' : ' (no end)'}` : `${l.number} too long`,
    );

  it('are the same however the chunks fall', () => {
    const log = 'a\n\nbcd\nä\ne';
    const bytes = Buffer.from(log);
    for (let i = 0; i <= bytes.length; i++) {
      const cut = new LineCutter();
      const parts = [bytes.subarray(0, i), bytes.subarray(i)].flatMap((c) => cut.push(c));
      expect([...parts, ...cut.end()].map((l) => ('text' in l ? l.text : ''))).toEqual(['a', '', 'bcd', 'ä', 'e']);
    }
  });

  it('longer than the limit are skipped, and the next is read', () => {
    expect(texts(new LineCutter(4), 'abc', 'de', 'f\nok\n', 'abcde')).toEqual(['1 too long', '2 ok', '3 too long']);
  });
});
