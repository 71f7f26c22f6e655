/** The webhook's kubeconfig: what client-go would not load is refused, what reaches beyond the webhook too, and no value leaks. */
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { isRendered, renderWebhook } from '../../src/render/webhook.ts';
import type { WebhookOptions } from '../../src/render/webhook.ts';
import { credentialsDigest } from '../../src/render/webhook/credentials.ts';
import { kubeadmPki } from '../control-plane/pki.ts';

const pki = kubeadmPki(['localhost']);
const b64 = (text: string): string => Buffer.from(text).toString('base64');
const CA = b64(pki.ca.cert);
const CERT = b64(pki.files.get('apiserver-kubelet-client.crt') ?? '');
const KEY = b64(pki.files.get('apiserver-kubelet-client.key') ?? '');
const OTHER_KEY = b64(pki.files.get('apiserver.key') ?? '');

const ed448 = generateKeyPairSync('ed448').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const locked = generateKeyPairSync('ed25519')
  .privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
  .toString();

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
const output = (config: unknown): string => new TextDecoder().decode(renderWebhook(bytes(config)).kubeconfig?.reveal());
const PAIR = { 'client-certificate-data': CERT, 'client-key-data': KEY };
/** The credential files that come out, as text. */
function filesOf(config: unknown): Record<string, string> {
  const files = renderWebhook(bytes(config)).credentials?.reveal() ?? {};
  return Object.fromEntries(Object.entries(files).map(([k, v]) => [k, new TextDecoder().decode(v)]));
}
const codes = (config: unknown, options: WebhookOptions = {}): string[] =>
  renderWebhook(bytes(config), options).findings.map((f) => f.code);

describe('a webhook kubeconfig', () => {
  it('is written anew with only what was judged, and its token in a file beside it', () => {
    const config = kubeconfig({ 'certificate-authority-data': CA, extensions: [{ name: 'a' }] });
    expect(JSON.parse(output(config))).toEqual({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'webhook',
      contexts: [{ name: 'webhook', context: { cluster: 'webhook', user: 'webhook' } }],
      clusters: [
        { name: 'webhook', cluster: { server: 'https://audit.example.org/events', 'certificate-authority-data': CA } },
      ],
      users: [{ name: 'webhook', user: { tokenFile: 'token' } }],
    });
    expect(filesOf(config)).toEqual({ token: 's3cr3t-value' });
  });

  it('has certificate and key in one file, which one rename changes', () => {
    const config = kubeconfig({}, PAIR);
    const { users } = JSON.parse(output(config)) as { users: unknown };
    expect(users).toEqual([
      { name: 'webhook', user: { 'client-certificate': 'client.pem', 'client-key': 'client.pem' } },
    ]);
    const { 'client.pem': pem = '' } = filesOf(config);
    expect(
      new X509Certificate(pem).checkPrivateKey(createPrivateKey(pem.slice(pem.indexOf('-----BEGIN PRIVATE')))),
    ).toBe(true);
    // Go takes the first certificate block and the first block whose type ends with PRIVATE KEY.
    expect(pem.match(/-----BEGIN [A-Z ]+-----/g)).toEqual([
      '-----BEGIN CERTIFICATE-----',
      '-----BEGIN PRIVATE KEY-----',
    ]);
  });

  it('stays byte for byte the same when only certificate, key or token are others', () => {
    const other = b64(pki.files.get('apiserver.crt') ?? '');
    const rotated = kubeconfig({}, { 'client-certificate-data': other, 'client-key-data': OTHER_KEY });
    expect(output(rotated)).toBe(output(kubeconfig({}, PAIR)));
    expect(output(kubeconfig({}, { token: 'another' }))).toBe(output(kubeconfig()));
    const digest = (config: unknown): string =>
      credentialsDigest(renderWebhook(bytes(config)).credentials?.reveal() ?? {});
    expect(digest(rotated)).not.toBe(digest(kubeconfig({}, PAIR)));
    // What changes how it connects is no rotation.
    expect(output(kubeconfig({ server: 'https://other.example.org' }, PAIR))).not.toBe(output(rotated));
    expect(output(kubeconfig({}, { ...PAIR, token: 'x' }))).not.toBe(output(rotated));
    expect(output(kubeconfig({}, { username: 'a', password: 'b' }))).not.toBe(
      output(kubeconfig({}, { username: 'a', password: 'c' })),
    );
  });

  it('is known again as rendered here, with its credentials and not with others', () => {
    const made = renderWebhook(bytes(kubeconfig({ 'certificate-authority-data': CA }, { ...PAIR, token: 't' })));
    const [text, files] = [made.kubeconfig?.reveal() ?? new Uint8Array(), made.credentials?.reveal() ?? {}];
    expect(isRendered(text, files)).toBe(true);
    expect(isRendered(text, {})).toBe(false);
    expect(isRendered(text, { 'client.pem': files['client.pem'] ?? text })).toBe(false);
    expect(isRendered(text, { ...files, token: bytes('t\n') })).toBe(false);
    expect(
      isRendered(text, { ...files, 'client.pem': bytes(`x\n${filesOf(kubeconfig({}, PAIR))['client.pem']}`) }),
    ).toBe(false);
    expect(isRendered(bytes(kubeconfig()), {})).toBe(false);
    const elsewhere = new TextDecoder().decode(text).replace('"token"', '"/etc/shadow"');
    expect(isRendered(bytes(elsewhere), files)).toBe(false);
    const noFiles = renderWebhook(bytes(kubeconfig({}, null)));
    expect(isRendered(noFiles.kubeconfig?.reveal() ?? text, {})).toBe(true);
    expect(isRendered(noFiles.kubeconfig?.reveal() ?? text, { token: bytes('t') })).toBe(false);
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
    ['with a name that only looks like a Service', kubeconfig({ server: 'https://svc.example.org' }), []],
    [
      'with a Service behind a proxy',
      kubeconfig({ server: 'https://a.b.svc', 'proxy-url': 'http://10.0.0.1:3128' }),
      [],
    ],
    ['with certificate and token', kubeconfig({}, { ...PAIR, token: 't' }), []],
    ['with an IPv6 address', kubeconfig({ server: 'https://[fd00::1]:443/' }), []],
    ['that takes any certificate', kubeconfig({ 'insecure-skip-tls-verify': true }), ['WebhookUnverified']],
  ])('is accepted %s', (_name, config, expected) => {
    const result = renderWebhook(bytes(config));
    expect(result.findings.map((f) => f.code)).toEqual(expected);
    expect(result.kubeconfig).toBeDefined();
  });

  it('names a field that is nearly a known one, and never another word that stands where a field does', () => {
    const said = (user: Tree): string => renderWebhook(bytes(kubeconfig({}, user))).findings[0]?.message ?? '';
    expect(said({ tokn: 'x' })).toContain('tokn has no meaning');
    expect(said({ as: 'x' })).toContain('as has no meaning');
    for (const word of ['correcthorsebattery', 'Pa55w0rd', 'hunter'])
      expect(said({ [word]: '' })).toMatch(/kubeconfig: a field has no meaning/);
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
      'WebhookKeyMismatch',
    ],
    [
      'with a key of a kind that Go does not know',
      kubeconfig({}, { ...PAIR, 'client-key-data': b64(ed448) }),
      'WebhookInvalid',
    ],
    ['with a key that has a passphrase', kubeconfig({}, { ...PAIR, 'client-key-data': b64(locked) }), 'WebhookInvalid'],
    ['with a token of two lines', kubeconfig({}, { token: 'a\nb' }), 'WebhookInvalid'],
    [
      'whose cluster is there twice',
      kubeconfig({}, null, { clusters: [0, 1].map(() => ({ name: 'c', cluster: { server: 'https://a' } })) }),
      'WebhookInvalid',
    ],
    ['whose port is none', kubeconfig({ server: 'https://a:70000' }), 'WebhookInvalid'],
    [
      'with a name of a Service, on a node',
      kubeconfig({ server: 'https://audit.logging.svc:443/' }),
      'WebhookClusterHost',
    ],
    ['with the full name of a Service', kubeconfig({ server: 'https://a.b.svc.cluster.local/' }), 'WebhookClusterHost'],
    [
      'through a proxy with the name of a Service',
      kubeconfig({ 'proxy-url': 'http://proxy.net.svc:3128' }),
      'WebhookClusterHost',
    ],
    ['with token and password', kubeconfig({}, { token: 'a', username: 'b' }), 'WebhookInvalid'],
    ['that runs a program', kubeconfig({}, { exec: { command: 'curl' } }), 'WebhookRefused'],
    ['that runs a plugin', kubeconfig({}, { 'auth-provider': { name: 'oidc' } }), 'WebhookRefused'],
    ['that sends a file of the host', kubeconfig({}, { tokenFile: '/etc/shadow' }), 'WebhookRefused'],
    ['that needs a file of the host', kubeconfig({ 'certificate-authority': '/etc/ca.crt' }), 'WebhookRefused'],
  ])('is refused %s', (_name, config, code) => {
    const result = renderWebhook(bytes(config));
    expect(result.findings.map((f) => f.code)).toEqual([code]);
    expect(result.kubeconfig).toBeUndefined();
    expect(result.credentials).toBeUndefined();
    for (const { at } of result.findings)
      expect(at).toEqual({
        offset: expect.any(Number) as number,
        line: expect.any(Number) as number,
        column: expect.any(Number) as number,
      });
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
    expect(`${JSON.stringify(good)} ${String(good.kubeconfig)} ${String(good.credentials)}`).not.toContain(canary);
  });

  it('has its faults shown with line and column', () => {
    const lines = ['apiVersion: v1', 'kind: Config', 'clusters:', '- name: c', '  cluster:', '    server: ftp://x'];
    const rest = ['contexts: [{name: x, context: {cluster: c}}]', 'current-context: x'];
    const { findings } = renderWebhook(bytes([...lines, ...rest].join('\n')));
    expect(findings.map((f) => [f.code, f.at?.line, f.at?.column])).toEqual([['WebhookInvalid', 6, 5]]);
    const broken = renderWebhook(bytes([...lines, '   x: y'].join('\n'))).findings[0];
    expect([broken?.code, broken?.at?.line]).toEqual(['WebhookUnparsable', 7]);
  });

  it('works for a Service where the API server is a pod', () => {
    expect(codes(kubeconfig({ server: 'https://audit.logging.svc' }), { network: 'Pod' })).toEqual([]);
  });

  describe('with a client certificate that ends', () => {
    const DAY = 86_400_000;
    const now = Date.parse('2026-06-01T00:00:00Z');
    const valid = (from: number, to: number): unknown => {
      const issued = pki.ca.issue({
        commonName: 'audit',
        usages: ['client'],
        valid: { from: new Date(now + from), to: new Date(now + to) },
      });
      return kubeconfig({}, { 'client-certificate-data': b64(issued.cert), 'client-key-data': b64(issued.key) });
    };

    type Expected = { codes: string[]; changes?: number };
    it.each<[string, number, number, Expected]>([
      ['is taken while that is far', -DAY, 90 * DAY, { codes: [], changes: 76 * DAY }],
      [
        'is warned of in the last 14 days',
        -DAY,
        13 * DAY,
        { codes: ['WebhookCertificateExpiring'], changes: 13 * DAY },
      ],
      ['is refused afterwards', -3 * DAY, -1_000, { codes: ['WebhookCertificateExpired'] }],
      ['is warned of before it begins', 1_000, 90 * DAY, { codes: ['WebhookCertificateNotYetValid'], changes: 1_000 }],
    ])('%s', (_name, from, to, { codes: expected, changes }) => {
      const result = renderWebhook(bytes(valid(from, to)), { now });
      expect(result.findings.map((f) => f.code)).toEqual(expected);
      expect(result.changesAt).toBe(changes === undefined ? undefined : now + changes);
    });

    it('is judged by no clock where no time is given', () => {
      expect(codes(valid(-3 * DAY, -DAY))).toEqual([]);
    });

    it('or an authority that has ended is warned of', () => {
      const far = { now: Date.now() + 20 * 365 * DAY };
      const old = pki.ca.issue({
        commonName: 'old',
        usages: ['server'],
        valid: { from: new Date(now), to: new Date(now + DAY) },
      });
      expect(codes(kubeconfig({ 'certificate-authority-data': b64(old.cert) }), far)).toEqual([
        'WebhookAuthorityExpired',
      ]);
      expect(codes(kubeconfig({ 'certificate-authority-data': b64(old.cert) }), { now })).toEqual([]);
    });
  });
});
