/**
 * The key of this installation that salts digests of credentials (src/render/webhook/credentials.ts): made once, kept in a
 * Secret beside the revisions, which only the operator reads. Where it is lost another one is made: every digest is then
 * another one, which rotates files and restarts nothing. Called by term.ts before anything is decided.
 */
import { randomBytes } from 'node:crypto';
import type { KubeClient } from '../kube/client.ts';
import { fail, ok } from '../kube/errors.ts';
import type { Result } from '../kube/errors.ts';
import { isRecord } from '../kube/types.ts';
import type { KubeObject } from '../kube/types.ts';
import { delay } from '../kube/wait.ts';
import { Secret } from '../render/types.ts';
import type { Logger } from '../telemetry/logger.ts';
import { FIELD_MANAGER } from './act.ts';
import { SECRETS } from './resources.ts';

export const CREDENTIALS_KEY = 'auditconfig-credentials-key';
const FIELD = 'key';
const BYTES = 32;
const RETRY_MS = 2_000;

type Keeper = { readonly client: KubeClient; readonly namespace: string; readonly log: Logger };

function keyIn(object: KubeObject): Result<Secret<Uint8Array>> {
  const data = isRecord(object['data']) ? object['data'][FIELD] : undefined;
  const bytes = typeof data === 'string' ? new Uint8Array(Buffer.from(data, 'base64')) : new Uint8Array();
  return bytes.length === BYTES ? ok(new Secret(bytes)) : fail('BadResponse', `Secret ${CREDENTIALS_KEY} holds no key`);
}

async function readOrMake({ client, namespace }: Keeper, signal: AbortSignal): Promise<Result<Secret<Uint8Array>>> {
  const ref = { namespace, name: CREDENTIALS_KEY };
  const there = await client.get(SECRETS, ref, { signal });
  if (there.ok) return keyIn(there.value);
  if (there.error.code !== 'NotFound') return there;
  const object: KubeObject = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { ...ref, labels: { 'app.kubernetes.io/managed-by': 'auditconfig' } },
    immutable: true,
    type: 'Opaque',
    data: { [FIELD]: randomBytes(BYTES).toString('base64') },
  };
  const made = await client.create(SECRETS, object, { signal, fieldManager: FIELD_MANAGER });
  if (made.ok) return keyIn(made.value);
  // Another replica was quicker: its key is the one.
  if (made.error.code !== 'AlreadyExists') return made;
  const theirs = await client.get(SECRETS, ref, { signal });
  return theirs.ok ? keyIn(theirs.value) : theirs;
}

/** Asks until it is there; undefined only when the signal aborts. */
export async function credentialsKey(keeper: Keeper, signal: AbortSignal): Promise<Secret<Uint8Array> | undefined> {
  while (!signal.aborted) {
    const key = await readOrMake(keeper, signal);
    if (key.ok) return key.value;
    if (!signal.aborted) keeper.log.warn({ code: key.error.code }, `no key for credentials: ${key.error.message}`);
    await delay(RETRY_MS, signal);
  }
  return undefined;
}
