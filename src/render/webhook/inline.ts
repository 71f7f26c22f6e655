/**
 * A webhook's kubeconfig with its credentials inside, for owners that carry one key of a Secret to their pods and nothing
 * beside it. What comes in was rendered here (../webhook.ts), and so holds nothing that was not judged. Another certificate
 * or token is other bytes, and a restart: client-go reads files again, and not what stands in a kubeconfig.
 */
import { toBase64 } from '../base64.ts';
import type { Credentials } from '../types.ts';
import { CLIENT_FILE, TOKEN_FILE } from './credentials.ts';

type Fields = Readonly<Record<string, unknown>>;
type User = { readonly name: string; readonly user: Fields };

function inlined(user: Fields, files: Credentials): Fields {
  const { 'client-certificate': certificate, 'client-key': key, tokenFile, ...rest } = user;
  const [pem, token] = [files[CLIENT_FILE], files[TOKEN_FILE]];
  // Certificate and key are one text: whoever looks for one of them passes over the other.
  const data = pem === undefined ? undefined : toBase64(pem);
  return {
    ...rest,
    ...(certificate === undefined || data === undefined ? {} : { 'client-certificate-data': data }),
    ...(key === undefined || data === undefined ? {} : { 'client-key-data': data }),
    ...(tokenFile === undefined || token === undefined ? {} : { token: new TextDecoder().decode(token).trim() }),
  };
}

/** `kubeconfig` as it was rendered; throws for other bytes, which is a bug. */
export function withCredentialsInside(kubeconfig: Uint8Array, credentials: Credentials): Uint8Array {
  const config = JSON.parse(new TextDecoder().decode(kubeconfig)) as Fields & { readonly users: readonly User[] };
  const users = config.users.map(({ name, user }) => ({ name, user: inlined(user, credentials) }));
  return new TextEncoder().encode(`${JSON.stringify({ ...config, users }, null, 2)}\n`);
}
