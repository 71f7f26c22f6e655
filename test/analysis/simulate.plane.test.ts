/**
 * What is simulated is what a real kube-apiserver writes: the same requests are sent to one that records everything, and to
 * one with the other policy. Event by event, and to the byte but for versions of objects.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseAuditEvent } from '../../src/analysis/events.ts';
import type { AuditEvent } from '../../src/analysis/events.ts';
import { Requests, Simulator } from '../../src/analysis/simulate.ts';
import type { RecordedEvent } from '../../src/analysis/simulate.ts';
import { emitPolicyText } from '../../src/policy/emit.ts';
import { presetPolicy } from '../../src/policy/presets.ts';
import { requestOfEvent } from '../../src/policy/request-event.ts';
import { isRequest } from '../../src/policy/request.ts';
import { loadPolicy } from '../../src/policy/load.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';

const HEAD = 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n';
const EVERYTHING = `${HEAD}- level: RequestResponse\n`;
/** Everything that may differ from rule to rule. */
const MIXED = `${HEAD}- {level: RequestResponse, resources: [{group: "", resources: [configmaps]}], omitManagedFields: true}
- {level: Request, verbs: [create, patch], omitStages: [RequestReceived]}
- {level: None, nonResourceURLs: ["/version"]}
- {level: Metadata, omitStages: [ResponseStarted]}
`;

const MAPS = '/api/v1/namespaces/default/configmaps';
const SECRETS = '/api/v1/namespaces/default/secrets';
const map = (name: string) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data: { a: '<&>\u2028é😀' },
});

async function drive(plane: ControlPlane): Promise<void> {
  const token = plane.tokens['eve'] ?? '';
  const ask = (...[method, path, options]: Parameters<ControlPlane['request']>) =>
    plane.request(method, path, { token, ...options });
  await ask('POST', MAPS, { body: map('one') });
  await ask('POST', MAPS, { body: map('one') });
  await ask('POST', `${SECRETS}?dryRun=All`, { body: { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' } } });
  await ask('PATCH', `${MAPS}/one`, { body: { metadata: { labels: { x: '<y>' } } } });
  const contentType = 'application/apply-patch+yaml';
  await ask('PATCH', `${MAPS}/two?fieldManager=m`, { body: map('two'), contentType });
  await ask('GET', MAPS);
  await ask('GET', MAPS, { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' } });
  await ask('GET', `${MAPS}/none`);
  await ask('GET', `${SECRETS}?limit=1`);
  await ask('GET', `${MAPS}?watch=true&timeoutSeconds=1`);
  await ask('GET', '/version');
  await ask('GET', '/healthz?verbose');
  await ask('DELETE', `${MAPS}/one`);
  await ask('DELETE', SECRETS);
}

/** Lines of that user's, with versions of objects as long in every cluster. */
async function logOf(policy: string): Promise<readonly string[]> {
  await using plane = await startControlPlane({
    version: '1.36',
    users: { eve: ['system:masters'] },
    files: { 'audit/policy.yaml': policy },
    flags: ['--audit-policy-file={root}/audit/policy.yaml', '--audit-log-path={root}/audit/audit.log'],
  });
  await drive(plane);
  return readFileSync(join(plane.root, 'audit/audit.log'), 'utf8')
    .split('\n')
    .filter((line) => line.includes('"username":"eve"'))
    .map((line) => line.replaceAll(/("resourceVersion":")\d+/g, '$1100'));
}

function recordedOf(line: string): RecordedEvent {
  const raw = JSON.parse(line) as { requestObject?: unknown; responseObject?: unknown };
  const [read, request] = [parseAuditEvent(raw), requestOfEvent(raw)];
  if ('problem' in read || !isRequest(request)) throw new Error(line);
  const { requestObject, responseObject } = raw;
  return {
    ...{ event: read.event, request, bytes: Buffer.byteLength(line) + 1 },
    ...(requestObject === undefined ? {} : { requestObject }),
    ...(responseObject === undefined ? {} : { responseObject }),
  };
}

type Told = { readonly event: AuditEvent; readonly level: string; readonly bytes: number };
const told = ({ event: { stage, verb, requestURI }, level, bytes }: Told): string =>
  `${stage} ${verb} ${requestURI} ${level} ${bytes}`;

describe('a simulation', () => {
  let everything: readonly string[] = [];
  beforeAll(async () => {
    everything = await logOf(EVERYTHING);
  });

  it.each([
    ['a policy of every kind of rule', MIXED],
    ['metadata', emitPolicyText(presetPolicy('metadata'))],
    ['recommended', emitPolicyText(presetPolicy('recommended'))],
  ])('says what a kube-apiserver with %s writes', async (_name, text) => {
    const { policy } = loadPolicy(new TextEncoder().encode(text), '1.36');
    if (policy === undefined) throw new Error('does not load');
    const written = await logOf(text);
    expect(everything.length).toBeGreaterThan(25);
    const requests = new Requests();
    const simulated = everything.flatMap((line) => {
      const recorded = recordedOf(line);
      const simulator = new Simulator(policy);
      simulator.see(recorded, requests.stagesAt(recorded.event));
      const { written: sum, rules, unknown } = simulator.result();
      expect(unknown).toEqual({ bodies: 0, managedFields: 0, stages: {} });
      const { event } = recorded;
      return sum.events === 0 ? [] : [told({ event, level: rules[0]?.level ?? '', bytes: sum.bytes })];
    });
    const real = written.map((line) => {
      const { event, bytes } = recordedOf(line);
      return told({ event, level: event.level, bytes });
    });
    expect(simulated).toEqual(real);
  });
});
