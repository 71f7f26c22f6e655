/** What shipping refuses, by code and place; and that of Kubermatic's own example the corrected form is told. */
import { describe, expect, it } from 'vitest';
import { mergeDatacenters } from '../../../src/config/datacenter.ts';
import type { DatacenterContent } from '../../../src/config/types.ts';
import { renderShipping } from '../../../src/render/shipping.ts';
import { renderFile } from '../../../src/render/file.ts';
import type { FluentBitSpec } from '../../../src/api/auditconfig-sinks.ts';
import { codes, shipping } from './spec.ts';

const out = (o: NonNullable<FluentBitSpec['outputs']>[number]): FluentBitSpec => ({ outputs: [o] });
const filter = (f: NonNullable<FluentBitSpec['filters']>[number]): FluentBitSpec => ({ filters: [f] });

const REF = { name: 'collector', key: 'ca.crt' };

describe('shipping refuses', () => {
  it.each<[string, FluentBitSpec, string]>([
    ['a plugin that is none', out({ Name: 'forwrd' }), 'ShippingPluginUnknown outputs[0].Name'],
    ['a filter for what is parsed already', filter({ Name: 'Parser', Key_Name: 'log', Parser: 'json' }), 'ShippingPluginLeftOut filters[0].Name'],
    ['a filter for lines of one event', filter({ Name: 'multiline' }), 'ShippingPluginLeftOut filters[0].Name'],
    ['a filter for logs of pods', filter({ Name: 'kubernetes' }), 'ShippingPluginLeftOut filters[0].Name'],
    ['an output that fluent-bit has and a shipper does not', out({ Name: 's3', bucket: 'x' }), 'ShippingPluginLeftOut outputs[0].Name'],
    ['a name of what every object has', filter({ Name: 'constructor' }), 'ShippingPluginUnknown filters[0].Name'],
    ['a file that nobody gives', out({ Name: 'forward', 'tls.ca_file': 'ca.crt' }), 'ShippingFileUnknown outputs[0][tls.ca_file]'],
    ['a file that is none', { files: [{ name: '../x', secretKeyRef: REF }] }, 'ShippingFileName files[0].name'],
    ['a file twice', { files: [{ name: 'a', secretKeyRef: REF }, { name: 'a', configMapKeyRef: REF }] }, 'ShippingFileName files[1].name'],
    ['grep in a line that is no line any more, as a warning', filter({ Name: 'grep', Regex: 'log admin' }), 'ShippingFieldAbsent filters[0].Regex'],
    ['grep in a field that no record has, as a warning', filter({ Name: 'grep', Exclude: 'user.username ^system:' }), 'ShippingFieldAbsent filters[0].Exclude'],
    ['a section without a plugin', filter({ Match: '*' }), 'ShippingPluginUnknown filters[0]'],
    ['a filter among the outputs', out({ Name: 'grep' }), 'ShippingPluginUnknown outputs[0].Name'],
    ['a key of another plugin', out({ Name: 'forward', uri: '/x' }), 'ShippingKeyUnknown outputs[0].uri'],
    ['a key of the service that is none', { service: { Flsh: 1 } }, 'ShippingKeyUnknown service.flsh'],
    ['a key with a line break', out({ Name: 'stdout', 'format\n  x': 1 }), 'ShippingKeyUnknown outputs[0][format\n  x]'],
    ['a line break in a value', out({ Name: 'forward', Host: 'a\n[OUTPUT]\n    Name file' }), 'ShippingControlCharacter outputs[0].Host'],
    ['a carriage return', out({ Name: 'forward', Host: 'a\rb' }), 'ShippingControlCharacter outputs[0].Host'],
    ['a line separator of Unicode', out({ Name: 'forward', Host: 'a\u2028b' }), 'ShippingControlCharacter outputs[0].Host'],
    ['a line break in one of several', filter({ Name: 'grep', Regex: ['a b', 'a b\nc'] }), 'ShippingControlCharacter filters[0].Regex[1]'],
    ['a line break in a variable', { env: [{ name: 'A', value: 'x\ny' }] }, 'ShippingControlCharacter env[0]'],
    ['half a character', out({ Name: 'forward', Host: 'a\ud83d' }), 'ShippingValueInvalid outputs[0].Host'],
    ['an empty value', out({ Name: 'forward', Host: '' }), 'ShippingValueInvalid outputs[0].Host'],
    ['a blank that would be lost', out({ Name: 'forward', Tag: ' a' }), 'ShippingValueInvalid outputs[0].Tag'],
    ['several hosts', out({ Name: 'forward', Host: ['a', 'b'] }), 'ShippingValueInvalid outputs[0].Host'],
    ['a buffer without an end', out({ Name: 'forward', 'storage.total_limit_size': 'off' }), 'ShippingValueInvalid outputs[0][storage.total_limit_size]'],
    ['a buffer elsewhere', { service: { 'storage.path': '/x' } }, 'ShippingReserved service[storage.path]'],
    ['the daemon', { service: { Daemon: 'on' } }, 'ShippingRestricted service.daemon'],
    ['parsers of a file', { service: { Parsers_File: '/x' } }, 'ShippingRestricted service.parsers_file'],
    ['plugins of a file', { service: { Plugins_File: '/x' } }, 'ShippingRestricted service.plugins_file'],
    ['streams of a file', { service: { Streams_File: '/x' } }, 'ShippingRestricted service.streams_file'],
    ['an inclusion', { service: { '@include': '/x' } }, 'ShippingRestricted service[@include]'],
    ['reloading from the network', { service: { 'hot_reload.timeout': 1 } }, 'ShippingRestricted service[hot_reload.timeout]'],
    ['an image', { image: 'evil:1' }, 'ShippingRestricted image'],
    ['lua', filter({ Name: 'LUA', code: 'x' }), 'ShippingRestricted filters[0].Name'],
    ['wasm', filter({ Name: 'wasm' }), 'ShippingRestricted filters[0].Name'],
    ['exec', filter({ Name: 'exec' }), 'ShippingRestricted filters[0].Name'],
    ['output into a file', out({ Name: 'file', Path: '/' }), 'ShippingRestricted outputs[0].Name'],
    ["a user's name alone", filter({ Name: 'grep', Match: '*', Regex: 'user@example.com' }), 'ShippingGrepForm filters[0].Regex'],
    ['grep for nothing', filter({ Name: 'grep' }), 'ShippingGrepForm filters[0]'],
    ['grep for and against', filter({ Name: 'grep', logical_op: 'and', regex: 'a b', exclude: 'c d' }), 'ShippingGrepForm filters[0]'],
    ['a record without a value', filter({ Name: 'record_modifier', Record: 'cluster' }), 'ShippingRecordForm filters[0].Record'],
    ['an unknown variable', out({ Name: 'forward', Host: '${HOOST}' }), 'ShippingVariableUnknown outputs[0].Host'],
    ['what looks like a variable', out({ Name: 'forward', Tag: 'a${' }), 'ShippingVariableForm outputs[0].Tag'],
    ['a brace before a variable, which hides it', out({ Name: 'forward', Tag: 'a}${HOSTNAME}' }), 'ShippingVariableForm outputs[0].Tag'],
    ['a password', out({ Name: 'http', HTTP_Passwd: 'hunter2' }), 'ShippingSecretInPlain outputs[0].HTTP_Passwd'],
    ['an authorization', out({ Name: 'http', header: 'Authorization Bearer abc' }), 'ShippingSecretInPlain outputs[0].header'],
    ['a variable without a name', { env: [{ name: 'A-B', value: 'x' }] }, 'ShippingVariableName env[0]'],
    ['a variable twice', { env: [{ name: 'A', value: 'x' }, { name: 'A', value: 'y' }] }, 'ShippingVariableName env[1]'],
    ['a variable of ours', { env: [{ name: 'AUDITCONFIG_NODE', value: 'x' }] }, 'ShippingVariableName env[0]'],
    ['a library before all others', { env: [{ name: 'LD_PRELOAD', value: 'x' }] }, 'ShippingVariableName env[0]'],
    ['a resource that is none', { resources: { limits: { memory: 'much' } } }, 'ShippingResourceInvalid resources.limits.memory'],
    ['an output that matches nothing, as a warning', out({ Name: 'stdout', Match: 'kube.*' }), 'ShippingMatchesNothing outputs[0].Match'],
  ])('%s', (_, spec, wanted) => {
    expect(codes(spec)).toEqual([wanted]);
  }); // prettier-ignore

  it('a log that is no file in JSON', () => {
    expect(codes({}, { log: { type: 'Stdout' } })).toEqual(['ShippingNeedsLogFile spec.log.type']);
    expect(codes({}, { log: { file: { format: 'Legacy' } } })).toEqual(['ShippingNeedsLogFile spec.log.file.format']);
  });
});

it("Kubermatic's Regex is refused with the form that fluent-bit takes", () => {
  const spec = shipping(filter({ Name: 'grep', Match: '*', Regex: 'user@example.com' }));
  const { findings } = renderShipping(mergeDatacenters(spec, []));
  expect(findings[0]?.message).toContain("Regex: $user['username'] ^user@example\\.com$");
});

it.each<[string, FluentBitSpec]>([
  ['nothing at all', {}],
  ['keys in any case, values of any type', out({ NAME: 'Forward', MATCH: '*', Port: 24224, TLS: true, Retry_Limit: false })],
  ['a repeated key', filter({ Name: 'record_modifier', Record: ['a b', 'c d'] })],
  ['a secret from a variable', { env: [{ name: 'TOKEN', secretKeyRef: { name: 's', key: 'k' } }], ...out({ Name: 'splunk', splunk_token: '${TOKEN}', Match: 'aud*' }) }],
  ['tags of its own', { filters: [{ Name: 'rewrite_tag', Rule: '$user ^a x.y false' }], outputs: [{ Name: 'stdout', Match: 'x.*' }] }],
  ['a file that is given, and one of the image', { files: [{ name: 'ca.crt', secretKeyRef: REF }], outputs: [{ Name: 'forward', TLS: 'on', 'tls.CA_file': 'ca.crt' }, { Name: 'forward', 'tls.ca_file': '/etc/ssl/own.crt' }] }],
  ['a file for librdkafka', { files: [{ name: 'ca.crt', configMapKeyRef: REF }], ...out({ Name: 'kafka', Brokers: 'k:9093', 'rdkafka.ssl.ca.location': 'ca.crt' }) }],
  ['grep in a field that begins like a line', filter({ Name: 'grep', Regex: 'logged yes' })],
  ['what only librdkafka knows', out({ Name: 'kafka', Brokers: 'k:9092', 'rdkafka.security.protocol': 'ssl' })],
])('shipping takes %s', (_, spec) => {
  expect(codes(spec)).toEqual([]);
}); // prettier-ignore

describe('what is the datacenter’s alone', () => {
  const RESTRICTED: FluentBitSpec = {
    image: 'registry.example.org/fluent-bit:5',
    service: { daemon: 'off', include: ['/etc/more.yaml'] },
    filters: [{ name: 'lua', code: 'x', call: 'f' }],
    outputs: [{ name: 'file', path: '/var/lib/auditconfig-shipping' }],
  };
  const found = (own: FluentBitSpec | undefined, content: DatacenterContent): readonly string[] => {
    const effective = mergeDatacenters(own === undefined ? {} : shipping(own), [{ name: 'eu', content }]);
    return renderShipping(effective).findings.map((f) => `${f.code} ${f.path}`);
  };

  it('is taken from its defaults, and from what it enforces', () => {
    expect(found(undefined, { defaults: shipping(RESTRICTED) })).toEqual([]);
    expect(found({ image: 'evil:1', filters: [{ name: 'lua' }] }, { enforced: shipping(RESTRICTED) })).toEqual([]);
  });

  it('is refused where an AuditConfig sets it, or replaces its list', () => {
    expect(found({ filters: [{ name: 'lua' }] }, { defaults: shipping(RESTRICTED) })).toEqual([
      'ShippingRestricted spec.shipping.fluentBit.filters[0].name',
    ]);
  });

  it('is taken from an AuditConfig where limits name it', () => {
    const limits = { shipping: { images: ['a:1', 'b:1'], plugins: ['lua', 'stdout'] } };
    expect(
      found({ image: 'b:1', filters: [{ name: 'lua', code: 'x' }], outputs: [{ name: 'stdout' }] }, { limits }),
    ).toEqual([]);
    expect(found({ service: { daemon: 'on' } }, { limits })).toEqual([
      'ShippingRestricted spec.shipping.fluentBit.service.daemon',
    ]);
  });

  it('replaces an owner’s shipping as a whole: no filter of a tenant reaches an enforced output', () => {
    const own = shipping({ filters: [{ Name: 'grep', Exclude: 'verb .' }], env: [{ name: 'A', value: 'x' }] });
    const enforced = shipping({ outputs: [{ name: 'stdout' }] });
    const effective = mergeDatacenters(own, [{ name: 'eu', content: { enforced } }]);
    expect(effective.spec.shipping).toEqual(enforced.shipping);
    const fields = Object.keys(effective.provenance).filter((p) => p.startsWith('shipping'));
    expect(fields).toEqual(['shipping.fluentBit.outputs', 'shipping.type']);
    expect(effective.provenance['shipping.type']?.overrode).toEqual([{ from: 'AuditConfig' }]);
  });

  it('keys of the service merge whatever their case', () => {
    const effective = mergeDatacenters(shipping({ service: { Flush: 10 } }), [
      { name: 'eu', content: { defaults: shipping({ service: { flush: 5, Grace: 7 } }) } },
    ]);
    expect(effective.spec.shipping?.fluentBit?.service).toEqual({ flush: 10, grace: 7 });
  });

  it('forbidden shipping does not count', () => {
    const effective = mergeDatacenters(shipping({}), [{ name: 'eu', content: { forbid: ['Shipping'] } }]);
    expect([effective.spec.shipping, effective.ignored.map((i) => i.path)]).toEqual([undefined, ['shipping']]);
  });
});

describe('in a file every finding has its place', () => {
  const HEAD =
    'apiVersion: auditconfig.dev/v1alpha1\nkind: AuditConfig\nmetadata: {name: a}\nspec:\n  target: {type: Hosted, hosted: {kind: Deployment, name: a}}\n';
  const at = (text: string): unknown[] =>
    renderFile(new TextEncoder().encode(`${HEAD}${text}`), ['1.36']).findings.map((f) => [
      f.code,
      f.at?.line,
      f.at?.column,
    ]);

  it('a key of a filter, one of the service in another case, and one of several values', () => {
    const text = `  shipping:
    type: FluentBit
    fluentBit:
      service:
        Daemon: on
      filters:
        - Name: grep
          Regex: "user@example.com"
        - Name: grep
          Regex:
            - verb get
            - "a b\\nc"
`;
    expect(at(text)).toEqual([
      ['ShippingRestricted', 10, 9],
      ['ShippingGrepForm', 13, 11],
      ['ShippingControlCharacter', 17, 15],
    ]);
  });

  it('`Match: *` is an alias in YAML, and said to be', () => {
    const text = '  shipping: {type: FluentBit, fluentBit: {outputs: [{Name: stdout, Match: *}]}}\n';
    expect(at(text)).toEqual([['FileStarIsAlias', 6, 75]]);
    const block =
      '  shipping:\n    type: FluentBit\n    fluentBit:\n      outputs:\n        - Name: stdout\n          Match: *\n';
    expect(at(block)).toEqual([['FileStarIsAlias', 11, 18]]);
    expect(at('  policy: {preset: *.log}\n').map((f) => (f as unknown[])[0])).toEqual(['FileStarIsAlias']);
  });

  it('the same key twice, in upper and lower case', () => {
    const text = '  shipping: {type: FluentBit, fluentBit: {outputs: [{Name: stdout, name: file}]}}\n';
    expect(at(text).map((f) => (f as unknown[])[0])).toEqual(['FieldInvalid']);
  });
});
