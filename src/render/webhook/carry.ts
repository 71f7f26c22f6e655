/**
 * Do a webhook's newest credentials belong to an older kubeconfig as well? While a revision waits, what runs has the kubeconfig of
 * the one before, and its certificate and token come to their end all the same. They are carried over only where they can only be
 * meant for the same: the same server by the same name, and the same kind of user; a token besides only where the same authority
 * vouches for the server, since whoever gets it can use it (of a client certificate nobody gets the key). Both kubeconfigs
 * are ones that were rendered here. Called by the rollout, and by the agent for a node that waits.
 */
import { isSameJson } from '../../config/canonical.ts';
import type { Credentials, Revision } from '../types.ts';
import { credentialFiles, TOKEN_FILE } from './credentials.ts';

export type Carried =
  /** `files`: the newest, without their salt, which is the other kubeconfig's. */
  | { readonly is: 'Theirs' | 'Unknown'; readonly files: Credentials }
  /** The older one has no such files, or no webhook is wanted any more: nothing is missing. */
  | { readonly is: 'None' };

type Fields = Readonly<Record<string, unknown>>;
const fieldsOf = (v: unknown): Fields => (typeof v === 'object' && v !== null ? (v as Fields) : {});
const first = (v: unknown): Fields => fieldsOf(Array.isArray(v) ? v[0] : undefined);

function parsed(kubeconfig: Uint8Array): { readonly cluster: Fields; readonly user: Fields } | undefined {
  try {
    const config = fieldsOf(JSON.parse(new TextDecoder().decode(kubeconfig)) as unknown);
    const [cluster, user] = [first(config['clusters'])['cluster'], first(config['users'])['user']];
    return cluster === undefined ? undefined : { cluster: fieldsOf(cluster), user: fieldsOf(user) };
  } catch {
    return undefined;
  }
}

const same = (a: Fields, b: Fields, names: readonly string[]): boolean =>
  names.every((n) => isSameJson(a[n] ?? null, b[n] ?? null));

const ENDPOINT = ['server', 'tls-server-name'];
const TRUST = ['certificate-authority-data', 'insecure-skip-tls-verify'];
const USER = ['client-certificate', 'client-key', 'tokenFile', 'username', 'password'];

/** `older`: the kubeconfig that runs. */
export function carryOver(
  older: Uint8Array,
  { webhook, credentials }: Pick<Revision, 'webhook' | 'credentials'>,
): Carried {
  const files = Object.fromEntries(
    credentialFiles(credentials?.reveal() ?? {}).map(({ name, bytes }) => [name, bytes] as const),
  );
  const before = parsed(older);
  if (before === undefined) return { is: 'Unknown', files };
  const hasFiles = before.user['client-certificate'] !== undefined || before.user['tokenFile'] !== undefined;
  if (!hasFiles || webhook === undefined) return { is: 'None' };
  const after = parsed(webhook.reveal());
  if (after === undefined) return { is: 'Unknown', files };
  const trusts = !(TOKEN_FILE in files) || same(before.cluster, after.cluster, TRUST);
  const isSame = same(before.cluster, after.cluster, ENDPOINT) && same(before.user, after.user, USER);
  return { is: isSame && trusts ? 'Theirs' : 'Unknown', files };
}
