/**
 * Asks the node's own API server whether it is alive and ready. Sends no credentials, and so checks no certificate: it
 * speaks only to addresses of this very machine, and the answer decides nothing but "wait" or "go back". With
 * credentials (agent) the certificate is checked. 401 and 403 are alive, not ready: a starting API server answers so.
 */
import { request } from 'node:https';
import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

export type ProbeAddress = { readonly host: string; readonly port: number };

export type ProbeCredentials = {
  readonly ca: string;
  readonly token?: string;
  readonly cert?: string;
  readonly key?: string;
};

export type Health = 'Down' | 'NotReady' | 'Forbidden' | 'Ready';

const TIMEOUT_MS = 3_000;

/** Loopback, or an address of one of this machine's interfaces. */
export function isOwnAddress(host: string): boolean {
  if (host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)) return true;
  return Object.values(networkInterfaces()).some((all) => (all ?? []).some((a) => a.address === host));
}

type Asked = { readonly credentials?: ProbeCredentials; readonly signal: AbortSignal };
type Answer = { readonly status: number; readonly text: string };
/** `Gone`: nobody listens there, or whoever did has hung up. `Silent`: no answer in time, or none that can be read. */
type Told = Answer | 'Gone' | 'Silent';

/** A list of checks is shorter. */
const MAX_TEXT = 64 * 1024;

const GONE = new Set<string | undefined>(['ECONNREFUSED', 'ECONNRESET']);

/** What a GET is told. */
function tell(address: ProbeAddress, path: string, options: Asked): Promise<Told> {
  const c = options.credentials;
  return new Promise((resolve) => {
    const req = request(
      {
        host: address.host,
        port: address.port,
        path,
        agent: false,
        timeout: TIMEOUT_MS,
        signal: AbortSignal.any([options.signal, AbortSignal.timeout(TIMEOUT_MS)]),
        // Without credentials nothing is at stake but this answer, from our own address.
        ...(c === undefined ? { rejectUnauthorized: false } : { ca: c.ca, cert: c.cert, key: c.key }),
        headers: c?.token === undefined ? {} : { authorization: `Bearer ${c.token}` },
      },
      (res) => {
        let text = '';
        res.setEncoding('utf8').on('data', (chunk: string) => (text = (text + chunk).slice(0, MAX_TEXT)));
        res.on('close', () => resolve({ status: res.statusCode ?? 0, text }));
      },
    );
    req.on('timeout', () => {
      // What `destroy` reports looks as if the other side had hung up.
      resolve('Silent');
      req.destroy();
    });
    req.on('error', (e: NodeJS.ErrnoException) => resolve(GONE.has(e.code) ? 'Gone' : 'Silent'));
    req.end();
  });
}

/** Never throws; `Down` also where the address is not this machine's and there are no credentials. */
export async function probeApiServer(
  address: ProbeAddress,
  options: { readonly credentials?: ProbeCredentials; readonly signal: AbortSignal },
): Promise<Health> {
  if (options.credentials === undefined && !isOwnAddress(address.host)) return 'Down';
  const answer = await tell(address, '/readyz', options);
  if (typeof answer === 'string') return 'Down';
  if (answer.status === 200) return 'Ready';
  return answer.status === 401 || answer.status === 403 ? 'Forbidden' : 'NotReady';
}

/** A failing /readyz lists its checks to everybody (k8s.io/apiserver pkg/server/healthz). */
const failedChecks = ({ status, text }: Answer): readonly string[] =>
  status === 500 ? [...text.matchAll(/^\[-\](\S+)/gm)].map(([, name]) => name ?? '') : [];

/** One that ends lets go of etcd some milliseconds before it stops listening, and its checks of etcd fail (seen with 1.36). */
const FAIL_AT_THE_END = new Set(['shutdown', 'etcd', 'etcd-readiness']);
const AGAIN_MS = 250;

/**
 * Of one that was just seen not ready: true where /readyz fails for the one reason that the process was told to end (its
 * check `shutdown`), or where it has stopped listening. Nothing was wrong before. Where etcd fails too, either
 * the process is about to be gone, or etcd was away already: the second look tells. False where no answer comes, in time or before the signal.
 */
export async function isEnding(address: ProbeAddress, signal: AbortSignal): Promise<boolean> {
  const answer = isOwnAddress(address.host) ? await tell(address, '/readyz', { signal }) : 'Silent';
  if (typeof answer === 'string') return answer === 'Gone';
  const failed = failedChecks(answer);
  if (!failed.includes('shutdown') || !failed.every((name) => FAIL_AT_THE_END.has(name))) return false;
  if (failed.length === 1) return true;
  await sleep(AGAIN_MS, undefined, { signal }).catch(() => undefined);
  return (await tell(address, '/readyz', { signal })) === 'Gone';
}
