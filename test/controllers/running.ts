/** The controller as deploy/ installs it, in this process, with the rights of its own service account. For plane tests here. */
import { writeFile } from 'node:fs/promises';
import { runController } from '../../src/controllers/controller.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  BUNDLES_NAMESPACE,
  OPERATOR_NAMESPACE,
  installOperator,
  kubeconfigOf,
  pathOf,
  tokenOf,
} from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';

/** Runs until the signal aborts; `ended` settles then. */
export async function startController(
  plane: ControlPlane,
  signal: AbortSignal,
): Promise<{ readonly ended: Promise<void> }> {
  await installOperator(plane);
  const kubeconfig = `${plane.kubeconfigPath}-controller`;
  await writeFile(kubeconfig, kubeconfigOf(plane, await tokenOf(plane, 'auditconfig-controller')), { mode: 0o600 });
  const place = { namespace: OPERATOR_NAMESPACE, bundlesNamespace: BUNDLES_NAMESPACE, port: 0 };
  const who = { identity: 'controller-0', logLevel: 'silent', version: '0.0.0-test' } as const;
  return { ended: runController({ ...place, ...who, kubeconfig }, signal) };
}

/** What a test reads of an AuditConfig. */
export type ConfigView = {
  readonly metadata: { readonly generation: number; readonly resourceVersion: string; readonly finalizers?: string[] };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly revision?: { readonly digest: string };
    readonly workload?: Record<string, unknown>;
    readonly conditions?: readonly { type: string; status: string; reason: string; message: string }[];
  };
};

export const configOn = async (plane: ControlPlane, object: Manifest): Promise<ConfigView> =>
  (await plane.request('GET', pathOf(object))).body as ConfigView;

/** Until this reason is said of its newest generation; throws with what is said instead when `ms` have passed. */
export async function untilSaid(
  { plane, object, ms }: { readonly plane: ControlPlane; readonly object: Manifest; readonly ms: number },
  type: string,
  reason: string,
): Promise<ConfigView> {
  const end = Date.now() + ms;
  let last: ConfigView | undefined;
  while (Date.now() < end) {
    last = await configOn(plane, object);
    const c = last.status?.conditions?.find((x) => x.type === type);
    if (c?.reason === reason && last.status?.observedGeneration === last.metadata.generation) return last;
    await sleep(50);
  }
  throw new Error(`${type}=${reason} did not come true: ${JSON.stringify(last?.status, null, 1)}`);
}
