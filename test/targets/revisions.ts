/** Hand-made revisions for tests of targets and of the node room. */
import { digestOf } from '../../src/render/digest.ts';
import { Secret } from '../../src/render/types.ts';
import type { AuditFlag, FlagValue, Revision, Shipping } from '../../src/render/types.ts';

export type RevisionSketch = {
  readonly policy?: string;
  readonly flags?: Readonly<Record<string, FlagValue | null>>;
  readonly logDir?: string | null;
  readonly logName?: string;
  readonly readerGroup?: number;
  readonly confidential?: boolean;
  readonly webhook?: string;
  readonly shipping?: Shipping;
  /** Of the webhook; no part of the digest. */
  readonly token?: string;
};

export const METADATA_POLICY = '{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"Metadata"}]}\n';

/** Policy, log path and retention as `recommended` gives them; a null flag is left out. */
export function revision(s: RevisionSketch = {}): Revision {
  const logDir = s.logDir === undefined ? '/var/log/kube-audit' : (s.logDir ?? undefined);
  const defaults: Record<string, FlagValue> = {
    '--audit-policy-file': { file: 'policy' },
    '--audit-log-path': logDir === undefined ? '-' : { dir: 'log', name: s.logName ?? 'audit.log' },
    '--audit-log-format': 'json',
    '--audit-log-mode': 'blocking',
    '--audit-log-maxage': '30',
    '--audit-log-maxbackup': '10',
    '--audit-log-maxsize': '100',
    '--audit-log-compress': 'false',
    ...(s.webhook === undefined ? {} : { '--audit-webhook-config-file': { file: 'webhook' } as const }),
  };
  const flags = Object.entries({ ...defaults, ...s.flags })
    .flatMap(([name, value]) => (value === null ? [] : [{ name: name as AuditFlag, value }]))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const policy = new TextEncoder().encode(s.policy ?? METADATA_POLICY);
  const content = {
    policy,
    flags,
    ...(s.webhook === undefined ? {} : { webhook: new Secret(new TextEncoder().encode(s.webhook)) }),
    ...(logDir === undefined ? {} : { logDir }),
    ...(s.readerGroup === undefined ? {} : { readerGroup: s.readerGroup }),
    ...(s.shipping === undefined ? {} : { shipping: s.shipping }),
  };
  return {
    ...content,
    ...(s.token === undefined ? {} : { credentials: new Secret({ token: new TextEncoder().encode(s.token) }) }),
    digest: digestOf(content),
    versions: ['1.36'],
    confidential: s.confidential ?? false,
  };
}
