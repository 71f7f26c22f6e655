/** docs/webhook.md: its example is taken, and its tables say what the code does. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { renderFile } from '../../src/render/file.ts';
import { renderWebhook } from '../../src/render/webhook.ts';
import { CLUSTER, USER } from '../../src/render/webhook/in-use.ts';
import { Authority } from '../control-plane/pki.ts';
import { codeIn, tablesOf } from './tables.ts';

const page = readFileSync(`${import.meta.dirname}/../../docs/webhook.md`, 'utf8');
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const example = /```yaml\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
const [rotation, flags, losses] = tablesOf('webhook.md').map((t) => t.rows);
const b64 = (text: string): string => Buffer.from(text).toString('base64');

describe('docs/webhook.md', () => {
  it('has an example that is accepted without a word', () => {
    const { revision, findings } = renderFile(bytes(example), ['1.36']);
    expect(findings).toEqual([]);
    expect(revision?.credentials).toBeDefined();
  });

  it('lists every flag of a webhook with its default', () => {
    const rendered = renderFile(bytes(example), ['1.36']).revision?.flags ?? [];
    const ours = rendered.filter((f) => f.name.startsWith('--audit-webhook') && typeof f.value === 'string');
    const listed = (flags ?? []).map((r) => [codeIn(r['flag']), codeIn(r['default'])]);
    expect([...listed, ['--audit-webhook-version', 'audit.k8s.io/v1']].sort()).toEqual(
      ours.map((f) => [f.name, f.value]).sort(),
    );
    expect(page).toContain('`--audit-webhook-version` is always `audit.k8s.io/v1`');
  });

  it('says of every field what a change of it does', () => {
    const authority = new Authority('a');
    const [one, two] = ['one', 'two'].map((commonName) => authority.issue({ commonName, usages: ['client'] }));
    if (one === undefined || two === undefined) throw new Error('two are made');
    const pair = (p: typeof one): object => ({ 'client-certificate-data': b64(p.cert), 'client-key-data': b64(p.key) });
    const basic = { username: 'u', password: 'p' };
    /** Cluster and user before, and what is put in for the field. */
    const changes: Record<string, [cluster: object, user: object, put: object]> = {
      'client-certificate-data': [{}, pair(one), pair(two)],
      'client-key-data': [{}, pair(one), pair(two)],
      token: [{}, { token: 'a' }, { token: 'b' }],
      server: [{}, {}, { server: 'https://b' }],
      'certificate-authority-data': [{}, {}, { 'certificate-authority-data': b64(authority.cert) }],
      'tls-server-name': [{}, {}, { 'tls-server-name': 'b' }],
      'insecure-skip-tls-verify': [{}, {}, { 'insecure-skip-tls-verify': true }],
      'proxy-url': [{}, {}, { 'proxy-url': 'http://b' }],
      'disable-compression': [{}, {}, { 'disable-compression': true }],
      username: [{}, basic, { username: 'v' }],
      password: [{}, basic, { password: 'q' }],
    };
    expect(Object.keys(changes).sort()).toEqual([...Object.keys(CLUSTER), ...Object.keys(USER)].sort());
    const text = (cluster: object, user: object): string | undefined => {
      const config = {
        clusters: [{ name: 'c', cluster: { server: 'https://a', ...cluster } }],
        users: [{ name: 'u', user }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      };
      const made = renderWebhook(bytes(stringify(config))).kubeconfig?.reveal();
      return made === undefined ? undefined : new TextDecoder().decode(made);
    };
    const does = Object.entries(changes).map(([field, [cluster, user, put]]) => {
      const before = text(cluster, user);
      const after = field in CLUSTER ? text({ ...cluster, ...put }, user) : text(cluster, { ...user, ...put });
      expect([before, after]).not.toContain(undefined);
      return [field, before === after ? 'restarts nothing' : 'rolls out'];
    });
    expect(does.sort()).toEqual((rotation ?? []).map((r) => [codeIn(r['field']), r['a change of it']]).sort());
  });

  it('reckons as the API server does when a batch is given up', () => {
    // k8s.io/apiserver pkg/util/webhook: five steps, each pause half longer, up to a fifth more of each; 30 s an attempt.
    const pauses = [0, 1, 2, 3].map((i) => 10 * 1.5 ** i).reduce((a, b) => a + b);
    const [least, most, hanging] = [pauses, pauses * 1.2, pauses * 1.2 + 5 * 30].map(Math.round);
    const told = JSON.stringify(losses);
    expect(told).toContain(`after ${least} to ${most} seconds`);
    expect(told).toContain(`up to ${hanging} where`);
    // 10 batches of 400 a second, for as long as each is tried.
    expect(10 * 400 * (hanging ?? 0)).toBeGreaterThan(990_000);
    expect(10 * 400 * (hanging ?? 0)).toBeLessThan(1_010_000);
  });
});
