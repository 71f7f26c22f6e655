/**
 * What an AuditConfig refers to, as it was read: the ConfigMap or Secret with the policy, the Secret with the
 * webhook's kubeconfig. The controller reads them from the API, the CLI from the same file; why a read failed is data
 * too, so that both explain it with the same words (src/render/revision.ts).
 */
import type { Secret } from './types.ts';

/** `data` holds bytes by key, already decoded. It is hidden for ConfigMaps too: one way for both. */
export type Reference =
  | { readonly found: true; readonly data: Secret<Readonly<Record<string, Uint8Array>>> }
  /** Forbidden: the controller may not read it (a missing RoleBinding). Unreadable: bad base64 and the like. */
  | { readonly found: false; readonly why: 'NotFound' | 'Forbidden' | 'Unreadable' };

export type References = { readonly policy?: Reference; readonly webhook?: Reference };
