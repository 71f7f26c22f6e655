/** Whom a shipper sends to, from the configuration as it is really rendered. */
import { describe, expect, it } from 'vitest';
import { shipperDestinations } from '../../../src/render/egress/shipper.ts';
import { fluentBitConfig } from '../../../src/render/shipping/config.ts';

type Outputs = NonNullable<Parameters<typeof fluentBitConfig>[0]['outputs']>;
const of = (...outputs: Outputs): readonly string[] => {
  const config = new TextEncoder().encode(fluentBitConfig({ outputs }, 'audit.log'));
  return shipperDestinations(config).map((d) => (d.host === '' ? 'unknown' : `${d.protocol} ${d.host} ${d.port}`));
};

describe('an output', () => {
  it.each<[string, Outputs[number], readonly string[]]>([
    ['with host and port', { Name: 'forward', Host: 'logs.example.org', Port: 24225 }, ['TCP logs.example.org 24225']],
    ['with fluent-bit’s own port', { name: 'es', host: '10.1.2.3' }, ['TCP 10.1.2.3 9200']],
    ['by UDP, which syslog is unless told otherwise', { name: 'syslog', host: 'a.b.c' }, ['UDP a.b.c 514']],
    ['by TCP all the same', { name: 'syslog', host: 'a.b.c', mode: 'tls' }, ['TCP a.b.c 514']],
    [
      'through a proxy',
      { name: 'http', host: 'a.b.c', proxy: 'http://p.example.org:3128' },
      ['TCP p.example.org 3128'],
    ],
    ['to several brokers', { name: 'kafka', brokers: 'k1:9093, k2', topics: 't' }, ['TCP k1 9093', 'TCP k2 9092']],
    ['without a host, which is its own machine', { name: 'loki' }, ['TCP 127.0.0.1 3100']],
    ['of a cloud', { name: 'cloudwatch_logs', region: 'eu-central-1' }, ['unknown']],
    ['whose host is a variable', { name: 'http', host: '${HOST}' }, ['unknown']],
    ['to standard output', { name: 'stdout' }, []],
    ['to nowhere', { name: 'null' }, []],
  ])('%s', (_what, output, want) => {
    expect(of(output)).toEqual(want);
  });

  it('that is not given is standard output: nobody is reached', () => {
    expect(of()).toEqual([]);
    expect(shipperDestinations(new TextEncoder().encode('a: ['))).toEqual([]);
  });
});
