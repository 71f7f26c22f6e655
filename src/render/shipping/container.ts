/**
 * fluent-bit's container, the same in a hosted API server's pod and on a node: reads the log, writes its own buffer, and
 * nothing else. No service account's token, no capability, no writable root, no way to more rights. Who it runs as is said by
 * its place: only the log's owner or group can read it. Called by the hosted target and by daemonset.ts.
 */
import type { EnvironmentVariable } from '../../api/auditconfig-sinks.ts';
import type { Shipping } from '../types.ts';
import { BUFFER_MOUNT, CLUSTER_ID, CONFIG_FILE, CONFIG_MOUNT, FILES_MOUNT, LOG_MOUNT, NODE } from './config.ts';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type JsonMap = { readonly [key: string]: Json };

export const SHIPPER = 'audit-logs';
export const CONFIG_VOLUME = 'auditconfig-shipping-config';
export const BUFFER_VOLUME = 'auditconfig-shipping';
export const FILES_VOLUME = 'auditconfig-shipping-files';

export type Place = {
  /** Where the log's folder comes from: a mount without mountPath and readOnly. */
  readonly log: JsonMap;
  /** What says which cluster it is: a value, or a field of the pod. */
  readonly cluster: JsonMap;
  /** runAsUser and the like. */
  readonly user: JsonMap;
  /** An API server mounts a token into every container of the pod that has nothing in its place. */
  readonly hidesToken: boolean;
};

const variable = ({ name, value, secretKeyRef }: EnvironmentVariable): Json =>
  secretKeyRef === undefined
    ? // An API server leaves an empty value out.
      { name, ...(value === undefined || value === '' ? {} : { value }) }
    : { name, valueFrom: { secretKeyRef: { name: secretKeyRef.name, key: secretKeyRef.key } } };

const resourcesOf = ({ resources: { requests, limits } }: Shipping): Json => ({
  ...(Object.keys(requests).length === 0 ? {} : { requests }),
  ...(Object.keys(limits).length === 0 ? {} : { limits }),
});

const TOKEN_MOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * The volume of its files, none where there are none. Readable for whoever its container runs as: no other container mounts it.
 */
export const filesVolumes = ({ files = [] }: Shipping) =>
  files.length === 0
    ? []
    : [
        {
          name: FILES_VOLUME,
          projected: {
            // As an API server would write it.
            defaultMode: 0o644,
            sources: files.map(({ name, secretKeyRef, configMapKeyRef }) =>
              secretKeyRef === undefined
                ? {
                    configMap: {
                      name: configMapKeyRef?.name ?? '',
                      items: [{ key: configMapKeyRef?.key ?? '', path: name }],
                    },
                  }
                : { secret: { name: secretKeyRef.name, items: [{ key: secretKeyRef.key, path: name }] } },
            ),
          },
        },
      ];

export function shipperContainer(s: Shipping, { log, cluster, user, hidesToken }: Place): Json {
  return {
    name: SHIPPER,
    image: s.image,
    command: ['/fluent-bit/bin/fluent-bit', '--config', `${CONFIG_MOUNT}/${CONFIG_FILE}`],
    env: [
      { name: CLUSTER_ID, ...cluster },
      { name: NODE, valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'spec.nodeName' } } },
      ...s.env.map(variable),
    ],
    resources: resourcesOf(s),
    volumeMounts: [
      { name: CONFIG_VOLUME, mountPath: CONFIG_MOUNT, readOnly: true },
      ...(s.files === undefined ? [] : [{ name: FILES_VOLUME, mountPath: FILES_MOUNT, readOnly: true }]),
      { name: BUFFER_VOLUME, mountPath: BUFFER_MOUNT, subPath: 'state' },
      { ...log, mountPath: LOG_MOUNT, readOnly: true },
      ...(hidesToken ? [{ name: BUFFER_VOLUME, mountPath: TOKEN_MOUNT, readOnly: true, subPath: 'no-token' }] : []),
    ],
    securityContext: {
      ...user,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      privileged: false,
      readOnlyRootFilesystem: true,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    terminationMessagePolicy: 'FallbackToLogsOnError',
  };
}
