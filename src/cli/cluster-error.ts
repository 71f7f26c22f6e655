/**
 * What a command says when the cluster did not give what it asked for: the API server's own words, the code, and what to do
 * where that is known. Used by status, explain-config and prestage.
 */
import type { ErrorCode, KubeError } from '../kube/errors.ts';
import { printable } from './printable.ts';

const NEXT: Partial<Readonly<Record<ErrorCode, string>>> = {
  CredentialsFailed: '--kubeconfig and --context say which cluster is meant',
  Unauthorized: 'the credentials of this kubeconfig are not taken: renew them, or choose another --context',
  Forbidden: 'ask for that right, or choose another --context',
  ConnectionRefused: 'is its API server running, and is the address of this kubeconfig right?',
  Unreachable: 'is the address of this kubeconfig right, and reachable from here?',
  TlsFailed: "is the certificate authority of this kubeconfig that of this cluster's API server?",
  Timeout: 'the API server takes long: try again',
};

/** An API server says this of a path that it does not serve, and a Status of an object that is not there. */
const isUnserved = ({ code, message }: KubeError): boolean => code === 'NotFound' && message.startsWith('404 page');

/** Lines for standard error. */
export function clusterError(error: KubeError): string {
  if (isUnserved(error))
    return 'error: this cluster does not serve auditconfig.dev/v1alpha1: is the operator installed (kubectl apply -k deploy/)? (NotFound)\n';
  const next = NEXT[error.code];
  return `error: ${printable(error.message)} (${error.code})${next === undefined ? '' : `; ${next}`}\n`;
}
