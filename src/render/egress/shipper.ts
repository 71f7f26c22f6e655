/**
 * Whom a shipper beside the API server sends to: host and port of each output, or of its proxy, read from the configuration
 * that was rendered here. Ports that it does not name are fluent-bit's own (plugins/out_*, 5.1). An output whose plugin knows
 * by itself where it sends to (a cloud's), or whose host stands in a variable, is told as one without a host. Called by
 * destination.ts.
 */
import type { Value } from '../../yaml/value.ts';
import { convertYaml } from '../../yaml/convert.ts';
import { readYaml } from '../../yaml/read.ts';
import type { Destination } from './types.ts';

/** Of plugins that send over the network to a `host`. */
const PORTS: Readonly<Record<string, number>> = {
  es: 9200,
  forward: 24224,
  gelf: 12201,
  http: 80,
  influxdb: 8086,
  'kafka-rest': 8082,
  loki: 3100,
  nats: 4222,
  opensearch: 9200,
  opentelemetry: 80,
  splunk: 8088,
  syslog: 514,
  tcp: 5170,
  udp: 5170,
  websocket: 80,
};
const SEND_NOTHING: ReadonlySet<string> = new Set(['file', 'null', 'stdout']);
const KAFKA_PORT = 9092;

type Texts = ReadonlyMap<string, string>;

const members = (value: Value | undefined, key: string): Value | undefined =>
  value?.kind === 'object' ? value.members.find((m) => m.key === key)?.value : undefined;

function textsOf(value: Value): Texts {
  if (value.kind !== 'object') return new Map();
  return new Map(value.members.flatMap((m) => (m.value.kind === 'string' ? [[m.key, m.value.value] as const] : [])));
}

function outputsIn(config: Uint8Array): readonly Texts[] {
  const { root } = readYaml(config);
  const outputs = root === undefined ? undefined : members(members(convertYaml(root).value, 'pipeline'), 'outputs');
  return outputs?.kind === 'array' ? outputs.items.map(textsOf) : [];
}

/** Fluent-bit sends by UDP only where it is told so, but for these. */
function protocolOf(plugin: string, output: Texts): 'TCP' | 'UDP' {
  if (plugin === 'udp') return 'UDP';
  const isDatagram = plugin === 'syslog' || plugin === 'gelf';
  return isDatagram && /^(udp|)$/i.test(output.get('mode') ?? '') ? 'UDP' : 'TCP';
}

const UNKNOWN: Destination = { what: 'the shipper', host: '', port: 0, protocol: 'TCP' };
/** A variable is filled in where the shipper runs. */
const isPlain = (text: string): boolean => text !== '' && !text.includes('${');

function to(host: string, port: string | number, protocol: 'TCP' | 'UDP' = 'TCP'): Destination {
  const number = Number(port);
  const isPort = Number.isInteger(number) && number >= 1 && number <= 65_535;
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  return isPlain(bare) && isPort ? { what: 'the shipper', host: bare, port: number, protocol } : UNKNOWN;
}

function brokersOf(list: string): readonly Destination[] {
  return list.split(',').map((broker) => {
    const [, host = '', port] = /^(\[[^\]]+\]|[^:]+)(?::([0-9]+))?$/.exec(broker.trim()) ?? [];
    return to(host, port ?? KAFKA_PORT);
  });
}

function reachedBy(output: Texts): readonly Destination[] {
  const plugin = (output.get('name') ?? '').toLowerCase();
  if (SEND_NOTHING.has(plugin)) return [];
  const proxy = output.get('proxy');
  if (proxy !== undefined) {
    const [, host = '', port] = /^http:\/\/(?:[^@/]*@)?(\[[^\]]+\]|[^:/]+)(?::([0-9]+))?\/?$/i.exec(proxy) ?? [];
    return [to(host, port ?? 80)];
  }
  if (plugin === 'kafka') return brokersOf(output.get('brokers') ?? '');
  const port = output.get('port') ?? PORTS[plugin];
  // Without a host these send to their own machine: nobody runs there.
  const host = output.get('host') ?? (Object.hasOwn(PORTS, plugin) ? '127.0.0.1' : '');
  return [port === undefined ? UNKNOWN : to(host, port, protocolOf(plugin, output))];
}

export const shipperDestinations = (config: Uint8Array): readonly Destination[] => outputsIn(config).flatMap(reachedBy);
