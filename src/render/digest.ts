/**
 * The digest of a revision: sha256 over everything that decides what an API server does. Not part of it: the versions
 * that it was checked for (an upgrade of Kubernetes restarts nothing of ours) and whether the policy is confidential
 * (moving a policy from a ConfigMap to a Secret neither), and the webhook's credentials (an API server reads those again). Bytes go in as their own hashes, so that no two parts can
 * run into each other.
 */
import { canonicalJson, sha256 } from '../config/canonical.ts';
import type { Digest, Revision } from './types.ts';

const FORMAT = 1;

export type Content = Omit<Revision, 'digest' | 'versions' | 'confidential' | 'credentials'>;

export const digestOf = (c: Content): Digest =>
  sha256(
    canonicalJson({
      format: FORMAT,
      policy: sha256(c.policy),
      webhook: c.webhook === undefined ? null : sha256(c.webhook.reveal()),
      flags: c.flags.map((f) => [f.name, f.value]),
      logDir: c.logDir ?? null,
      readerGroup: c.readerGroup ?? null,
      // Absent where there is none, so that older revisions keep their digest.
      ...(c.shipping === undefined ? {} : { shipping: { ...c.shipping, config: sha256(c.shipping.config) } }),
    }),
  ) as Digest;

/** What names are made of: 64 bits of the digest. */
export const shortDigest = (digest: Digest): string => digest.slice(0, 16);
