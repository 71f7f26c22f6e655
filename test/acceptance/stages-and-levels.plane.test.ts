/**
 * The document 'stages and levels', observed: an event of each of its four stages and four levels in the log of a real
 * API server, and the seven questions with which it begins, answered by `auditconfig logs` for every event of that log.
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answers } from '../../src/analysis/answers.ts';
import { run as logs } from '../../src/cli/logs.ts';
import type { CommandResult, Io } from '../../src/cli/types.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { PLANE_VERSIONS } from '../control-plane/versions.ts';
import { BROKEN_WATCH, serveBreakingApi } from './aggregated.ts';
import { AuditedClient, readEvents } from './audited.ts';

/** All four levels; nothing is left out of any stage. */
const POLICY = `apiVersion: audit.k8s.io/v1
kind: Policy
rules:
  - level: None
    resources: [{group: coordination.k8s.io}]
  - level: Metadata
    resources: [{group: "", resources: [secrets]}]
  - level: Request
    resources: [{group: "", resources: [configmaps]}]
  - level: RequestResponse
    resources: [{group: "", resources: [pods]}]
  - level: Metadata
`;
const NS = '/api/v1/namespaces/default';
const SEVEN = ['when', 'what', 'on what', 'to where', 'observed where', 'from where', 'who'];

describe.each(PLANE_VERSIONS.map((v) => [v] as const))('stages and levels, on kube-apiserver %s', (version) => {
  let plane: ControlPlane;
  let client: AuditedClient;
  let log: string;

  beforeAll(async () => {
    plane = await startControlPlane({
      version,
      files: { 'etc/kubernetes/audit-policy.yaml': POLICY },
      flags: [
        '--audit-policy-file={root}/etc/kubernetes/audit-policy.yaml',
        '--audit-log-path={root}/var/log/kube-audit/audit.log',
      ],
    });
    log = join(plane.root, 'var/log/kube-audit/audit.log');
    client = new AuditedClient(plane, log);
  });
  afterAll(() => plane?.stop());

  it('each level holds what the document says: nothing, metadata, the body of the request, that of the response too', async () => {
    const metadata = { generateName: 'levels-' };
    const pod = { metadata, spec: { containers: [{ name: 'c', image: 'example.org/c:1' }] } };
    const created = [
      ['/apis/coordination.k8s.io/v1/namespaces/default/leases', { metadata, spec: {} }],
      [`${NS}/secrets`, { metadata, stringData: { password: 'do-not-log-me' } }],
      [`${NS}/configmaps`, { metadata, data: { key: 'value' } }],
      [`${NS}/pods`, pod],
    ] as const;
    const ids: string[] = [];
    for (const [path, body] of created) ids.push(await client.send({ method: 'POST', path, body }));
    const stages = ['RequestReceived', 'ResponseComplete'];
    expect(await client.seen(ids)).toEqual([
      { level: 'None', bodies: '', stages: [] },
      { level: 'Metadata', bodies: '', stages },
      { level: 'Request', bodies: 'request', stages },
      { level: 'RequestResponse', bodies: 'request+response', stages },
    ]);
  });

  it('a watch, and nothing shorter, has the stage ResponseStarted', async () => {
    const watch = await client.send({ method: 'GET', path: `${NS}/pods?watch=1&timeoutSeconds=1` });
    const list = await client.send({ method: 'GET', path: `${NS}/pods` });
    const [watched, listed] = await client.seen([watch, list]);
    expect(watched?.stages).toEqual(['RequestReceived', 'ResponseStarted', 'ResponseComplete']);
    expect(listed?.stages).toEqual(['RequestReceived', 'ResponseComplete']);
  });

  it('a watch that an aggregated API breaks off ends in the stage Panic', async () => {
    const close = await serveBreakingApi(plane);
    try {
      // Its connection is broken too, so there is no answer: only the log tells.
      await client.send({ method: 'GET', path: BROKEN_WATCH }).catch(() => undefined);
      const end = Date.now() + 20_000;
      const panics = async () => (await readEvents(log)).filter((e) => e.stage === 'Panic');
      while ((await panics()).length === 0 && Date.now() < end) await sleep(100);
      expect((await panics()).map((e) => [e.requestURI, e.verb, e.responseStatus?.code])).toContainEqual([
        BROKEN_WATCH,
        'watch',
        500,
      ]);
    } finally {
      close();
    }
  });

  it('`auditconfig logs` answers the seven questions for each event of that log', async () => {
    const copy = join(plane.root, 'copy.log');
    const events = await readEvents(log);
    await writeFile(copy, events.map((e) => `${JSON.stringify(e)}\n`).join(''));
    expect(new Set(events.map((e) => e.stage))).toEqual(
      new Set(['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic']),
    );
    expect(new Set(events.map((e) => e.level))).toEqual(new Set(['Metadata', 'Request', 'RequestResponse']));

    const text = await printed([copy], join(plane.root, 'text'));
    expect(text.result).toEqual({ code: 0 });
    const blocks = text.out.split('\n\n').filter((b) => b !== '');
    expect(blocks).toHaveLength(events.length);
    const asked = blocks.map((b) => b.split('\n').flatMap((l) => /^ {2}([a-z ]+): +\S/.exec(l)?.[1] ?? []));
    expect(asked.filter((questions) => questions.join() !== SEVEN.join())).toEqual([]);

    const json = await printed([copy, '-o', 'json'], join(plane.root, 'json'));
    const answers = json.out.split('\n').flatMap((l) => (l === '' ? [] : [JSON.parse(l) as Answers]));
    expect(answers.map((a) => [a.observedWhere.auditID, a.observedWhere.stage, a.what.verb, a.toWhere.uri])).toEqual(
      events.map((e) => [e.auditID, e.stage, e.verb, e.requestURI]),
    );
    expect(answers.filter((a) => a.when.received === undefined || a.fromWhere.address === undefined)).toEqual([]);
    expect(text.out).not.toContain('do-not-log-me');
  });
});

/** Runs `auditconfig logs` with a real descriptor as its standard output. */
async function printed(args: readonly string[], to: string): Promise<{ result: CommandResult; out: string }> {
  const stdout = openSync(to, 'w');
  const io: Io = {
    readFile: () => Promise.reject(new Error('logs streams')),
    fds: { stdin: 0, stdout },
    stderrIsTTY: false,
    stdoutIsTTY: false,
    env: {},
    signal: new AbortController().signal,
  };
  const result = await logs(args, io);
  closeSync(stdout);
  return { result, out: readFileSync(to, 'utf8') };
}
