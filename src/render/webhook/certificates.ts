/**
 * The client certificate and key, and the authorities of a webhook, as Go's crypto/tls and crypto/x509 take them: the
 * first certificate is the client's, the key is of a kind that they know. What is rendered is written anew, so that no
 * user bytes are in it. Parsing and writing of keys is pure (src/core.d.ts). Called by ../webhook.ts.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
/** Curves of Go's crypto/x509. */
const CURVES = ['secp224r1', 'prime256v1', 'secp384r1', 'secp521r1'];
/** Go signs with no shorter RSA key. */
const MIN_RSA_BITS = 1024;

/** Times in ms since the epoch. */
export type Validity = { readonly from: number; readonly to: number };

function certificatesIn(pem: string): readonly X509Certificate[] | undefined {
  try {
    return (pem.match(BLOCK) ?? []).map((b) => new X509Certificate(b));
  } catch {
    return undefined;
  }
}

const validityOf = (c: X509Certificate): Validity => ({ from: Date.parse(c.validFrom), to: Date.parse(c.validTo) });

/** Of each certificate; undefined where there is none in PEM form. */
export function authorities(pem: string): readonly Validity[] | undefined {
  const found = certificatesIn(pem);
  return found === undefined || found.length === 0 ? undefined : found.map(validityOf);
}

export type ClientPair =
  | {
      /** One file for both, so that one rename changes both: Go looks for each in it. */
      readonly pem: string;
      readonly validity: Validity;
    }
  | { readonly bad: 'NoCertificate' | 'NoKey' | 'KeyKind' | 'NotAPair' };

type Key = ReturnType<typeof createPrivateKey>;

function keyOf(pem: string): Key | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}

function isKnown({ asymmetricKeyType: type, asymmetricKeyDetails: details }: Key): boolean {
  if (type === 'rsa') return (details?.modulusLength ?? 0) >= MIN_RSA_BITS;
  return type === 'ed25519' || (type === 'ec' && CURVES.includes(details?.namedCurve ?? ''));
}

/** `key` may hold other PEM blocks in front of it, as one file with both has. */
export function clientPair(certificate: string, key: string): ClientPair {
  const [first, ...chain] = certificatesIn(certificate) ?? [];
  if (first === undefined) return { bad: 'NoCertificate' };
  const secret = keyOf(key.replace(BLOCK, ''));
  if (secret === undefined) return { bad: 'NoKey' };
  if (!isKnown(secret)) return { bad: 'KeyKind' };
  if (!first.checkPrivateKey(secret)) return { bad: 'NotAPair' };
  const pem = [first, ...chain].map((c) => c.toString()).join('') + secret.export({ type: 'pkcs8', format: 'pem' });
  return { pem, validity: validityOf(first) };
}
