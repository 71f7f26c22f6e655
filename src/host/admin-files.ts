/**
 * The credentials that K3s and RKE2 keep on their own disk for their own administrator: both switch anonymous requests off,
 * and an API server that answers nobody is never seen ready. Only root reads them; they are used for /readyz, and go
 * nowhere else. Read anew each time, since a restart may renew them. Called by src/agent/places.ts.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProbeCredentials } from './probe.ts';

/** null where they are not there (yet). */
export async function adminFiles(root: string, dataDir: string): Promise<ProbeCredentials | null> {
  const at = (name: string): Promise<string> => readFile(join(root, dataDir, 'server/tls', name), 'utf8');
  try {
    const [ca, cert, key] = await Promise.all([at('server-ca.crt'), at('client-admin.crt'), at('client-admin.key')]);
    return { ca, cert, key };
  } catch {
    return null;
  }
}
