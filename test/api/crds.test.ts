/** The CRDs keep what merging needs, and cost an API server a bounded amount of work. */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { customResourceDefinitions, structural } from '../../src/api/crd.ts';

type Node = Record<string, unknown>;
const isNode = (v: unknown): v is Node => typeof v === 'object' && v !== null && !Array.isArray(v);

/** Every schema below a schema, with its path. */
function* schemas(node: Node, path: string): Generator<{ path: string; node: Node }> {
  yield { path, node };
  for (const [name, p] of Object.entries(isNode(node['properties']) ? node['properties'] : {}))
    if (isNode(p)) yield* schemas(p, `${path}.${name}`);
  for (const key of ['items', 'additionalProperties']) {
    const inner = node[key];
    if (isNode(inner)) yield* schemas(inner, `${path}[]`);
  }
}

const all = customResourceDefinitions().flatMap(({ manifest }) => {
  const version = (manifest['spec'] as { versions: { schema: { openAPIV3Schema: Node } }[] }).versions[0];
  const kind = (manifest['spec'] as { names: { kind: string } }).names.kind;
  const root = version?.schema.openAPIV3Schema.properties as Record<string, Node>;
  return [...schemas(root['spec'] ?? {}, `${kind}.spec`), ...schemas(root['status'] ?? {}, `${kind}.status`)];
});

describe('the CRDs', () => {
  it('have no default on any field, since layers merge and a default would look set', () => {
    expect(all.length).toBeGreaterThan(150);
    expect(all.filter(({ node }) => 'default' in node).map(({ path }) => path)).toEqual([]);
  });

  it('bound every list, map, string and integer of spec, which bounds the cost of CEL', () => {
    const bounded = ({ node }: { node: Node }): boolean => {
      if (Array.isArray(node['enum'])) return true;
      if (node['type'] === 'array') return 'maxItems' in node;
      if (node['type'] === 'string') return 'maxLength' in node;
      if (node['type'] === 'integer') return 'maximum' in node && 'minimum' in node;
      return !('additionalProperties' in node) || 'maxProperties' in node;
    };
    const unbounded = all.filter(({ path }) => path.includes('.spec')).filter((s) => !bounded(s));
    expect(unbounded.map(({ path }) => path)).toEqual([]);
  });

  it('say what every field of an AuditConfig below the first level is, or leave it to an enum, a union or a list', () => {
    const first = all.filter(({ path }) => /^AuditConfig\.spec\.[a-zA-Z]+$/.test(path));
    expect(first.length).toBeGreaterThan(6);
    expect(first.filter(({ node }) => typeof node['description'] !== 'string').map(({ path }) => path)).toEqual([]);
  });

  it('are refused while they are made when a schema cannot be structural', () => {
    expect(() => structural(z.object({ a: z.union([z.string(), z.boolean()]) }))).toThrow(/anyOf/);
    expect(() => structural(z.object({ a: z.string().default('x') }))).toThrow(/default/);
  });
});
