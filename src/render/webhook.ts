/**
 * The webhook's kubeconfig: judged as client-go judges it when a kube-apiserver starts, and rendered anew with only
 * the fields that were judged, so that no user bytes reach an API server. Certificate, key and token become files beside
 * it (webhook/credentials.ts). Refuses what would reach beyond the webhook: plugins (they would run on the control
 * plane's host) and files of the host (they may not be mounted, and a token file would send any file to the receiver),
 * and what cannot work: an expired certificate, a name that only pods can resolve. No message holds a value of the Secret;
 * names of its fields are fine. Source: k8s.io/client-go tools/clientcmd (client_config.go, validation.go) and transport.
 */
import type { Position } from '../api/findings.ts';
import { isAllowed } from '../config/destinations.ts';
import type { AllowedDestinations } from '../config/destinations.ts';
import { decodeBase64 } from '../yaml/base64.ts';
import { toBase64 } from './base64.ts';
import { error, warning } from './findings.ts';
import type { RenderFinding } from './findings.ts';
import { Secret } from './types.ts';
import type { Credentials } from './types.ts';
import { authorities, clientPair } from './webhook/certificates.ts';
import type { Validity } from './webhook/certificates.ts';
import { CLIENT_FILE, credentialFiles, TOKEN_FILE } from './webhook/credentials.ts';
import { checkFields, CLUSTER, FILE_FIELDS, inUse, USER } from './webhook/in-use.ts';
import type { Fail, InUse, Known } from './webhook/in-use.ts';
import { isTrue, placeOf, readTree, textOf } from './webhook/tree.ts';
import type { Tree } from './webhook/tree.ts';

const PATH = 'spec.webhook.secretRef';
const DAY_MS = 86_400_000;
/** A certificate that ends sooner is worth a warning. */
const EXPIRES_SOON_MS = 14 * DAY_MS;

export type WebhookOptions = {
  /** ms since the epoch; without it nothing is said about certificates that have expired. */
  readonly now?: number;
  /** Where the API server's name resolution happens; unset: on the host's network, as on every node. */
  readonly network?: 'Host' | 'Pod';
  /** What datacenters allow (ResolvedWebhook.allowedDestinations); unset: anywhere. */
  readonly allowed?: readonly AllowedDestinations[];
};

export type RenderedWebhook = {
  /** There exactly when no finding is an error. */
  readonly kubeconfig?: Secret<Uint8Array>;
  /** There where the kubeconfig names one of them. */
  readonly credentials?: Secret<Credentials>;
  /** When the same bytes will be judged otherwise, since a certificate comes to its end; ms since the epoch. */
  readonly changesAt?: number;
  /** With `at` where there is a place. */
  readonly findings: readonly RenderFinding[];
};

/**
 * Codes: WebhookUnparsable, WebhookInvalid, WebhookRefused, WebhookKeyMismatch, WebhookCertificateExpired,
 * WebhookClusterHost, WebhookDestination (errors); WebhookPlainHttp, WebhookUnverified, WebhookCertificateExpiring,
 * WebhookCertificateNotYetValid, WebhookAuthorityExpired (warnings).
 */
export const renderWebhook = (bytes: Uint8Array, options: WebhookOptions = {}): RenderedWebhook =>
  render(bytes, {}, options);

/** Was this rendered here? It is then one that an API server loads. */
export function isRendered(kubeconfig: Uint8Array, files: Credentials): boolean {
  const again = render(kubeconfig, files, {});
  const [text, credentials] = [again.kubeconfig?.reveal(), again.credentials?.reveal() ?? {}];
  const [want, have] = [credentialFiles(credentials), credentialFiles(files)];
  return (
    text !== undefined &&
    same(text, kubeconfig) &&
    want.length === have.length &&
    want.every(({ name, bytes }, i) => have[i]?.name === name && same(bytes, have[i].bytes))
  );
}

const same = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((x, i) => x === b[i]);

type Judged = InUse & {
  /** Certificates and key in one text; '' where there are none. */
  readonly client: string;
  readonly token: string;
  readonly ends: readonly Validity[];
};

function render(bytes: Uint8Array, files: Credentials, options: WebhookOptions): RenderedWebhook {
  const read = readTree(bytes);
  if ('why' in read) return { findings: [said(error, 'WebhookUnparsable', read.why, read.at)] };
  const findings: RenderFinding[] = [];
  const fail: Fail = (code, message, at) => findings.push(said(error, code, message, at));
  const used = inUse(read.tree, fail);
  if (used === undefined) return { findings };
  checkFields(used.cluster, CLUSTER, [], fail);
  checkFields(used.user, USER, ownFiles(used.user, files), fail);
  if (findings.length > 0) return { findings };
  checkCluster(used.cluster, options.network ?? 'Host', fail);
  if (findings.length === 0) checkDestinations(used.cluster, options.allowed ?? [], fail);
  const judged = judgeUser(used, files, fail);
  checkExpiry(judged, options.now, fail);
  if (findings.length > 0) return { findings };
  return { ...canonical(judged), ...changesAt(judged, options.now), findings: advice(judged, options.now) };
}

const said = (make: typeof error, code: string, message: string, at: Position): RenderFinding => ({
  ...make(code, PATH, `the webhook's kubeconfig: ${message}`),
  at,
});

/** File fields that name our own files, which are there. */
const ownFiles = (user: Tree, files: Credentials): readonly string[] =>
  FILE_FIELDS.filter((key) => {
    const name = key === 'tokenFile' ? TOKEN_FILE : CLIENT_FILE;
    return textOf(user, key) === name && files[name] !== undefined;
  });

const decoded = (tree: Tree, key: string): string =>
  new TextDecoder().decode(decodeBase64(textOf(tree, key)) ?? new Uint8Array());
const isTls = (cluster: Tree): boolean => /^https:\/\//i.test(textOf(cluster, 'server'));

const SERVER = /^https?:\/\/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?(\/[!-~]*)?$/i;
const PROXY = /^(?:https?|socks5h?):\/\/(?:[^@/]*@)?([^:/@]+|\[[^\]]*\])(?::([0-9]{1,5}))?(?:\/[!-~]*)?$/;
/** Names of Services: known to the cluster's DNS alone, whatever the cluster's domain is. */
const IN_CLUSTER = /\.svc(\.|$)/i;

function checkCluster(cluster: Tree, network: 'Host' | 'Pod', fail: Fail): void {
  const server = SERVER.exec(textOf(cluster, 'server'));
  if (server === null || Number(server[2] ?? '1') < 1 || Number(server[2] ?? '1') > 65_535)
    fail(
      'WebhookInvalid',
      'server must be a URL, such as https://audit.example.org/events',
      placeOf(cluster, 'server'),
    );
  const proxied = textOf(cluster, 'proxy-url');
  const proxy = PROXY.exec(proxied);
  if (proxied !== '' && proxy === null)
    fail('WebhookInvalid', 'proxy-url must be a URL of http, https or socks5', placeOf(cluster, 'proxy-url'));
  // Through a proxy it is the proxy that resolves the server's name.
  const [host, where] = proxied === '' ? [server?.[1], 'server'] : [proxy?.[1], 'proxy-url'];
  if (network === 'Host' && host !== undefined && IN_CLUSTER.test(host))
    fail(
      'WebhookClusterHost',
      `${where} is a name that only the cluster's own DNS resolves, and the API server is on its node's network: use an address that the node can resolve, such as a load balancer's or a ClusterIP`,
      placeOf(cluster, where),
    );
  checkAuthority(cluster, fail);
}

/** As client-go's transport dials where no port is named. */
const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443, socks5: 1080, socks5h: 1080 };
const schemeOf = (url: string): string => url.slice(0, url.indexOf(':')).toLowerCase();

/** Whom it speaks to: the server and, where there is one, the proxy in between. `url` is one that was matched before. */
function checkDestinations(cluster: Tree, allowed: readonly AllowedDestinations[], fail: Fail): void {
  for (const [field, form] of [
    ['server', SERVER],
    ['proxy-url', PROXY],
  ] as const) {
    const url = textOf(cluster, field);
    const [, host = '', port] = form.exec(url) ?? [];
    const to = { host, port: Number(port ?? DEFAULT_PORTS[schemeOf(url)]) };
    if (url === '' || isAllowed(allowed, to)) continue;
    fail(
      'WebhookDestination',
      `${field} is a host or a port that a datacenter does not allow (limits.webhook.destinations)`,
      placeOf(cluster, field),
    );
  }
}

function checkAuthority(cluster: Tree, fail: Fail): void {
  const field = 'certificate-authority-data';
  if (textOf(cluster, field) === '') return;
  const at = placeOf(cluster, field);
  if (isTrue(cluster, 'insecure-skip-tls-verify'))
    fail('WebhookInvalid', `${field} and insecure-skip-tls-verify exclude each other`, at);
  if (authorities(decoded(cluster, field)) === undefined)
    fail('WebhookInvalid', `${field} holds no certificates in PEM form`, at);
}

function failPair(bad: 'NoCertificate' | 'NoKey' | 'KeyKind' | 'NotAPair', user: Tree, fail: Fail): void {
  const [certificate, key] = ['client-certificate-data', 'client-key-data'];
  switch (bad) {
    case 'NoCertificate':
      return fail('WebhookInvalid', `${certificate} holds no certificate in PEM form`, placeOf(user, certificate));
    case 'NoKey':
      return fail(
        'WebhookInvalid',
        `${key} holds no private key in PEM form, without a passphrase`,
        placeOf(user, key),
      );
    case 'KeyKind':
      return fail(
        'WebhookInvalid',
        `${key} is of a kind that an API server cannot use: RSA, ECDSA or Ed25519`,
        placeOf(user, key),
      );
    case 'NotAPair':
      return fail('WebhookKeyMismatch', `${key} is not the key of ${certificate}`, placeOf(user, key));
  }
}

function judgeUser(used: InUse, files: Credentials, fail: Fail): Judged {
  const { user } = used;
  const file = (name: keyof Credentials): string => new TextDecoder().decode(files[name] ?? new Uint8Array());
  const certificate = decoded(user, 'client-certificate-data') || file(CLIENT_FILE);
  const key = decoded(user, 'client-key-data') || file(CLIENT_FILE);
  const token = (textOf(user, 'token') || file(TOKEN_FILE)).trim();
  if (token !== '' && !/^[!-~]+$/.test(token))
    fail('WebhookInvalid', 'token holds characters that no HTTP header can', placeOf(user, 'token'));
  const basic = textOf(user, 'username') !== '' || textOf(user, 'password') !== '';
  if (basic && token !== '') fail('WebhookInvalid', 'token and username exclude each other', placeOf(user, 'username'));
  const nothing = { ...used, client: '', token, ends: [] };
  if (certificate === '' && key === '') return nothing;
  if (certificate === '' || key === '') {
    fail('WebhookInvalid', 'client-certificate-data and client-key-data need each other', user.at);
    return nothing;
  }
  const pair = clientPair(certificate, key);
  if (!('bad' in pair)) return { ...nothing, client: pair.pem, ends: [pair.validity] };
  failPair(pair.bad, user, fail);
  return nothing;
}

const day = (ms: number): string => `${new Date(ms).toISOString().slice(0, 16)}Z`;
const certificateAt = ({ user }: InUse): Position => placeOf(user, 'client-certificate-data');

function checkExpiry(judged: Judged, now: number | undefined, fail: Fail): void {
  const [ended] = now === undefined ? [] : judged.ends.filter((v) => v.to <= now);
  if (ended !== undefined)
    fail(
      'WebhookCertificateExpired',
      `the client certificate expired at ${day(ended.to)}: put a new one in its place`,
      certificateAt(judged),
    );
}

function changesAt({ ends }: Judged, now: number | undefined): { changesAt?: number } {
  if (now === undefined) return {};
  const next = ends.flatMap(({ from, to }) => [from, to - EXPIRES_SOON_MS, to]).filter((t) => t > now);
  return next.length === 0 ? {} : { changesAt: Math.min(...next) };
}

function advice(judged: Judged, now: number | undefined): RenderFinding[] {
  const { cluster, user } = judged;
  const found: RenderFinding[] = [];
  const warn = (code: string, message: string, at: Position): unknown => found.push(said(warning, code, message, at));
  if (!isTls(cluster))
    warn(
      'WebhookPlainHttp',
      `server is plain http: events travel unencrypted${user.fields.size > 0 ? ', and its credentials are not sent' : ''}`,
      placeOf(cluster, 'server'),
    );
  if (isTrue(cluster, 'insecure-skip-tls-verify'))
    warn(
      'WebhookUnverified',
      'any certificate is taken (insecure-skip-tls-verify): anybody in between can read the events',
      placeOf(cluster, 'insecure-skip-tls-verify'),
    );
  if (now === undefined) return found;
  for (const { from, to } of judged.ends) {
    if (from > now)
      warn(
        'WebhookCertificateNotYetValid',
        `the client certificate is not valid before ${day(from)}`,
        certificateAt(judged),
      );
    if (to - now <= EXPIRES_SOON_MS)
      warn('WebhookCertificateExpiring', `the client certificate expires at ${day(to)}`, certificateAt(judged));
  }
  const known = authorities(decoded(cluster, 'certificate-authority-data')) ?? [];
  if (known.length > 0 && known.every((v) => v.to <= now))
    warn(
      'WebhookAuthorityExpired',
      'every certificate of certificate-authority-data has expired',
      placeOf(cluster, 'certificate-authority-data'),
    );
  return found;
}

/** JSON, which a kubeconfig may be: every string quoted, fields in a fixed order. */
function canonical(judged: Judged): Pick<RenderedWebhook, 'kubeconfig' | 'credentials'> {
  const { cluster, user, client, token } = judged;
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
  const files = {
    ...(client === '' ? {} : { 'client-certificate': CLIENT_FILE, 'client-key': CLIENT_FILE }),
    ...(token === '' ? {} : { tokenFile: TOKEN_FILE }),
  };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'webhook',
    contexts: [{ name: 'webhook', context: { cluster: 'webhook', user: 'webhook' } }],
    clusters: [{ name: 'webhook', cluster: picked(cluster, CLUSTER) }],
    users: [{ name: 'webhook', user: { ...files, ...picked(user, { username: 'string', password: 'string' }) } }],
  };
  const credentials: Credentials = {
    ...(client === '' ? {} : { [CLIENT_FILE]: encode(client) }),
    ...(token === '' ? {} : { [TOKEN_FILE]: encode(token) }),
  };
  return {
    kubeconfig: new Secret(encode(`${JSON.stringify(config, null, 2)}\n`)),
    ...(credentialFiles(credentials).length === 0 ? {} : { credentials: new Secret(credentials) }),
  };
}

const picked = (tree: Tree, known: Known): Readonly<Record<string, string | true>> =>
  Object.fromEntries(
    Object.entries(known).flatMap(([key, type]): [string, string | true][] => {
      if (type === 'boolean') return isTrue(tree, key) ? [[key, true]] : [];
      const value = textOf(tree, key);
      if (value === '') return [];
      return [[key, type === 'base64' ? toBase64(decodeBase64(value) ?? new Uint8Array()) : value]];
    }),
  );
