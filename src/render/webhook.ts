/**
 * The webhook's kubeconfig: judged as client-go judges it when a kube-apiserver starts, and rendered anew with only
 * the fields that were judged, so that no user bytes reach an API server. Refuses what would reach beyond the webhook:
 * plugins (they would run on the control plane's host) and files of the host (they may not be mounted, and a token file
 * would send any file to the receiver). No message holds a value of the Secret; names of its fields are fine.
 * Source: k8s.io/client-go tools/clientcmd (client_config.go, validation.go) and transport.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { LineCounter, parseDocument } from 'yaml';
import { decodeBase64 } from '../yaml/base64.ts';
import { mayNestTooDeep } from '../yaml/nesting.ts';
import { toBase64 } from './base64.ts';
import { error, warning } from './findings.ts';
import type { RenderFinding } from './findings.ts';
import { Secret } from './types.ts';

const PATH = 'spec.webhook.secretRef';
type Tree = Readonly<Record<string, unknown>>;
type Fail = (code: string, message: string) => void;

/** Fields of a cluster and a user that are rendered; others of the ones in use are refused by name. */
const CLUSTER = {
  server: 'string',
  'tls-server-name': 'string',
  'insecure-skip-tls-verify': 'boolean',
  'certificate-authority-data': 'base64',
  'proxy-url': 'string',
  'disable-compression': 'boolean',
} as const;
const USER = {
  'client-certificate-data': 'base64',
  'client-key-data': 'base64',
  token: 'string',
  username: 'string',
  password: 'string',
} as const;
/** Why a known field of a kubeconfig is not accepted here. */
const REFUSED: Readonly<Record<string, string>> = {
  exec: 'would run a program beside the API server: use a token or a client certificate',
  'auth-provider': 'would run a plugin in the API server: use a token or a client certificate',
  tokenFile: 'names a file of the host: use token',
  'certificate-authority': 'names a file of the host: use certificate-authority-data',
  'client-certificate': 'names a file of the host: use client-certificate-data',
  'client-key': 'names a file of the host: use client-key-data',
};

/**
 * Codes: WebhookUnparsable, WebhookInvalid, WebhookRefused (errors); WebhookPlainHttp, WebhookUnverified (warnings).
 * `bytes` is there exactly when no finding is an error.
 */
export function renderWebhook(bytes: Uint8Array): {
  readonly bytes?: Secret<Uint8Array>;
  readonly findings: readonly RenderFinding[];
} {
  const parsed = parseTree(bytes);
  if ('finding' in parsed) return { findings: [parsed.finding] };
  const findings: RenderFinding[] = [];
  const fail: Fail = (code, message) => findings.push(error(code, PATH, `the webhook's kubeconfig: ${message}`));
  const used = inUse(parsed.tree, fail);
  if (used === undefined) return { findings };
  checkFields(used.cluster, CLUSTER, fail);
  checkFields(used.user, USER, fail);
  if (findings.length > 0) return { findings };
  checkCluster(used.cluster, fail);
  checkUser(used.user, fail);
  if (findings.length > 0) return { findings };
  return { bytes: new Secret(canonical(used)), findings: advice(used) };
}

function parseTree(bytes: Uint8Array): { readonly tree: Tree } | { readonly finding: RenderFinding } {
  const unparsable = (where: string): { finding: RenderFinding } => ({
    finding: error('WebhookUnparsable', PATH, `the webhook's kubeconfig is not YAML that can be read${where}`),
  });
  try {
    const lines = new LineCounter();
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (mayNestTooDeep(text)) return unparsable(': it nests too deep');
    const doc = parseDocument(text, { version: '1.1', lineCounter: lines, logLevel: 'silent', prettyErrors: false });
    const [first] = doc.errors;
    // The parser's own message quotes the text.
    if (first !== undefined) return unparsable(`: line ${lines.linePos(first.pos[0]).line}`);
    const tree: unknown = doc.toJS({ maxAliasCount: 100 });
    return isTree(tree) ? { tree } : unparsable(' as a map');
  } catch {
    return unparsable('');
  }
}

const isTree = (v: unknown): v is Tree =>
  typeof v === 'object' && v !== null && !Array.isArray(v) && !(v instanceof Uint8Array) && !(v instanceof Date);
const isText = (v: unknown): v is string => typeof v === 'string' && v !== '';

type InUse = { readonly cluster: Tree; readonly user: Tree };

/** The cluster and the user of the current context. An absent user is fine, as client-go has it: no credentials. */
function inUse(config: Tree, fail: Fail): InUse | undefined {
  const invalid = (message: string): undefined => {
    fail('WebhookInvalid', message);
    return undefined;
  };
  if ((config['apiVersion'] ?? 'v1') !== 'v1' || (config['kind'] ?? 'Config') !== 'Config')
    return invalid('must be of apiVersion v1, kind Config');
  const current = config['current-context'];
  if (!isText(current)) return invalid('current-context must name one of its contexts');
  const context = named(config, 'contexts', 'context', current);
  if (context === undefined) return invalid('current-context names a context that is not there');
  const cluster = isText(context['cluster']) ? named(config, 'clusters', 'cluster', context['cluster']) : undefined;
  if (cluster === undefined) return invalid('its current context names a cluster that is not there');
  const userName = context['user'] ?? '';
  if (typeof userName !== 'string') return invalid('the user of its current context must be a string');
  if (userName === '') return { cluster, user: {} };
  const user = named(config, 'users', 'user', userName);
  return user === undefined ? invalid('its current context names a user that is not there') : { cluster, user };
}

/** The first entry of that name, as client-go takes it. */
function named(config: Tree, list: string, field: string, name: string): Tree | undefined {
  const entries: unknown = config[list];
  const entry: unknown = Array.isArray(entries) ? entries.find((e) => isTree(e) && e['name'] === name) : undefined;
  if (!isTree(entry)) return undefined;
  const value = entry[field] ?? {};
  return isTree(value) ? value : undefined;
}

function checkFields(tree: Tree, known: Readonly<Record<string, 'string' | 'boolean' | 'base64'>>, fail: Fail): void {
  for (const [key, value] of Object.entries(tree)) {
    if (value === null || value === undefined || key === 'extensions') continue;
    const type = Object.hasOwn(known, key) ? known[key] : undefined;
    const refused = REFUSED[key];
    if (refused !== undefined) {
      if (value !== '') fail('WebhookRefused', `${key} ${refused}`);
    } else if (type === undefined) fail('WebhookInvalid', `${printable(key)} has no meaning for a webhook`);
    else if (typeof value !== (type === 'boolean' ? 'boolean' : 'string'))
      fail('WebhookInvalid', `${key} must be a ${type === 'boolean' ? 'boolean' : 'string'}`);
    else if (type === 'base64' && decodeBase64(String(value)) === undefined)
      fail('WebhookInvalid', `${key} is not base64`);
  }
}

/** Names of fields are no secrets, but what is no name may be. */
const printable = (key: string): string => (/^[A-Za-z][A-Za-z-]{0,39}$/.test(key) ? key : 'a field');

const textOf = (tree: Tree, key: string): string => (typeof tree[key] === 'string' ? tree[key] : '');
const decoded = (tree: Tree, key: string): string =>
  new TextDecoder().decode(decodeBase64(textOf(tree, key)) ?? new Uint8Array());
const isTls = (cluster: Tree): boolean => /^https:\/\//i.test(textOf(cluster, 'server'));

const SERVER = /^https?:\/\/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(\/[!-~]*)?$/;
const PROXY = /^(https?|socks5h?):\/\/[!-~]+$/;

function checkCluster(cluster: Tree, fail: Fail): void {
  if (!SERVER.test(textOf(cluster, 'server')))
    fail('WebhookInvalid', 'server must be a URL, such as https://audit.example.org/events');
  const proxy = textOf(cluster, 'proxy-url');
  if (proxy !== '' && !PROXY.test(proxy)) fail('WebhookInvalid', 'proxy-url must be a URL of http, https or socks5');
  const authority = textOf(cluster, 'certificate-authority-data');
  if (authority === '') return;
  if (cluster['insecure-skip-tls-verify'] === true)
    fail('WebhookInvalid', 'certificate-authority-data and insecure-skip-tls-verify exclude each other');
  if (!areCertificates(decoded(cluster, 'certificate-authority-data')))
    fail('WebhookInvalid', 'certificate-authority-data holds no certificates in PEM form');
}

function checkUser(user: Tree, fail: Fail): void {
  const [certificate, key] = [decoded(user, 'client-certificate-data'), decoded(user, 'client-key-data')];
  if ((certificate === '') !== (key === ''))
    fail('WebhookInvalid', 'client-certificate-data and client-key-data need each other');
  else if (certificate !== '' && !isPair(certificate, key))
    fail('WebhookInvalid', 'client-certificate-data and client-key-data are not a certificate and its key in PEM form');
  const basic = textOf(user, 'username') !== '' || textOf(user, 'password') !== '';
  if (basic && textOf(user, 'token') !== '') fail('WebhookInvalid', 'token and username exclude each other');
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

function areCertificates(pem: string): boolean {
  const blocks = pem.match(PEM_CERTIFICATE) ?? [];
  try {
    return blocks.length > 0 && blocks.map((b) => new X509Certificate(b)).length > 0;
  } catch {
    return false;
  }
}

function isPair(certificate: string, key: string): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

function advice({ cluster, user }: InUse): RenderFinding[] {
  const found: RenderFinding[] = [];
  if (!isTls(cluster)) {
    const lost = Object.keys(user).length > 0 ? ', and its credentials are not sent' : '';
    found.push(
      warning('WebhookPlainHttp', PATH, `the webhook's server is plain http: events travel unencrypted${lost}`),
    );
  }
  if (cluster['insecure-skip-tls-verify'] === true)
    found.push(
      warning(
        'WebhookUnverified',
        PATH,
        'the webhook takes any certificate (insecure-skip-tls-verify): anybody in between can read the events',
      ),
    );
  return found;
}

/** JSON, which a kubeconfig may be: every string quoted, fields in a fixed order. */
function canonical({ cluster, user }: InUse): Uint8Array {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'webhook',
    contexts: [{ name: 'webhook', context: { cluster: 'webhook', user: 'webhook' } }],
    clusters: [{ name: 'webhook', cluster: picked(cluster, CLUSTER) }],
    users: [{ name: 'webhook', user: picked(user, USER) }],
  };
  return new TextEncoder().encode(`${JSON.stringify(config, null, 2)}\n`);
}

const picked = (tree: Tree, known: Readonly<Record<string, string>>): Tree =>
  Object.fromEntries(
    Object.entries(known).flatMap(([key, type]) => {
      const value = tree[key];
      if (value === undefined || value === null || value === '' || value === false) return [];
      return [[key, type === 'base64' ? toBase64(decodeBase64(String(value)) ?? new Uint8Array()) : value]];
    }),
  );
