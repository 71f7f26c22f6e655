/**
 * Whom the pods of a revision send to: host and port of the webhook, or of the proxy in between, read from the kubeconfig that
 * was rendered here; and what kind of host that is. Refuses nothing: refused.ts does. No message may hold what comes out of
 * it, since it stands in a Secret. Called by src/rollout/hosted/hosted.ts and src/controllers/hosted.
 */
import { parseAddress } from '../../api/addresses.ts';
import type { Address } from '../../api/addresses.ts';
import type { Revision } from '../types.ts';
import { shipperDestinations } from './shipper.ts';
import type { Destination } from './types.ts';

/** As client-go's transport dials where the URL names no port. */
const PORTS: Readonly<Record<string, number>> = { http: 80, https: 443, socks5: 1080, socks5h: 1080 };
const URL_PARTS = /^([a-z0-9]+):\/\/(?:[^@/]*@)?(\[[^\]]+\]|[^:/@[\]]+)(?::([0-9]{1,5}))?(?:\/|$)/i;

function partsOf(url: string): Pick<Destination, 'host' | 'port'> | undefined {
  const [, scheme = '', host = '', port] = URL_PARTS.exec(url) ?? [];
  const known = Object.hasOwn(PORTS, scheme.toLowerCase()) ? PORTS[scheme.toLowerCase()] : undefined;
  const number = port === undefined ? known : Number(port);
  if (host === '' || number === undefined || number < 1 || number > 65_535) return undefined;
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: number };
}

const clusterIn = (kubeconfig: Uint8Array): { readonly server?: unknown; readonly 'proxy-url'?: unknown } => {
  try {
    const config = JSON.parse(new TextDecoder().decode(kubeconfig)) as {
      clusters?: { cluster?: { server?: unknown; 'proxy-url'?: unknown } }[];
    } | null;
    return config?.clusters?.[0]?.cluster ?? {};
  } catch {
    return {};
  }
};

/** `kubeconfig`: as ../webhook.ts renders it, which is JSON. Undefined for anything else. */
export function webhookDestination(kubeconfig: Uint8Array): Destination | undefined {
  const { server, 'proxy-url': proxy } = clusterIn(kubeconfig);
  // Through a proxy it is the proxy that is dialled.
  const url = typeof proxy === 'string' && proxy !== '' ? proxy : server;
  const parts = typeof url === 'string' ? partsOf(url) : undefined;
  return parts === undefined ? undefined : { what: 'the webhook', ...parts, protocol: 'TCP' };
}

/** Everyone that pods of this revision send to: the API server's webhook, and the shipper beside it. */
export function destinationsOf({ webhook, shipping }: Pick<Revision, 'webhook' | 'shipping'>): readonly Destination[] {
  const hook = webhook === undefined ? undefined : webhookDestination(webhook.reveal());
  const shipper = shipping === undefined ? [] : shipperDestinations(shipping.config);
  return [...(hook === undefined ? [] : [hook]), ...shipper];
}

export type Host =
  | { readonly is: 'Address'; readonly address: Address }
  /** `namespace/name`. */
  | { readonly is: 'Service'; readonly service: string }
  | { readonly is: 'Name'; readonly name: string };

/**
 * What a host means to a pod of this namespace. `NAME.NAMESPACE.svc`, with the cluster's domain or without, is a Service, and so
 * is a pod's name below one, and a single word, which the search list of every pod begins with. Two words may be either; the
 * resolver of names says.
 */
export function hostIn(host: string, namespace: string): Host {
  const address = parseAddress(host);
  if (address !== undefined) return { is: 'Address', address };
  const labels = host.toLowerCase().replace(/\.$/, '').split('.');
  const svc = labels.indexOf('svc');
  if (svc === 2 || svc === 3) return { is: 'Service', service: `${labels[svc - 1]}/${labels[svc - 2]}` };
  const [only = ''] = labels;
  // A dot at the end ends the search.
  if (labels.length === 1 && !host.endsWith('.')) return { is: 'Service', service: `${namespace}/${only}` };
  return { is: 'Name', name: labels.join('.') };
}
