/**
 * Issues the certificates of a test control plane, in the layout of kubeadm's /etc/kubernetes/pki.
 *
 * node:crypto makes keys and signatures but no X.509 certificates, and openssl is not on every machine; so this writes
 * the little DER that a certificate needs. For tests only: ECDSA P-256, valid for ten years, no revocation.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

export type Issued = { readonly cert: string; readonly key: string };

export type CertificateRequest = {
  readonly commonName: string;
  readonly organizations?: readonly string[];
  /** DNS names and IPv4 addresses. */
  readonly names?: readonly string[];
  readonly usages: readonly ('server' | 'client')[];
  /** Default: from an hour ago, for ten years. */
  readonly valid?: { readonly from: Date; readonly to: Date };
};

const tlv = (tag: number, ...content: Uint8Array[]): Buffer => {
  const body = Buffer.concat(content);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length = Buffer.from(body.length.toString(16).padStart(body.length > 0xff ? 4 : 2, '0'), 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, body]);
};
const sequence = (...content: Uint8Array[]): Buffer => tlv(0x30, ...content);
const text = (value: string): Buffer => tlv(0x0c, Buffer.from(value));
const TRUE = tlv(0x01, Buffer.from([0xff]));

function oid(dotted: string): Buffer {
  const [a = 0, b = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [a * 40 + b];
  for (const n of rest) {
    const base128 = [n & 0x7f];
    for (let high = n >> 7; high > 0; high >>= 7) base128.unshift((high & 0x7f) | 0x80);
    bytes.push(...base128);
  }
  return tlv(0x06, Buffer.from(bytes));
}

const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));
const USAGE = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' } as const;

const attribute = (type: string, value: string): Buffer => tlv(0x31, sequence(oid(type), text(value)));
const distinguishedName = (commonName: string, organizations: readonly string[] = []): Buffer =>
  sequence(...organizations.map((o) => attribute('2.5.4.10', o)), attribute('2.5.4.3', commonName));

/** UTCTime: years until 2049. */
const utcTime = (t: Date): Buffer =>
  tlv(0x17, Buffer.from(`${t.toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`, 'latin1'));

const extension = (id: string, critical: boolean, value: Uint8Array): Buffer =>
  sequence(oid(id), ...(critical ? [TRUE] : []), tlv(0x04, value));
const basicConstraints = (isAuthority: boolean): Buffer =>
  extension('2.5.29.19', true, sequence(...(isAuthority ? [TRUE] : [])));
/** One byte of KeyUsage bits; `unused` low bits of it. */
const keyUsage = (bits: number, unused: number): Buffer =>
  extension('2.5.29.15', true, tlv(0x03, Buffer.from([unused, bits])));

const isIPv4 = (name: string): boolean => /^\d+\.\d+\.\d+\.\d+$/.test(name);
const alternativeNames = (names: readonly string[]): Buffer =>
  extension(
    '2.5.29.17',
    false,
    sequence(
      ...names.map((n) =>
        isIPv4(n) ? tlv(0x87, Buffer.from(n.split('.').map(Number))) : tlv(0x82, Buffer.from(n, 'latin1')),
      ),
    ),
  );

function certificate(of: {
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly publicKey: KeyObject;
  readonly signer: KeyObject;
  readonly extensions: readonly Buffer[];
  readonly valid?: CertificateRequest['valid'];
}): string {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40; // positive, and never with a leading zero byte
  const now = Date.now();
  const { from, to } = of.valid ?? { from: new Date(now - 3_600_000), to: new Date(now + 10 * 365 * 86_400_000) };
  const validity = sequence(utcTime(from), utcTime(to));
  const toBeSigned = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, serial),
    ECDSA_SHA256,
    of.issuer,
    validity,
    of.subject,
    of.publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(...of.extensions)),
  );
  const signature = sign('sha256', toBeSigned, of.signer);
  const der = sequence(toBeSigned, ECDSA_SHA256, tlv(0x03, Buffer.from([0]), signature));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

export type KeyPair = { readonly publicKey: string; readonly privateKey: string };

/** An ECDSA P-256 pair in PEM: SPKI and PKCS#8. Also what signs service account tokens. */
export function keyPair(): KeyPair {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    publicKey: pair.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    privateKey: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

export class Authority {
  readonly cert: string;
  readonly key: string;
  readonly #name: Buffer;
  readonly #signer: KeyObject;

  constructor(commonName: string) {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#name = distinguishedName(commonName);
    this.#signer = pair.privateKey;
    this.key = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    this.cert = certificate({
      issuer: this.#name,
      subject: this.#name,
      publicKey: pair.publicKey,
      signer: pair.privateKey,
      extensions: [basicConstraints(true), keyUsage(0b1010_0100, 2)], // digitalSignature, keyEncipherment, keyCertSign
    });
  }

  issue(request: CertificateRequest): Issued {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const usages = sequence(...request.usages.map((u) => oid(USAGE[u])));
    const names = request.names ?? [];
    const cert = certificate({
      issuer: this.#name,
      subject: distinguishedName(request.commonName, request.organizations),
      publicKey: pair.publicKey,
      signer: this.#signer,
      ...(request.valid === undefined ? {} : { valid: request.valid }),
      extensions: [
        basicConstraints(false),
        keyUsage(0b1010_0000, 5), // digitalSignature, keyEncipherment
        extension('2.5.29.37', false, usages),
        ...(names.length > 0 ? [alternativeNames(names)] : []),
      ],
    });
    return { cert, key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
  }
}

/** The file contents of kubeadm's pki folder, by path below it. */
export function kubeadmPki(hosts: readonly string[]): { files: ReadonlyMap<string, string>; ca: Authority } {
  const ca = new Authority('kubernetes');
  const etcdCa = new Authority('etcd-ca');
  const frontProxyCa = new Authority('front-proxy-ca');
  const serviceAccounts = keyPair();
  const files = new Map<string, string>();
  const add = (name: string, issued: Issued): void => {
    files.set(`${name}.crt`, issued.cert).set(`${name}.key`, issued.key);
  };
  add('ca', ca);
  add('etcd/ca', etcdCa);
  add('front-proxy-ca', frontProxyCa);
  const services = [
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    'kubernetes.default.svc.cluster.local',
  ];
  add(
    'apiserver',
    ca.issue({ commonName: 'kube-apiserver', names: [...hosts, ...services, '10.96.0.1'], usages: ['server'] }),
  );
  add(
    'apiserver-kubelet-client',
    ca.issue({
      commonName: 'kube-apiserver-kubelet-client',
      organizations: ['kubeadm:cluster-admins'],
      usages: ['client'],
    }),
  );
  add('front-proxy-client', frontProxyCa.issue({ commonName: 'front-proxy-client', usages: ['client'] }));
  add('etcd/server', etcdCa.issue({ commonName: 'etcd', names: hosts, usages: ['server', 'client'] }));
  add('apiserver-etcd-client', etcdCa.issue({ commonName: 'kube-apiserver-etcd-client', usages: ['client'] }));
  files.set('sa.key', serviceAccounts.privateKey).set('sa.pub', serviceAccounts.publicKey);
  return { files, ca };
}
