/** The webhook's kubeconfig: what client-go would not load is refused, what reaches beyond the webhook too, and no value leaks. */
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { renderWebhook } from '../../src/render/webhook.ts';
import { kubeadmPki } from '../control-plane/pki.ts';

const pki = kubeadmPki(['localhost']);
const b64 = (text: string): string => Buffer.from(text).toString('base64');
const CA = b64(pki.ca.cert);
const CERT = b64(pki.files.get('apiserver-kubelet-client.crt') ?? '');
const KEY = b64(pki.files.get('apiserver-kubelet-client.key') ?? '');
const OTHER_KEY = b64(pki.files.get('apiserver.key') ?? '');

type Tree = Record<string, unknown>;
const kubeconfig = (cluster: Tree = {}, user: Tree | null = { token: 's3cr3t-value' }, more: Tree = {}): Tree => ({
  apiVersion: 'v1',
  kind: 'Config',
  clusters: [{ name: 'c', cluster: { server: 'https://audit.example.org/events', ...cluster } }],
  contexts: [{ name: 'x', context: { cluster: 'c', user: user === null ? '' : 'u' } }],
  'current-context': 'x',
  users: user === null ? [] : [{ name: 'u', user }],
  preferences: {},
  ...more,
});
const bytes = (config: unknown): Uint8Array =>
  new TextEncoder().encode(typeof config === 'string' ? config : stringify(config));
const output = (config: unknown): string => new TextDecoder().decode(renderWebhook(bytes(config)).bytes?.reveal());

describe('a webhook kubeconfig', () => {
  it('is written anew with only what was judged, and renders to itself', () => {
    const text = output(kubeconfig({ 'certificate-authority-data': CA, extensions: [{ name: 'a' }] }));
    expect(JSON.parse(text)).toEqual({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'webhook',
      contexts: [{ name: 'webhook', context: { cluster: 'webhook', user: 'webhook' } }],
      clusters: [
        { name: 'webhook', cluster: { server: 'https://audit.example.org/events', 'certificate-authority-data': CA } },
      ],
      users: [{ name: 'webhook', user: { token: 's3cr3t-value' } }],
    });
    expect(output(text)).toBe(text);
  });

  it('does not depend on the order or the style in which it was written', () => {
    const { apiVersion, kind, ...rest } = kubeconfig();
    expect(output(JSON.stringify({ ...rest, kind, apiVersion }))).toBe(output(kubeconfig()));
  });

  it.each<[string, unknown, string[]]>([
    ['with a token', kubeconfig(), []],
    ['with a user and a password', kubeconfig({}, { username: 'a', password: 'b' }), []],
    ['with a client certificate', kubeconfig({}, { 'client-certificate-data': CERT, 'client-key-data': KEY }), []],
    ['without a user, as Kubermatic documents it', kubeconfig({}, null), []],
    ['over plain http', kubeconfig({ server: 'http://10.0.0.1:8080' }, null), ['WebhookPlainHttp']],
    [
      'over plain http, with a token that is never sent',
      kubeconfig({ server: 'http://10.0.0.1:8080' }),
      ['WebhookPlainHttp'],
    ],
    ['with an IPv6 address', kubeconfig({ server: 'https://[fd00::1]:443/' }), []],
    ['that takes any certificate', kubeconfig({ 'insecure-skip-tls-verify': true }), ['WebhookUnverified']],
  ])('is accepted %s', (_name, config, expected) => {
    const result = renderWebhook(bytes(config));
    expect(result.findings.map((f) => f.code)).toEqual(expected);
    expect(result.bytes).toBeDefined();
  });

  it.each<[string, unknown, string]>([
    ['that is empty', '', 'WebhookUnparsable'],
    ['that is no YAML', 'a: [b', 'WebhookUnparsable'],
    ['that is a list', '- a', 'WebhookUnparsable'],
    ['of another kind', kubeconfig({}, null, { kind: 'Secret' }), 'WebhookInvalid'],
    ['without current-context', kubeconfig({}, null, { 'current-context': '' }), 'WebhookInvalid'],
    ['whose context is not there', kubeconfig({}, null, { 'current-context': 'y' }), 'WebhookInvalid'],
    ['whose cluster is not there', kubeconfig({}, null, { clusters: [] }), 'WebhookInvalid'],
    ['whose user is not there', kubeconfig({}, { token: 'x' }, { users: [] }), 'WebhookInvalid'],
    ['without server', kubeconfig({ server: '' }), 'WebhookInvalid'],
    ['whose server is no URL', kubeconfig({ server: 'audit.example.org' }), 'WebhookInvalid'],
    ['whose server is a number', kubeconfig({ server: 7 }), 'WebhookInvalid'],
    ['with a misspelled field', kubeconfig({ 'certificate-authority-dta': CA }), 'WebhookInvalid'],
    ['with an authority that is no base64', kubeconfig({ 'certificate-authority-data': '%' }), 'WebhookInvalid'],
    [
      'with an authority that is no certificate',
      kubeconfig({ 'certificate-authority-data': b64('hello') }),
      'WebhookInvalid',
    ],
    [
      'with an authority, unverified',
      kubeconfig({ 'certificate-authority-data': CA, 'insecure-skip-tls-verify': true }),
      'WebhookInvalid',
    ],
    ['with a certificate without key', kubeconfig({}, { 'client-certificate-data': CERT }), 'WebhookInvalid'],
    [
      "with another certificate's key",
      kubeconfig({}, { 'client-certificate-data': CERT, 'client-key-data': OTHER_KEY }),
      'WebhookInvalid',
    ],
    ['with token and password', kubeconfig({}, { token: 'a', username: 'b' }), 'WebhookInvalid'],
    ['that runs a program', kubeconfig({}, { exec: { command: 'curl' } }), 'WebhookRefused'],
    ['that runs a plugin', kubeconfig({}, { 'auth-provider': { name: 'oidc' } }), 'WebhookRefused'],
    ['that sends a file of the host', kubeconfig({}, { tokenFile: '/etc/shadow' }), 'WebhookRefused'],
    ['that needs a file of the host', kubeconfig({ 'certificate-authority': '/etc/ca.crt' }), 'WebhookRefused'],
  ])('is refused %s', (_name, config, code) => {
    const result = renderWebhook(bytes(config));
    expect(result.findings.map((f) => f.code)).toEqual([code]);
    expect(result.bytes).toBeUndefined();
  });

  it('never shows a value, neither in a finding nor when printed', () => {
    const canary = 'CANARY-7f3a';
    const broken = [
      `users: [{user: {token: ${canary}`,
      `a: b: ${canary}`,
      kubeconfig({ server: canary }),
      kubeconfig({ 'certificate-authority-data': canary }),
      kubeconfig({ [canary]: 'x' }, { token: canary, [`x ${canary}`]: canary }),
      kubeconfig({}, { exec: { command: canary } }),
      kubeconfig({}, { token: canary }, { 'current-context': canary }),
      kubeconfig({}, { token: canary }, { kind: canary }),
      `${canary}: &a [*a, *b]`,
    ];
    for (const config of broken) {
      const { findings } = renderWebhook(bytes(config));
      expect(findings.length).toBeGreaterThan(0);
      expect(JSON.stringify(findings)).not.toContain(canary);
    }
    const good = renderWebhook(bytes(kubeconfig({}, { token: canary })));
    expect(`${JSON.stringify(good)} ${String(good.bytes)}`).not.toContain(canary);
  });
});
