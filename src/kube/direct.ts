/**
 * The same credentials at one given API server, past any load balancer: what is asked there is answered by that one.
 * Its certificate must be good for the name under which we trust the API anyway, since no certificate of kubeadm's
 * names 127.0.0.1. Called by src/agent/proof.ts.
 */
import { checkServerIdentity } from 'node:tls';
import type { Credentials } from './credentials.ts';
import { fail, ok } from './errors.ts';

export type ServerAddress = { readonly host: string; readonly port: number };

const bare = (host: string): string => host.replace(/^\[(.*)\]$/, '$1');

/** CredentialsFailed where the API is reached over plain HTTP: no certificate would say whom we speak to. */
export function credentialsAt(credentials: Credentials, address: ServerAddress): Credentials {
  const host = address.host.includes(':') ? `[${bare(address.host)}]` : address.host;
  const server = new URL(`https://${host}:${address.port}`);
  return {
    current: async () => {
      const identity = await credentials.current();
      if (!identity.ok) return identity;
      const { proxyUrl: _past, ...rest } = identity.value;
      if (rest.server.protocol !== 'https:') return fail('CredentialsFailed', 'the API is reached over plain HTTP');
      const name = rest.tls.servername ?? bare(rest.server.hostname);
      return ok({
        ...rest,
        server,
        tls: { ...rest.tls, checkServerIdentity: (_host, cert) => checkServerIdentity(name, cert) },
        fingerprint: `${rest.fingerprint}@${server.host}`,
      });
    },
    invalidate: () => credentials.invalidate(),
    namespace: () => credentials.namespace(),
  };
}
