/** Turns fixtures/kube-apiserver.yaml, which looks as kubeadm wrote it on a real node, into one for loopback and free ports. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';

export type Addresses = {
  /** Of this node; etcd is on the first one's. */
  readonly host: string;
  readonly port: number;
  readonly etcdPort: number;
  readonly kubernetes: string;
};

export const FIXTURE_MANIFEST = join(import.meta.dirname, 'fixtures', 'kube-apiserver.yaml');

/** Only addresses, ports and the version change: comments and layout stay as the fixture has them. */
export async function adaptedManifest(to: Addresses): Promise<string> {
  const text = await readFile(FIXTURE_MANIFEST, 'utf8');
  const instead = new Map([
    ['192.0.2.11:2379', `127.0.0.1:${to.etcdPort}`],
    ['192.0.2.11', to.host],
    ['6443', String(to.port)],
  ]);
  // All at once: a free port may be 22379.
  return text
    .replaceAll(/192\.0\.2\.11:2379|192\.0\.2\.11|6443/g, (found) => instead.get(found) ?? found)
    .replace(/(kube-apiserver:)v[\d.]+/, `$1${to.kubernetes}`);
}

/** The arguments of its container, for a kube-apiserver that runs without a pod: files are then below `root`. */
export function flagsOnHost(manifest: string, root: string): string[] {
  const pod: unknown = parse(manifest);
  const command = commandOf(pod);
  return command.slice(1).map((flag) => flag.replace('=/etc/kubernetes/', `=${root}/etc/kubernetes/`));
}

function commandOf(pod: unknown): string[] {
  // The fixture is ours: a shape other than this one is a bug.
  const { spec } = pod as { spec: { containers: { command: string[] }[] } };
  const command = spec.containers[0]?.command;
  if (command === undefined) throw new Error('the fixture manifest has no command');
  return command;
}
