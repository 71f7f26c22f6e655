/**
 * What of a webhook's credentials lies in files of its own beside the kubeconfig: client-go reads those again (the
 * certificate at every handshake, and every five minutes; the token every minute), so that a rotation restarts nothing.
 * Source: k8s.io/client-go transport (cert_rotation.go, token_source.go). Names and digest are what bundle, agent and
 * targets agree on.
 */
import { canonicalJson, sha256 } from '../../config/canonical.ts';
import type { Credentials, Digest } from '../types.ts';

/** Certificate and key in one file: one rename changes both. The kubeconfig names them relative to its own folder. */
export const CLIENT_FILE = 'client.pem';
export const TOKEN_FILE = 'token';
export const CREDENTIAL_FILES = [CLIENT_FILE, TOKEN_FILE] as const;

/** What is there, in a fixed order. */
export const credentialFiles = (
  c: Credentials,
): readonly { readonly name: (typeof CREDENTIAL_FILES)[number]; readonly bytes: Uint8Array }[] =>
  CREDENTIAL_FILES.flatMap((name) => {
    const bytes = c[name];
    return bytes === undefined ? [] : [{ name, bytes }];
  });

/** Beside the files in their Secret. */
export const SALT_KEY = 'salt';

/**
 * A digest of its own: it is no part of a revision's, and another one restarts nothing. AuditNodes and statuses show it, so it
 * is salted wherever a controller has a key: of a weak token the plain digest would tell which one it is.
 */
export const credentialsDigest = (c: Credentials): Digest =>
  sha256(
    canonicalJson({
      format: 1,
      ...(c.salt === undefined ? {} : { salt: sha256(c.salt) }),
      files: credentialFiles(c).map(({ name, bytes }) => [name, sha256(bytes)]),
    }),
  ) as Digest;

/** The same with a salt that follows from a key and from what they belong to: always the same, and of use nowhere else. */
export function salted(c: Credentials, by: { readonly key: Uint8Array; readonly of: Uint8Array }): Credentials {
  const secret = sha256(by.key);
  const salt = sha256(`${secret}${sha256(`${secret}${sha256(by.of)}`)}`);
  return { ...c, salt: new TextEncoder().encode(salt) };
}
