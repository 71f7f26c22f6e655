/** Whom a rendered kubeconfig makes an API server dial, and what kind of host that is. */
import { describe, expect, it } from 'vitest';
import { destinationsOf, hostIn, webhookDestination } from '../../../src/render/egress/destination.ts';
import { renderWebhook } from '../../../src/render/webhook.ts';

const rendered = (cluster: object): Uint8Array => {
  const text = JSON.stringify({
    clusters: [{ name: 'c', cluster }],
    contexts: [{ name: 'x', context: { cluster: 'c' } }],
    'current-context': 'x',
  });
  const { kubeconfig } = renderWebhook(new TextEncoder().encode(text), { network: 'Pod' });
  if (kubeconfig === undefined) throw new Error('it does not render');
  return kubeconfig.reveal();
};
const dialled = (cluster: object): string | undefined => {
  const d = webhookDestination(rendered(cluster));
  return d === undefined ? undefined : `${d.host} ${d.port}`;
};

describe('what is dialled', () => {
  it.each([
    ['https://audit.example.org/events', 'audit.example.org 443'],
    ['http://audit.example.org', 'audit.example.org 80'],
    ['https://audit.example.org:8443/x', 'audit.example.org 8443'],
    ['https://10.1.2.3:9880', '10.1.2.3 9880'],
    ['https://[fd00::1]:9880/', 'fd00::1 9880'],
    ['HTTPS://[2001:db8::1]', '2001:db8::1 443'],
  ])('%s', (server, want) => {
    expect(dialled({ server })).toBe(want);
  });

  it.each([
    ['http://proxy.example.org', 'proxy.example.org 80'],
    ['https://user:p@proxy.example.org:3128', 'proxy.example.org 3128'],
    ['socks5://[fd00::2]', 'fd00::2 1080'],
  ])('through the proxy %s it is the proxy', (proxy, want) => {
    expect(dialled({ server: 'https://audit.example.org', 'proxy-url': proxy })).toBe(want);
  });

  it.each(['', 'rubbish', '[]', 'null', '{"clusters":[]}', '{"clusters":[{"cluster":{"server":"ftp://x"}}]}'])(
    'nothing, where it was not rendered here: %s',
    (text) => {
      expect(webhookDestination(new TextEncoder().encode(text))).toBeUndefined();
    },
  );

  it('a revision without a webhook sends nowhere', () => {
    expect(destinationsOf({})).toEqual([]);
  });
});

describe('a host, in namespace here', () => {
  it.each([
    ['audit.logging.svc', 'logging/audit'],
    ['Audit.Logging.svc.cluster.local', 'logging/audit'],
    ['audit.logging.svc.cluster.local.', 'logging/audit'],
    ['audit-0.audit.logging.svc', 'logging/audit'],
    ['audit', 'here/audit'],
    ['0x7f000001', 'here/0x7f000001'],
  ])('%s is the Service %s', (host, service) => {
    expect(hostIn(host, 'here')).toEqual({ is: 'Service', service });
  });
  it.each(['audit.example.org', 'audit.logging', 'localhost.', 'svc.example.org', 'a.svc', '127.1'])(
    '%s is a name',
    (host) => {
      expect(hostIn(host, 'here').is).toBe('Name');
    },
  );
  it.each(['10.0.0.1', 'fd00::1', '::ffff:10.0.0.1'])('%s is an address', (host) => {
    expect(hostIn(host, 'here').is).toBe('Address');
  });
});
