// The whole outside world of the pure core (src/tsconfig.json has `types: []`): text coding, and hashing
// and parsing of keys and certificates, the one exception that the core may import from Node.
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
  export function createPrivateKey(pem: string): {
    readonly asymmetricKeyType?: string;
    readonly asymmetricKeyDetails?: { readonly modulusLength?: number; readonly namedCurve?: string };
    export(options: { type: 'pkcs8'; format: 'pem' }): string | Uint8Array;
  };
  export class X509Certificate {
    constructor(pem: string);
    /** Such as `Nov 21 12:00:00 2026 GMT`. */
    readonly validFrom: string;
    readonly validTo: string;
    /** PEM. */
    toString(): string;
    checkPrivateKey(key: ReturnType<typeof createPrivateKey>): boolean;
  }
}
