/** The certificates that pki.ts writes byte by byte, read back by OpenSSL (as Node has it) and used in a TLS handshake. */
import { X509Certificate, createPrivateKey } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { Authority, kubeadmPki } from './pki.ts';

describe('a certificate', () => {
  it('is one that OpenSSL reads as asked for', () => {
    const ca = new Authority('my-ca');
    const { cert, key } = ca.issue({
      commonName: 'alice',
      organizations: ['devs', 'system:masters'],
      names: ['localhost', '127.0.0.1', 'a.b.c'],
      usages: ['client'],
    });
    const read = new X509Certificate(cert);
    expect(read.subject).toBe('O=devs\nO=system:masters\nCN=alice');
    expect(read.issuer).toBe('CN=my-ca');
    expect(read.subjectAltName).toBe('DNS:localhost, IP Address:127.0.0.1, DNS:a.b.c');
    expect(read.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
    expect(read.ca).toBe(false);
    expect(read.checkPrivateKey(createPrivateKey(key))).toBe(true);
    expect(read.checkIssued(new X509Certificate(ca.cert))).toBe(true);
    expect(read.verify(new X509Certificate(ca.cert).publicKey)).toBe(true);
    expect(read.verify(new X509Certificate(new Authority('my-ca').cert).publicKey)).toBe(false);
    expect(new X509Certificate(ca.cert).ca).toBe(true);
    expect(Date.parse(read.validFrom)).toBeLessThan(Date.now());
    expect(Date.parse(read.validTo)).toBeGreaterThan(Date.now() + 9 * 365 * 86_400_000);
  });

  it('has a serial number of its own, many times over', () => {
    const ca = new Authority('ca');
    const certs = Array.from({ length: 50 }, () => ca.issue({ commonName: 'x', usages: ['server'] }).cert);
    expect(new Set(certs.map((c) => new X509Certificate(c).serialNumber)).size).toBe(50);
  });

  it('stands a TLS handshake with a client certificate', async () => {
    const ca = new Authority('ca');
    const serving = ca.issue({ commonName: 'server', names: ['127.0.0.1'], usages: ['server'] });
    const client = ca.issue({ commonName: 'client', usages: ['client'] });
    const server = createServer({ ...serving, ca: ca.cert, requestCert: true, rejectUnauthorized: true }, (s) =>
      s.end('hi'),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const said = await new Promise<string>((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', ca: ca.cert, ...client });
      socket.once('data', (d: Buffer) => resolve(d.toString())).once('error', reject);
    });
    server.close();
    expect(said).toBe('hi');
  });
});

describe("kubeadm's pki folder", () => {
  it('has the files that the fixture manifest names', () => {
    const { files } = kubeadmPki(['127.0.0.1']);
    for (const name of [
      'ca',
      'apiserver',
      'apiserver-kubelet-client',
      'apiserver-etcd-client',
      'front-proxy-ca',
      'front-proxy-client',
      'etcd/ca',
      'etcd/server',
    ])
      // prettier-ignore
      expect([...files.keys()]).toEqual(expect.arrayContaining([`${name}.crt`, `${name}.key`]));
    expect(files.has('sa.key') && files.has('sa.pub')).toBe(true);
  });
});
