/**
 * The shipper of control-plane nodes: one DaemonSet for an AuditConfig, whose configuration is an annotation of its pods, so
 * that it is one object and a change of it never touches an API server. It mounts exactly the log's folder, read-only, and a
 * folder of its own for buffer and positions. It is root without any capability, since only root or the log's readerGroup can
 * read the log; deploy/controller/shipping-admission.yaml holds the controller to just that. Called by rollout/shipping.ts.
 */
import type { Shipping } from '../types.ts';
import { CONFIG_FILE } from './config.ts';
import { BUFFER_VOLUME, CONFIG_VOLUME, SHIPPER, filesVolumes, shipperContainer } from './container.ts';

export const CONFIG_ANNOTATION = 'auditconfig.dev/fluent-bit';
/** On nodes; buffer and positions outlive the pods. */
export const BUFFER_DIR = '/var/lib/auditconfig-shipping';
export const DAEMON_SET_PREFIX = 'auditconfig-shipping-';
const LOG_VOLUME = 'auditconfig-log';

/** Whose it is. */
export const SHIPPER_LABEL = 'auditconfig.dev/shipper-of';

export type Owner = { readonly namespace: string; readonly name: string; readonly uid: string };
export type NodeShipping = {
  readonly owner: Owner;
  readonly shipping: Shipping;
  readonly logDir: string;
  readonly readerGroup: number;
  readonly nodeSelector: Readonly<Record<string, string>>;
  /** What records say that they come from. */
  readonly clusterId: string;
};

/** Readable, and no other AuditConfig's: also not one's that had the same name before. */
export const shipperName = ({ name, uid }: Pick<Owner, 'name' | 'uid'>): string =>
  `${DAEMON_SET_PREFIX}${name.slice(0, 24).replace(/[^a-z0-9]+$/, '')}-${uid.replace(/[^a-z0-9]/g, '').slice(0, 8)}`;

/** The object as it is applied. */
export function shipperDaemonSet(n: NodeShipping) {
  const { owner, shipping, logDir, readerGroup, nodeSelector, clusterId } = n;
  const labels = {
    'app.kubernetes.io/name': 'auditconfig',
    'app.kubernetes.io/component': SHIPPER,
    [SHIPPER_LABEL]: owner.uid,
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: shipperName(owner), namespace: owner.namespace, labels },
    spec: {
      // A pod that ends right after its start stops the rollout at its node.
      minReadySeconds: 15,
      selector: { matchLabels: { [SHIPPER_LABEL]: owner.uid } },
      template: {
        metadata: { labels, annotations: { [CONFIG_ANNOTATION]: new TextDecoder().decode(shipping.config) } },
        spec: {
          automountServiceAccountToken: false,
          containers: [
            shipperContainer(shipping, {
              log: { name: LOG_VOLUME },
              cluster: clusterId === '' ? {} : { value: clusterId },
              user: { runAsUser: 0, runAsGroup: readerGroup },
              hidesToken: false,
            }),
          ],
          nodeSelector: { 'kubernetes.io/os': 'linux', ...nodeSelector },
          priorityClassName: 'system-node-critical',
          tolerations: [{ operator: 'Exists' }],
          volumes: [
            {
              name: CONFIG_VOLUME,
              downwardAPI: {
                items: [
                  {
                    path: CONFIG_FILE,
                    fieldRef: { apiVersion: 'v1', fieldPath: `metadata.annotations['${CONFIG_ANNOTATION}']` },
                  },
                ],
              },
            },
            { name: BUFFER_VOLUME, hostPath: { path: BUFFER_DIR, type: 'DirectoryOrCreate' } },
            // Made by the agent, with the owner that the API server needs.
            { name: LOG_VOLUME, hostPath: { path: logDir, type: 'Directory' } },
            ...filesVolumes(shipping),
          ],
        },
      },
    },
  } as const;
}
