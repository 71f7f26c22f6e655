/**
 * Owners whose kube-apiservers write their log as the owner has fixed it: each field about the log, and what it may say
 * since it is so anyway. Called by the owners' files.
 */
import type { Inexpressible } from './types.ts';

export type FixedLog = {
  readonly path: string;
  readonly maxAgeDays?: number;
  readonly maxBackups?: number;
  /** As spec.log.retention has it. */
  readonly maxSize?: string;
};

const is =
  (...wanted: readonly unknown[]) =>
  (v: unknown): boolean =>
    wanted.includes(v);

export function fixedLog(owner: string, log: FixedLog): readonly Inexpressible[] {
  const why = `${owner} fixes how the log is written (to ${log.path}), and its API has no field for it`;
  const row = (path: string, ...fine: readonly unknown[]): Inexpressible => ({ path, why, isFine: is(...fine) });
  return [
    row('log.type', 'File'),
    row('log.file.path', log.path),
    row('log.file.readerGroup', 0),
    row('log.file.format', 'JSON'),
    row('log.retention.maxAgeDays', log.maxAgeDays),
    row('log.retention.maxBackups', log.maxBackups),
    row('log.retention.maxSize', log.maxSize),
    row('log.retention.totalSize'),
    row('log.retention.compression', 'None'),
    row('log.mode', 'Blocking'),
    row('log.batch'),
    row('log.truncate'),
  ];
}

/** Of a webhook only the kubeconfig can be said. `pods`: where a NetworkPolicy of ours would have to lie. */
export const plainWebhook = (owner: string, pods: 'InReach' | 'Elsewhere'): readonly Inexpressible[] => {
  const why = `${owner} takes the kubeconfig of a webhook, and no such flag beside it`;
  return [
    { path: 'webhook.mode', why, isFine: is('Batch') },
    { path: 'webhook.batch', why },
    { path: 'webhook.truncate', why },
    ...(pods === 'InReach'
      ? []
      : [
          {
            path: 'webhook.networkPolicy',
            why: `${owner} runs its pods in a namespace of its own, where this release writes no NetworkPolicy: let them reach the webhook by one of yours`,
            isFine: is('None'),
          },
        ]),
  ];
};
