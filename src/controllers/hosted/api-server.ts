/**
 * Speaks to one hosted API server as the user of its kubeconfig Secret, over connections that end with the look. The
 * kubeconfig is a tenant's: it is judged as a webhook's is (src/render/webhook.ts), so that it runs no program and reads
 * no file of the controller; and refused besides is what is not verified TLS, and a proxy. Nothing of an answer but
 * counters and user name is taken, and no message holds any of it. Called by looks.ts and serving.ts.
 */
import type { Probe } from '../../analysis/proof.ts';
import { parseAddress } from '../../api/addresses.ts';
import type { Address } from '../../api/addresses.ts';
import { createConnections } from '../../kube/connections.ts';
import type { Credentials, Identity, TlsOptions } from '../../kube/credentials.ts';
import { fail, ok } from '../../kube/errors.ts';
import type { Result } from '../../kube/errors.ts';
import { guardedLookup } from '../../kube/guarded-lookup.ts';
import type { ResolveHost } from '../../kube/guarded-lookup.ts';
import { sendMarked } from '../../kube/marked-request.ts';
import { readMetrics } from '../../kube/server-metrics.ts';
import { servingOf } from '../../kube/serving.ts';
import type { Serving } from '../../kube/serving.ts';
import { createTransport } from '../../kube/transport.ts';
import { isRecord } from '../../kube/types.ts';
import { refusalOf } from '../../render/egress/refused.ts';
import type { Secret } from '../../render/types.ts';
import { renderWebhook } from '../../render/webhook.ts';
import type { RenderedWebhook } from '../../render/webhook.ts';
import { CLIENT_FILE, TOKEN_FILE } from '../../render/webhook/credentials.ts';
import type { KubeMetrics } from '../../telemetry/kube-metrics.ts';

export type HostedApi = {
  /** The body of a 2xx; undefined where it was refused or not found, which is an answer too. */
  ask(probe: Probe, auditID: string, signal: AbortSignal): Promise<Result<unknown>>;
  /** Whether it answers a request that is recorded; `why` is a code. */
  serves(probe: Probe, signal: AbortSignal): Promise<Serving>;
  /** Whether it answers one that needs no right and no body, on another connection. */
  answers(path: string, signal: AbortSignal): Promise<boolean>;
  /** False where they could not be read to the end. */
  metrics(onLine: (line: string) => void, signal: AbortSignal): Promise<boolean>;
  /** Why nothing was sent, where its name led to what a tenant must not reach. */
  refused(): string | undefined;
  close(): Promise<void>;
};

/** As on nodes (src/agent/serving.ts). Connecting has five seconds of it, and is told apart. */
const SERVES_MS = 10_000;
const ANSWERS_MS = 5_000;

export type ApiOptions = {
  readonly metrics: KubeMetrics;
  readonly userAgent: string;
  /** Unset: as this process resolves names. */
  readonly resolve?: ResolveHost;
};

const fieldsOf = (v: unknown): Readonly<Record<string, unknown>> => (isRecord(v) ? v : {});
const textOf = (v: unknown): string | undefined => (typeof v === 'string' && v !== '' ? v : undefined);
const firstOf = (v: unknown): Readonly<Record<string, unknown>> => fieldsOf(Array.isArray(v) ? v[0] : undefined);

/** A tenant's kubeconfig is no way to what answers this controller's node alone. */
function isForbidden(address: Address): boolean {
  const refusal = refusalOf(address, { nodes: [], services: [] }, []);
  return refusal === 'Metadata' || refusal === 'LinkLocal' || refusal === 'Special';
}

/** A name is judged where it is resolved, for each connection. */
function isForbiddenHost({ hostname }: URL): boolean {
  const address = parseAddress(hostname.replace(/^\[|\]$/g, ''));
  return address !== undefined && isForbidden(address);
}

/** What is no address that we can read (one with a zone, fe80::1%eth0) is none that we connect to. */
function isForbiddenAddress(text: string): boolean {
  const address = parseAddress(text);
  return address === undefined || isForbidden(address);
}

const FORBIDDEN = 'an address of the host or of its cloud';

type Identified = { readonly identity: Identity } | { readonly refused: string };

const decoded = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : new TextDecoder().decode(bytes).trim();

/** What was rendered has our own shape. */
function identify(rendered: RenderedWebhook, kubeconfig: Secret<Uint8Array>): Identified {
  const config = fieldsOf(JSON.parse(new TextDecoder().decode(kubeconfig.reveal())) as unknown);
  const cluster = fieldsOf(firstOf(config['clusters'])['cluster']);
  const user = fieldsOf(firstOf(config['users'])['user']);
  const server = new URL(textOf(cluster['server']) ?? 'http://none');
  if (server.protocol !== 'https:') return { refused: 'server must be https' };
  if (cluster['insecure-skip-tls-verify'] === true)
    return { refused: 'insecure-skip-tls-verify sends credentials to anybody' };
  if (cluster['proxy-url'] !== undefined) return { refused: 'proxy-url is not supported here' };
  if (isForbiddenHost(server)) return { refused: `server is ${FORBIDDEN}` };
  const files = rendered.credentials?.reveal() ?? {};
  const [client, token] = [decoded(files[CLIENT_FILE]), decoded(files[TOKEN_FILE])];
  const ca = textOf(cluster['certificate-authority-data']);
  const servername = textOf(cluster['tls-server-name']);
  const { username, password } = user;
  const basic = `${textOf(username) ?? ''}:${textOf(password) ?? ''}`;
  const authorization =
    token !== undefined
      ? `Bearer ${token}`
      : basic === ':'
        ? undefined
        : `Basic ${Buffer.from(basic).toString('base64')}`;
  const tls: TlsOptions = {
    ...(ca === undefined ? {} : { ca: Buffer.from(ca, 'base64').toString() }),
    // Certificate and key are blocks of one text.
    ...(client === undefined ? {} : { cert: client, key: client }),
    ...(servername === undefined ? {} : { servername }),
  };
  const headers: Identity['headers'] = authorization === undefined ? {} : { authorization };
  return { identity: { server, tls, headers, fingerprint: 'one' } };
}

const always = (identity: Identity): Credentials => ({
  current: () => Promise.resolve(ok(identity)),
  invalidate: () => undefined,
  namespace: () => undefined,
});

/** Opens nothing yet. `refused` is a sentence without any value of the kubeconfig. */
export function hostedApi(
  bytes: Uint8Array,
  o: ApiOptions & { readonly now: number },
): { readonly api: HostedApi } | { readonly refused: string } {
  const rendered = renderWebhook(bytes, { now: o.now, network: 'Pod' });
  if (rendered.kubeconfig === undefined) {
    const [first] = rendered.findings.filter((f) => f.severity === 'error');
    return { refused: (first?.message ?? '').replace(/^the webhook's kubeconfig: /, '') };
  }
  const identified = identify(rendered, rendered.kubeconfig);
  if ('refused' in identified) return identified;
  const { metrics, userAgent, resolve } = o;
  let refused: string | undefined;
  const lookup = guardedLookup(isForbiddenAddress, () => (refused = `server leads to ${FORBIDDEN}`), resolve);
  const connections = createConnections(always({ ...identified.identity, lookup }));
  const transport = createTransport({ connections, metrics, userAgent });
  return {
    api: {
      ask: async (probe, auditID, signal) => {
        const answer = await sendMarked(transport, probe, { auditID, about: 'hosted' }, signal);
        if (answer.ok) return answer;
        // What a stranger's server says stands in no status.
        return fail(answer.error.code, `it could not be asked (${answer.error.code})`);
      },
      serves: async ({ method, path, query, body }, signal) =>
        servingOf(
          await transport.request({
            method,
            path,
            ...(query === undefined ? {} : { query }),
            ...(body === undefined ? {} : { body }),
            timeoutMs: SERVES_MS,
            signal,
            about: { verb: 'serving', resource: 'hosted' },
          }),
        ),
      answers: async (path, signal) => {
        const status = await transport.knock(path, signal, ANSWERS_MS);
        // Who may not read it was answered, too.
        return status.ok && (status.value < 300 || status.value === 401 || status.value === 403);
      },
      metrics: (onLine, signal) => readMetrics(transport, onLine, signal),
      refused: () => refused,
      close: () => transport.close(),
    },
  };
}
