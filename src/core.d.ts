// The whole outside world of the pure core (src/tsconfig.json has `types: []`): text coding, and hashing
// and parsing of certificates, the one exception that the core may import from Node.
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(input?: Uint8Array): string;
}
declare class TextEncoder {
  encode(input?: string): Uint8Array<ArrayBuffer>;
}
declare module 'node:crypto' {
  export function createHash(algorithm: 'sha256'): {
    update(data: string | Uint8Array): ReturnType<typeof createHash>;
    digest(encoding: 'hex'): string;
  };
  /** Parsing of keys and certificates is pure too. Both throw for what they cannot parse. */
  export function createPrivateKey(pem: string): { readonly type: string };
  export class X509Certificate {
    constructor(pem: string);
    checkPrivateKey(key: ReturnType<typeof createPrivateKey>): boolean;
  }
}
