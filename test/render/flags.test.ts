/** Flags: every default explicit, retention without its traps, and nothing that a kube-apiserver would not start with. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LayerSpec } from '../../src/api/auditconfig.ts';
import { parseSize } from '../../src/api/quantity.ts';
import { effectiveOf, mergeLayers } from '../../src/config/merge.ts';
import { KNOWN_FLAGS, renderFlags } from '../../src/render/flags.ts';
import { checkLogPath } from '../../src/render/log-path.ts';
import { retentionOf } from '../../src/render/retention.ts';

const rendered = (spec: LayerSpec): Record<string, unknown> =>
  Object.fromEntries(renderFlags(effectiveOf(spec)).flags.map((f) => [f.name, f.value]));
const codes = (spec: LayerSpec): string[] => renderFlags(effectiveOf(spec)).findings.map((f) => f.code);
const hook = { secretRef: { name: 'hook' } };

describe('flags', () => {
  it('hold every default of the log explicitly', () => {
    expect(rendered({})).toEqual({
      '--audit-policy-file': { file: 'policy' },
      '--audit-log-path': { dir: 'log', name: 'audit.log' },
      '--audit-log-maxage': '30',
      '--audit-log-maxbackup': '10',
      '--audit-log-maxsize': '100',
      '--audit-log-compress': 'false',
      '--audit-log-format': 'json',
      '--audit-log-version': 'audit.k8s.io/v1',
      '--audit-log-mode': 'blocking',
      '--audit-log-batch-buffer-size': '10000',
      '--audit-log-batch-max-size': '1',
      '--audit-log-batch-max-wait': '0s',
      '--audit-log-batch-throttle-enable': 'false',
      '--audit-log-batch-throttle-qps': '10',
      '--audit-log-batch-throttle-burst': '15',
      '--audit-log-truncate-enabled': 'false',
      '--audit-log-truncate-max-batch-size': '10485760',
      '--audit-log-truncate-max-event-size': '102400',
    });
  });

  it('hold every default of the webhook explicitly', () => {
    const all = rendered({ webhook: hook, log: { type: 'None' } });
    expect(all).toEqual({
      '--audit-policy-file': { file: 'policy' },
      '--audit-webhook-config-file': { file: 'webhook' },
      '--audit-webhook-initial-backoff': '10s',
      '--audit-webhook-version': 'audit.k8s.io/v1',
      '--audit-webhook-mode': 'batch',
      '--audit-webhook-batch-buffer-size': '10000',
      '--audit-webhook-batch-max-size': '400',
      '--audit-webhook-batch-max-wait': '30s',
      '--audit-webhook-batch-throttle-enable': 'true',
      '--audit-webhook-batch-throttle-qps': '10',
      '--audit-webhook-batch-throttle-burst': '15',
      '--audit-webhook-truncate-enabled': 'false',
      '--audit-webhook-truncate-max-batch-size': '10485760',
      '--audit-webhook-truncate-max-event-size': '102400',
    });
  });

  it('to standard output have no rotation', () => {
    const all = rendered({ log: { type: 'Stdout', mode: 'Batch' } });
    expect(all['--audit-log-path']).toBe('-');
    expect(all['--audit-log-mode']).toBe('batch');
    expect(Object.keys(all).filter((f) => /max(age|backup|size)$|compress/.test(f) && !f.includes('batch'))).toEqual(
      [],
    );
  });

  it('are sorted, and all of them are known, with values that a bundle may hold', () => {
    const { flags } = renderFlags(effectiveOf({ webhook: hook }));
    expect(flags.map((f) => f.name)).toEqual(flags.map((f) => f.name).sort());
    for (const { name, value } of flags) {
      const known = KNOWN_FLAGS[name];
      expect(known, name).toBeDefined();
      if (known instanceof RegExp) expect(value, name).toMatch(known);
    }
  });

  it('without any backend are refused: kube-apiserver would start, and record nothing', () => {
    expect(codes({ log: { type: 'None' } })).toEqual(['NoBackend']);
    expect(codes({ log: { type: 'None' }, webhook: hook })).toEqual([]);
  });

  it('are refused when a batch may be smaller than an event, even with truncation off', () => {
    expect(codes({ log: { truncate: { maxBatchSize: '1Ki' } } })).toEqual(['TruncateInvalid']);
    expect(codes({ webhook: { ...hook, truncate: { maxEventSize: '20Mi' } } })).toEqual(['TruncateInvalid']);
  });
});

describe('retention', () => {
  const retention = (r: NonNullable<LayerSpec['log']>['retention']): ReturnType<typeof retentionOf> =>
    retentionOf(effectiveOf({ log: { retention: r } }));

  it.each([
    ['100Mi', 100, []],
    ['1Gi', 1024, []],
    ['100M', 95, ['MaxSizeRounded']],
    ['1.5Gi', 1536, []],
    ['5Mi', 5, ['MaxSizeSmall']],
  ] as const)('%s is %i MiB', (maxSize, mib, expected) => {
    const r = retention({ maxSize });
    expect(r.retention?.maxSizeMiB).toBe(mib);
    expect(r.findings.map((f) => f.code)).toEqual(expected);
  });

  it('never renders a zero that means "for ever"', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10_000 }),
        fc.integer({ min: 2, max: 4000 }),
        fc.integer({ min: 1, max: 2000 }),
        (maxBackups, total, size) => {
          const r = retention({ maxBackups, totalSize: `${total}Mi`, maxSize: `${size}Mi` });
          if (r.retention === undefined) {
            expect(total).toBeLessThan(2 * size);
            return;
          }
          expect(r.retention.maxBackups).toBeGreaterThanOrEqual(1);
          expect(r.retention.maxSizeMiB).toBeGreaterThanOrEqual(1);
          expect((r.retention.maxBackups + 1) * r.retention.maxSizeMiB).toBeLessThanOrEqual(total);
        },
      ),
    );
  });

  it('takes the number of files from totalSize when nobody chose one', () => {
    const r = retention({ totalSize: '10Gi' });
    expect(r.retention?.maxBackups).toBe(101);
    expect(r.findings).toEqual([]);
  });

  it('lowers a chosen number of files that does not fit, and says so', () => {
    const r = retention({ totalSize: '1Gi', maxBackups: 50 });
    expect(r.retention?.maxBackups).toBe(9);
    expect(r.findings.map((f) => f.code)).toEqual(['RetentionCapped']);
  });

  it("caps what a stronger layer's totalSize caps, whoever chose the number", () => {
    const effective = mergeLayers([
      { layer: { from: 'AuditConfig' }, spec: { log: { retention: { maxBackups: 50 } } } },
      {
        layer: { from: 'Datacenter', name: 'eu', part: 'enforced' },
        spec: { log: { retention: { totalSize: '500Mi' } } },
      },
    ]);
    expect(retentionOf(effective).retention?.maxBackups).toBe(4);
  });

  it('is refused when there is no room for one rotated file', () => {
    expect(retention({ totalSize: '150Mi' }).findings.map((f) => f.code)).toEqual(['TotalSizeTooSmall']);
  });
});

describe('sizes', () => {
  it.each([
    ['0', 0],
    ['1', 1],
    ['1Ki', 1024],
    ['1k', 1000],
    ['1.5Mi', 1_572_864],
    ['0.1k', 100],
    ['1.0000001', undefined],
    ['-1', undefined],
    ['1MB', undefined],
    ['1e3', undefined],
    ['', undefined],
    ['999999999999999Ti', undefined],
  ] as const)('%j is %j bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });
});

describe('a log path', () => {
  it.each([
    ['/var/log/kube-audit/audit.log', []],
    ['/var/log/kubernetes/audit/audit.log', []],
    ['/var/log/k8-audit.log', ['LogFolderShared']],
    ['/etc/kubernetes/audit.log', ['LogFolderForbidden']],
    ['/etcd/audit.log', []],
    ['/var/lib/etcd/audit.log', ['LogFolderForbidden']],
    ['/proc/self/audit.log', ['LogFolderForbidden']],
    ['/dev/stdout', ['LogFolderForbidden']],
    ['/audit.log', ['LogPathInvalid']],
    ['var/log/x/audit.log', ['LogPathInvalid']],
    ['/var/log/x/../audit.log', ['LogPathInvalid']],
    ['/var/log//audit.log', ['LogPathInvalid']],
    ['/var/log/x/', ['LogPathInvalid']],
    ['/var/log/x/a b.log', ['LogPathInvalid']],
    ['/var/log/x/.hidden', ['LogPathInvalid']],
    ['-', ['LogPathInvalid']],
  ])('%s gives %j', (path, expected) => {
    expect(checkLogPath(path).map((f) => f.code)).toEqual(expected);
  });
});
