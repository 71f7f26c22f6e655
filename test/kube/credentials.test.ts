import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { kubeConfigCredentials } from '../../src/kube/credentials.ts';
import type { Credentials, Identity } from '../../src/kube/credentials.ts';
import { until } from './things.ts';

let dir: string;
let now: number;
const clock = { monotonicMs: () => now, wallMs: () => Date.now() };

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'credentials-'));
  now = 1_000_000;
});
afterEach(() => rmSync(dir, { recursive: true }));

const kubeconfig = (user: object, cluster: object = {}): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'one',
    contexts: [
      { name: 'one', context: { cluster: 'c', user: 'u', namespace: 'team' } },
      { name: 'two', context: { cluster: 'd', user: 'u' } },
    ],
    clusters: [
      { name: 'c', cluster: { server: 'https://one.example:6443', ...cluster } },
      { name: 'd', cluster: { server: 'https://two.example:6443' } },
    ],
    users: [{ name: 'u', user }],
  });
const write = (name: string, content: string): string => {
  writeFileSync(join(dir, name), content);
  return join(dir, name);
};
async function identity(credentials: Credentials): Promise<Identity> {
  const result = await credentials.current();
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

describe('credentials', () => {
  it('come from a kubeconfig, with its context, or another', async () => {
    const path = write('config', kubeconfig({ token: 't1' }));
    const one = kubeConfigCredentials({ from: 'File', path }, clock);
    expect(await identity(one)).toMatchObject({ headers: { authorization: 'Bearer t1' } });
    expect((await identity(one)).server.host).toBe('one.example:6443');
    expect(one.namespace()).toBe('team');
    const two = kubeConfigCredentials({ from: 'File', path, context: 'two' }, clock);
    expect((await identity(two)).server.host).toBe('two.example:6443');
    expect(two.namespace()).toBeUndefined();
  });

  it('read a token file again within a minute or two, named relative to the kubeconfig, and drop its newline', async () => {
    write('token', 'first\n');
    const path = write('config', kubeconfig({ token: 'ignored', tokenFile: 'token' }));
    const credentials = kubeConfigCredentials({ from: 'File', path }, clock);
    expect((await identity(credentials)).headers['authorization']).toBe('Bearer first');
    write('token', 'second\n');
    expect((await identity(credentials)).headers['authorization']).toBe('Bearer first');
    now += 61_000;
    // The file reader of the official client has a minute of its own, by the wall clock.
    credentials.invalidate();
    expect((await identity(credentials)).headers['authorization']).toBe('Bearer second');
  });

  it('change their fingerprint when a certificate on disk was renewed, not when a token was', async () => {
    for (const f of ['crt', 'key']) write(f, 'old');
    write('token', 'a');
    const user = { 'client-certificate': 'crt', 'client-key': 'key', tokenFile: 'token' };
    const path = write(
      'config',
      kubeconfig(user, { 'certificate-authority-data': Buffer.from('ca').toString('base64') }),
    );
    const credentials = kubeConfigCredentials({ from: 'File', path }, clock);
    const first = await identity(credentials);
    expect(first.tls).toMatchObject({ cert: Buffer.from('old'), key: Buffer.from('old'), ca: Buffer.from('ca') });
    write('token', 'b');
    now += 61_000;
    credentials.invalidate();
    expect((await identity(credentials)).fingerprint).toBe(first.fingerprint);
    write('crt', 'new');
    now += 61_000;
    expect((await identity(credentials)).fingerprint).not.toBe(first.fingerprint);
  });

  it('read the kubeconfig itself again when the server refused them, but not for each request', async () => {
    const path = write('config', kubeconfig({ token: 't1' }));
    const credentials = kubeConfigCredentials({ from: 'File', path }, clock);
    await identity(credentials);
    write('config', kubeconfig({ token: 't2' }));
    credentials.invalidate();
    expect((await identity(credentials)).headers['authorization']).toBe('Bearer t1');
    now += 3_000;
    credentials.invalidate();
    expect((await identity(credentials)).headers['authorization']).toBe('Bearer t2');
  });

  it('come from an exec plugin', async () => {
    const status = { token: 'from-plugin', expirationTimestamp: '2999-01-01T00:00:00Z' };
    const answer = JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status });
    const plugin = write('plugin', `#!/bin/sh\necho '${answer}'\n`);
    chmodSync(plugin, 0o755);
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: plugin, args: [], interactiveMode: 'Never' };
    const path = write('config', kubeconfig({ exec }));
    const credentials = kubeConfigCredentials({ from: 'File', path }, clock);
    expect((await identity(credentials)).headers['authorization']).toBe('Bearer from-plugin');
  });

  it('that cannot be read are a value, recover, and say nothing of what was read', async () => {
    const path = write('config', 'secret: [stuff');
    const credentials = kubeConfigCredentials({ from: 'File', path }, clock);
    const result = await credentials.current();
    expect(result).toMatchObject({ ok: false, error: { code: 'CredentialsFailed' } });
    expect(JSON.stringify(result)).not.toContain('stuff');
    write('config', kubeconfig({ token: 't' }));
    expect((await credentials.current()).ok).toBe(true);
    const missing = kubeConfigCredentials({ from: 'File', path: join(dir, 'none') }, clock);
    expect(await missing.current()).toMatchObject({ ok: false, error: { code: 'CredentialsFailed' } });
  });

  it('name the file that is missing, and say when there is none at all', async () => {
    const path = join(dir, 'none');
    const missing = await kubeConfigCredentials({ from: 'File', path }, clock).current();
    expect(missing).toMatchObject({ error: { message: expect.stringContaining(path) as unknown } });
    const before = { HOME: process.env['HOME'], KUBECONFIG: process.env['KUBECONFIG'] };
    Object.assign(process.env, { HOME: dir });
    delete process.env['KUBECONFIG'];
    try {
      const nothing = await kubeConfigCredentials({ from: 'Default' }, clock).current();
      expect(nothing).toMatchObject({
        error: { code: 'CredentialsFailed', message: expect.stringContaining('no pod') as unknown },
      });
    } finally {
      for (const [name, value] of Object.entries(before))
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
    }
  });

  it('do not wait for a plugin that hangs, and do not start it twice', async () => {
    const plugin = write('plugin', `#!/bin/sh\necho x >> ${dir}/started\nsleep 2\n`);
    chmodSync(plugin, 0o755);
    const path = write('config', kubeconfig({ exec: { command: plugin, args: [] } }));
    const credentials = kubeConfigCredentials({ from: 'File', path }, clock);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const both = Promise.all([credentials.current(), credentials.current()]);
    await vi.advanceTimersByTimeAsync(20_000);
    vi.useRealTimers();
    expect(await both).toMatchObject([{ error: { code: 'CredentialsFailed' } }, { ok: false }]);
    await until(() => existsSync(join(dir, 'started')));
    expect(readFileSync(join(dir, 'started'), 'utf8')).toBe('x\n');
  });

  it('allow plain HTTP, as kubectl proxy has it', async () => {
    const text = kubeconfig({}, { server: 'http://127.0.0.1:8001' });
    expect((await identity(kubeConfigCredentials({ from: 'Text', text }, clock))).server.protocol).toBe('http:');
  });
});
