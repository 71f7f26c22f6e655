/** The controller as deploy/ installs it, in this process, with the rights of its own service account. For plane tests here. */
import { writeFile } from 'node:fs/promises';
import { runController } from '../../src/controllers/controller.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { BUNDLES_NAMESPACE, OPERATOR_NAMESPACE, installOperator, kubeconfigOf, tokenOf } from '../operator/install.ts';

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
