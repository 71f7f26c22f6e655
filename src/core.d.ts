// The whole outside world of the pure core (src/tsconfig.json has `types: []`): text coding, and hashing, which is
// the one exception that the core may import from Node.
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
}
