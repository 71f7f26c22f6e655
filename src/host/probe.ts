/**
 * Asks the node's own API server whether it is alive and ready. Sends no credentials, and so checks no certificate: it
 * speaks only to addresses of this very machine, and the answer decides nothing but "wait" or "go back". With
 * credentials (agent) the certificate is checked. 401 and 403 are alive, not ready: a starting API server answers so.
 */
import { request } from 'node:https';
import { networkInterfaces } from 'node:os';

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
type Told = { readonly status: number; readonly text: string };

/** A list of checks is shorter. */
const MAX_TEXT = 64 * 1024;

/** The answer to a GET, or null when nobody answers in time. */
function tell(address: ProbeAddress, path: string, options: Asked): Promise<Told | null> {
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
    req.on('timeout', () => req.destroy());
    req.on('error', () => resolve(null));
    req.end();
  });
}

/** Never throws; `Down` also where the address is not this machine's and there are no credentials. */
export async function probeApiServer(
  address: ProbeAddress,
  options: { readonly credentials?: ProbeCredentials; readonly signal: AbortSignal },
): Promise<Health> {
  if (options.credentials === undefined && !isOwnAddress(address.host)) return 'Down';
  const ready = (await tell(address, '/readyz', options))?.status;
  if (ready === undefined) return 'Down';
  if (ready === 200) return 'Ready';
  return ready === 401 || ready === 403 ? 'Forbidden' : 'NotReady';
}

/**
 * Of one that was just seen not ready: true where /readyz fails for the one reason that the process was told to end (its
 * check `shutdown`), or where it has stopped listening meanwhile. Nothing was wrong before. A failing /readyz lists its
 * checks to everybody (k8s.io/apiserver pkg/server/healthz).
 */
export async function isEnding(address: ProbeAddress, signal: AbortSignal): Promise<boolean> {
  const answer = isOwnAddress(address.host) ? await tell(address, '/readyz', { signal }) : null;
  const failed = [...(answer?.text ?? '').matchAll(/^\[-\](\S+)/gm)].map((m) => m[1]);
  return answer === null || (answer.status === 500 && failed.length === 1 && failed[0] === 'shutdown');
}
