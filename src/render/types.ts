import type { EnvironmentVariable, ShippedFile } from '../api/auditconfig-sinks.ts';
import type { Minor } from '../api/versions.ts';

/** `sha256:` is not part of it: 64 lower-case hex digits. Names use the first 16. */
export type Digest = string & { readonly __digest: true };

/** A value that must never be printed. `String()` and `JSON.stringify` give `[secret]`. */
export class Secret<T> {
  readonly #value: T;
  constructor(value: T) {
    this.#value = value;
  }
  reveal(): T {
    return this.#value;
  }
  toString(): string {
    return '[secret]';
  }
  toJSON(): string {
    return '[secret]';
  }
}

/**
 * Files beside the webhook's kubeconfig that an API server reads again by itself: not part of a revision's digest, so that
 * another certificate or token restarts nothing.
 */
export type Credentials = {
  readonly 'client.pem'?: Uint8Array;
  readonly token?: Uint8Array;
  /** No file: it lies beside them in their Secret, so that their digest, which others may read, lets nobody try tokens. */
  readonly salt?: Uint8Array;
};

/** Flag values name files symbolically; a target resolves them to paths (a digest inside its own content is circular). */
export type FlagValue =
  string | { readonly file: 'policy' | 'webhook' } | { readonly dir: 'log'; readonly name: string };

export type AuditFlag = `--audit-${string}`;

type Quantities = Readonly<Record<string, string>>;

/** What a shipper runs with. */
export type Shipping = {
  readonly config: Uint8Array;
  readonly image: string;
  readonly resources: { readonly requests: Quantities; readonly limits: Quantities };
  /** Values of Secrets are named, never there. */
  readonly env: readonly EnvironmentVariable[];
  /** Mounted beside its configuration; absent where there are none. */
  readonly files?: readonly ShippedFile[] | undefined;
  /** What its buffer may take on disk. */
  readonly bufferBytes: number;
};

/**
 * An immutable rendered bundle. Same input, same bytes, same digest. `flags` are sorted by name and hold every
 * default explicitly, because defaults differ between Kubernetes versions.
 */
export type Revision = {
  readonly digest: Digest;
  readonly versions: readonly Minor[];
  /** True when the policy came from a Secret: it is then published as a Secret and never printed. */
  readonly confidential: boolean;
  readonly policy: Uint8Array;
  readonly webhook?: Secret<Uint8Array>;
  /** There exactly when the kubeconfig names one of them. */
  readonly credentials?: Secret<Credentials>;
  readonly flags: readonly { readonly name: AuditFlag; readonly value: FlagValue }[];
  /** Host folder of the log file, absent for Stdout and None. */
  readonly logDir?: string;
  readonly readerGroup?: number;
  /** Only where the shipper runs in the API server's own pod: elsewhere a change of it restarts no API server. */
  readonly shipping?: Shipping;
};
