/** docs/metrics.md lists every metric that src/ makes, with type and labels, and no other. */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { createKubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import { createRegistry } from '../../src/telemetry/metrics.ts';
import { SRC, sources } from './codes.ts';
import { codeIn, tablesOf } from './tables.ts';

const MAKERS = ['counter', 'gauge', 'histogram'];
type Metric = { readonly name: string; readonly type: string; readonly labels: readonly string[] };

/** Calls of counter(), gauge() and histogram(); what cannot be read there throws. */
function metricsIn(file: string): Metric[] {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const found: Metric[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && MAKERS.includes(node.expression.getText())) {
      const [, spec] = node.arguments;
      const field = (name: string): ts.Expression | undefined => {
        if (spec === undefined || !ts.isObjectLiteralExpression(spec)) return undefined;
        const p = spec.properties.find((q) => q.name?.getText() === name);
        return p !== undefined && ts.isPropertyAssignment(p) ? p.initializer : undefined;
      };
      const [name, labels] = [field('name'), field('labels')];
      if (name === undefined || !ts.isStringLiteral(name))
        throw new Error(`${relative(SRC, file)}: a metric whose name is not to be read: ${node.getText()}`);
      const of = labels !== undefined && ts.isArrayLiteralExpression(labels) ? labels.elements : [];
      found.push({
        name: `auditconfig_${name.text}`,
        type: node.expression.getText(),
        labels: of.map((l) => (ts.isStringLiteral(l) ? l.text : l.getText())),
      });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const byName = (a: Metric, b: Metric): number => (a.name < b.name ? -1 : 1);
const listed = tablesOf('metrics.md')
  .flatMap((t) => t.rows)
  .map((r): Metric => {
    const labels = [...(r['labels'] ?? '').matchAll(/`([^`]+)`/g)].map((m) => m[1] ?? '');
    return { name: codeIn(r['metric']), type: r['type'] ?? '', labels };
  });

describe('docs/metrics.md', () => {
  // Every source is parsed: two seconds of a processor that is this test's alone.
  it('lists every metric of the sources, with type and labels, and no other', { timeout: 60_000 }, () => {
    expect([...listed].sort(byName)).toEqual(sources().flatMap(metricsIn).sort(byName));
  });

  it('names those of every process as they are served', async () => {
    const registry = createRegistry({ version: '0' });
    createKubeMetrics(registry);
    const served = (await registry.getMetricsAsJSON()).map((m) => m.name);
    expect(served.length).toBeGreaterThan(10);
    expect(served.filter((name) => !listed.some((m) => m.name === name))).toEqual([]);
  });
});
