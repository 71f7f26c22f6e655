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

/** The status of a GET, or null when nobody answers in time. */
function statusOf(
  address: ProbeAddress,
  path: string,
  options: { readonly credentials?: ProbeCredentials; readonly signal: AbortSignal },
): Promise<number | null> {
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
        res.resume();
        resolve(res.statusCode ?? null);
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
  const ready = await statusOf(address, '/readyz', options);
  if (ready === null) return 'Down';
  if (ready === 200) return 'Ready';
  return ready === 401 || ready === 403 ? 'Forbidden' : 'NotReady';
}
