/** The files of a test's node before its first start, below the folder that plays its `/`, where kubeadm has them. */
import { randomBytes } from 'node:crypto';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { kubeadmPki } from './pki.ts';

export type NodeFiles = {
  /** PEM. */
  readonly ca: string;
  readonly tokens: Readonly<Record<string, string>>;
  readonly adminToken: string;
  readonly kubeconfigPath: string;
};

/** Addresses of control-plane nodes, all of this machine; real ones have the same port as well. */
export const HOSTS = ['127.0.0.1', '127.0.0.2', '127.0.0.3'] as const;

/** Of the first node of a control plane: what the others need to belong to it. */
export type Founder = Omit<NodeFiles, 'kubeconfigPath'> & { readonly root: string };

export type NodeOptions = {
  /** Of its API server. */
  readonly url: string;
  /** Users and their groups, besides admin (system:masters). */
  readonly users: Readonly<Record<string, readonly string[]>>;
  /** More files, by path below the root. */
  readonly files: Readonly<Record<string, string>>;
  /** Keys, certificates and users are taken from there, as `kubeadm join --control-plane` does. */
  readonly join?: Founder;
};

const kubeconfigFor = (url: string, ca: string, token: string): string =>
  JSON.stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'plane',
      contexts: [{ name: 'plane', context: { cluster: 'plane', user: 'admin' } }],
      clusters: [
        { name: 'plane', cluster: { server: url, 'certificate-authority-data': Buffer.from(ca).toString('base64') } },
      ],
      users: [{ name: 'admin', user: { token } }],
    },
    null,
    2,
  );

/** What is a secret is for its owner only. */
async function writeBelow(root: string, path: string, content: string): Promise<void> {
  const full = join(root, path);
  await mkdir(dirname(full), { recursive: true });
  await writeFile(full, content, { mode: /\.(key|csv|conf)$/.test(path) ? 0o600 : 0o644 });
}

/** Certificates, keys and users of a new control plane. */
async function found(root: string, more: NodeOptions['users']): Promise<Omit<Founder, 'root'>> {
  const users = Object.entries({ admin: ['system:masters'], ...more }).map(([name, groups]) => {
    const token = randomBytes(16).toString('hex');
    return { name, token, line: `${token},${name},uid-${name},"${groups.join(',')}"\n` };
  });
  const pki = kubeadmPki(['localhost', ...HOSTS]);
  for (const [path, content] of pki.files) await writeBelow(root, `etc/kubernetes/pki/${path}`, content);
  await writeBelow(root, 'etc/kubernetes/pki/tokens.csv', users.map((u) => u.line).join(''));
  const tokens = Object.fromEntries(users.map((u) => [u.name, u.token]));
  return { ca: pki.ca.cert, tokens, adminToken: tokens['admin'] ?? '' };
}

async function joined(root: string, { root: from, ...founder }: Founder): Promise<Omit<Founder, 'root'>> {
  await cp(join(from, 'etc/kubernetes/pki'), join(root, 'etc/kubernetes/pki'), { recursive: true });
  return founder;
}

export async function writeNodeFiles(root: string, options: NodeOptions): Promise<NodeFiles> {
  const made = await (options.join === undefined ? found(root, options.users) : joined(root, options.join));
  const kubeconfig = 'etc/kubernetes/admin.conf';
  await writeBelow(root, kubeconfig, kubeconfigFor(options.url, made.ca, made.adminToken));
  for (const d of ['etc/kubernetes/manifests', 'var/log', 'var/lib']) await mkdir(join(root, d), { recursive: true });
  for (const [path, content] of Object.entries(options.files)) await writeBelow(root, path, content);
  return { ...made, kubeconfigPath: join(root, kubeconfig) };
}
