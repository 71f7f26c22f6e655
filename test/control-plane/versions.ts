/**
 * The Kubernetes versions that `npm test` runs against. The one place that names them besides go/go.mod and
 * go/go-1.35.mod, which a test holds equal to these.
 */
export type PlaneVersion = '1.35' | '1.36';

/** The order in which binaries are provided: most tests need only the first. */
export const PLANE_VERSIONS: readonly PlaneVersion[] = ['1.36', '1.35'];

type Pinned = {
  /** The kube-apiserver's own version, as `--version` and /version say it. */
  readonly kubernetes: string;
  /** Of the etcd image that kubeadm of that version would run. */
  readonly etcdImageTag: string;
  /** Arguments that select the wrapper module of that version in go/. */
  readonly modfile: { readonly name: string; readonly sum: string; readonly args: readonly string[] };
};

export const PINNED: Readonly<Record<PlaneVersion, Pinned>> = {
  '1.36': {
    kubernetes: 'v1.36.3',
    etcdImageTag: '3.6.8-0',
    modfile: { name: 'go.mod', sum: 'go.sum', args: [] },
  },
  '1.35': {
    kubernetes: 'v1.35.4',
    etcdImageTag: '3.6.6-0',
    modfile: { name: 'go-1.35.mod', sum: 'go-1.35.sum', args: ['-modfile=go-1.35.mod'] },
  },
};

/** `Kubernetes v1.36.3` and `v1.36.3` give `1.36`; versions that no test asks for give undefined. */
export function planeVersionOf(text: string): PlaneVersion | undefined {
  const minor = /\bv?(1\.\d+)\.\d+/.exec(text)?.[1];
  return PLANE_VERSIONS.find((v) => v === minor);
}
