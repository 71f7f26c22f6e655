/**
 * What an AuditConfig refers to, as it was read: the ConfigMap or Secret with the policy, the Secret with the
 * webhook's kubeconfig. The controller reads them from the API, the CLI from the same file; why a read failed is data
 * too, so that both explain it with the same words.
 */
import { error } from './findings.ts';
import type { RenderFinding, Source } from './findings.ts';
import type { Secret } from './types.ts';

/** `data` holds bytes by key, already decoded. It is hidden for ConfigMaps too: one way for both. */
export type Reference =
  | { readonly found: true; readonly data: Secret<Readonly<Record<string, Uint8Array>>> }
  /**
   * Forbidden: the controller may not read it (a missing RoleBinding). Unreadable: not now, or its data is no base64.
   */
  | { readonly found: false; readonly why: 'NotFound' | 'Forbidden' | 'Unreadable' };

export type References = { readonly policy?: Reference; readonly webhook?: Reference };

/** Keys that are looked for where none is named, in this order. */
export const POLICY_KEYS = ['policy.yaml', 'audit-policy.yaml'] as const;

type Wanted = {
  readonly kind: 'ConfigMap' | 'Secret';
  readonly name: string;
  /** Unset: that of the AuditConfig. A datacenter names one. */
  readonly namespace?: string;
  /** The first that is there counts. */
  readonly keys: readonly string[];
  /** The field that refers to it, for findings. */
  readonly path: string;
};

const namespaceText = (namespace: string | undefined): string =>
  namespace === undefined ? 'the namespace of the AuditConfig' : `namespace ${namespace}`;

/** Codes: ReferenceNotFound, ReferenceForbidden, ReferenceUnreadable. */
export function readReference(
  reference: Reference | undefined,
  wanted: Wanted,
): { readonly bytes: Uint8Array; readonly source: Source } | { readonly finding: RenderFinding } {
  const { kind, name, namespace, keys, path } = wanted;
  const bad = (code: string, message: string): { finding: RenderFinding } => ({
    finding: error(code, path, `${path}: ${kind} ${name} ${message}`),
  });
  if (reference === undefined || (!reference.found && reference.why === 'NotFound'))
    return bad('ReferenceNotFound', `is not there, in ${namespaceText(namespace)}`);
  if (!reference.found)
    return reference.why === 'Forbidden'
      ? bad(
          'ReferenceForbidden',
          `cannot be read: the controller's service account needs permission to get ${kind === 'Secret' ? 'secrets' : 'configmaps'} in ${namespaceText(namespace)}`,
        )
      : bad('ReferenceUnreadable', 'could not be read');
  const data = reference.data.reveal();
  const key = keys.find((k) => Object.hasOwn(data, k));
  const bytes = key === undefined ? undefined : data[key];
  if (key === undefined || bytes === undefined) return bad('ReferenceNotFound', `has no key ${keys.join(' or ')}`);
  return { bytes, source: { kind, name, key } };
}
