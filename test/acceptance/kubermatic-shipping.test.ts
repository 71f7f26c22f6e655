/**
 * Kubermatic's document, its examples of a sidecar's configuration as printed (grep filter, forward output, record_modifier):
 * what it writes wrongly is refused with the form that works, and that form is taken. The real fluent-bit runs the same in
 * test/shipping/live.node.test.ts.
 */
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { renderFile } from '../../src/render/file.ts';

/** As printed below `config:`, with the indentation that it has here. */
const PRINTED = `      service:
          Flush: 10
      filters:
        - Name: grep
          Match: *
          Regex: "user@example.com"
      outputs:
        - Name: forward
          Match: *
          Host: "fluentd.audit-forward.svc.cluster.local"
`;
const SOURCE = `      filters:
        - Name: record_modifier
          Match: *
          Record: cluster <CLUSTER ID>
`;
const HEAD = `apiVersion: auditconfig.dev/v1alpha1
kind: AuditConfig
metadata: {name: main, namespace: cluster-e9s4w7jk6t}
spec:
  target: {type: Hosted, hosted: {kind: Deployment, name: apiserver}}
  shipping:
    type: FluentBit
    fluentBit:
`;
const read = (config: string) => renderFile(new TextEncoder().encode(HEAD + config), ['1.36']);
const found = (config: string): unknown[] => read(config).findings.map((f) => [f.code, f.at?.line, f.at?.column]);
const rendered = (config: string): { service: object; pipeline: { filters: object[]; outputs: object[] } } => {
  const { shipping, findings } = read(config);
  if (shipping === undefined) throw new Error(JSON.stringify(findings));
  return parse(new TextDecoder().decode(shipping.config)) as ReturnType<typeof rendered>;
};
const quoted = (text: string): string => text.replaceAll('Match: *', 'Match: "*"');

describe("Kubermatic's example of a sidecar", () => {
  it('as printed is no YAML: its star is an alias, and that is said where it stands', () => {
    expect(found(PRINTED)).toEqual([['FileStarIsAlias', 13, 18]]);
    expect(read(PRINTED).findings[0]?.message).toContain('write "*"');
  });

  it('with quotes has a Regex that fluent-bit ends at, and is told the one that is meant', () => {
    expect(found(quoted(PRINTED))).toEqual([['ShippingGrepForm', 14, 11]]);
    expect(read(quoted(PRINTED)).findings[0]?.message).toContain("Regex: $user['username'] ^user@example\\.com$");
  });

  it('with that Regex filters, flushes and forwards as it says', () => {
    const right = quoted(PRINTED).replace('"user@example.com"', "$user['username'] ^user@example\\.com$");
    const { service, pipeline } = rendered(right);
    expect(service).toMatchObject({ flush: '10' });
    expect(pipeline.filters.at(-1)).toEqual({
      name: 'grep',
      match: '*',
      regex: "$user['username'] ^user@example\\.com$",
    });
    expect(pipeline.outputs).toEqual([
      {
        name: 'forward', match: '*', host: 'fluentd.audit-forward.svc.cluster.local',
        retry_limit: 'no_limits', 'storage.total_limit_size': '512M',
      },
    ]); // prettier-ignore
  });

  it('adds a name of the cluster to each record, beside the one that is there without being asked for', () => {
    expect(rendered(quoted(SOURCE)).pipeline.filters).toEqual([
      {
        name: 'record_modifier',
        match: '*',
        record: ['cluster_id ${AUDITCONFIG_CLUSTER_ID}', 'node ${AUDITCONFIG_NODE}'],
      },
      { name: 'record_modifier', match: '*', record: 'cluster <CLUSTER ID>' },
    ]);
  });

  it('what its configuration corrupted or let in stays a value, or is refused', () => {
    const value = `a+b & <c> "d" 'e'`;
    const one = quoted(SOURCE).replace('cluster <CLUSTER ID>', JSON.stringify(`cluster ${value}`));
    expect(rendered(one).pipeline.filters[1]).toMatchObject({ record: `cluster ${value}` });
    const injected = quoted(SOURCE).replace('cluster <CLUSTER ID>', '"cluster a\\n[OUTPUT]\\n    Name file"');
    expect(found(injected)).toEqual([['ShippingControlCharacter', 12, 11]]);
    expect(found('      service: {daemon: true}\n')).toEqual([['ShippingRestricted', 9, 17]]);
  });
});
