/** The import rule of docs/design: who may import whom. Read from the sources, not from memory. */
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const SRC = resolve(import.meta.dirname, '../../src');
const CORE = ['analysis', 'rollout', 'targets', 'render', 'config', 'policy', 'api', 'yaml'];

/** Rooms that each room may import, besides itself. */
const MAY: Record<string, readonly string[]> = {
  main: ['controllers', 'agent', 'cli', 'node', 'telemetry'],
  controllers: ['kube', 'telemetry', ...CORE],
  agent: ['node', 'kube', 'host', 'telemetry', ...CORE],
  cli: ['node', 'kube', 'host', ...CORE],
  node: ['host', 'telemetry', ...CORE],
  kube: ['telemetry'],
  host: ['telemetry'],
  telemetry: [],
  analysis: ['policy', 'config', 'api', 'yaml'],
  rollout: ['targets', 'render', 'config', 'policy', 'api'],
  targets: ['render', 'config', 'policy', 'api', 'yaml'],
  render: ['config', 'policy', 'api', 'yaml'],
  config: ['policy', 'api', 'yaml'],
  policy: ['api', 'yaml'],
  yaml: ['api'],
  api: [],
};
/** Packages the pure core may use; everything else is I/O or a client. */
const CORE_PACKAGES = new Set(['zod', 'yaml', 'node:crypto']);

type Import = { readonly from: string; readonly room: string; readonly target: string };

function sources(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((e) => e.isFile() && e.name.endsWith('.ts') && !e.name.endsWith('.d.ts'))
    .map((e) => join(e.parentPath, e.name));
}

const roomOf = (file: string): string => {
  const parts = relative(SRC, file).split('/');
  return parts.length === 1 ? (parts[0] ?? '').replace(/\.ts$/, '') : (parts[0] ?? '');
};

/** Every module that a file names, in import and export declarations and in `import()`; types are told apart. */
function modulesOf(file: string): { readonly target: string; readonly typeOnly: boolean }[] {
  const found: { target: string; typeOnly: boolean }[] = [];
  const visit = (node: ts.Node): void => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier !== undefined) {
      const typeOnly = ts.isImportDeclaration(node) ? node.importClause?.isTypeOnly === true : node.isTypeOnly;
      if (ts.isStringLiteral(node.moduleSpecifier)) found.push({ target: node.moduleSpecifier.text, typeOnly });
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [to] = node.arguments;
      if (to !== undefined && ts.isStringLiteral(to)) found.push({ target: to.text, typeOnly: false });
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, false));
  return found;
}

const importsOf = (file: string): Import[] =>
  modulesOf(file).map(({ target }) => ({ from: relative(SRC, file), room: roomOf(file), target }));

const all = sources(SRC).flatMap(importsOf);
const isLocal = (i: Import): boolean => i.target.startsWith('.');

describe('the rooms of src', () => {
  it('have sources that this test sees', () => {
    expect(all.length).toBeGreaterThan(5);
  });

  it('import only what the design allows', () => {
    const broken = all.filter(isLocal).flatMap((i) => {
      const to = roomOf(resolve(SRC, dirname(i.from), i.target));
      return to === i.room || (MAY[i.room] ?? []).includes(to) ? [] : [`${i.from} -> ${i.target}`];
    });
    expect(broken).toEqual([]);
  });

  it('keep I/O, clients and clocks out of the core', () => {
    const broken = all
      .filter((i) => CORE.includes(i.room) && !isLocal(i) && !CORE_PACKAGES.has(i.target))
      .map((i) => `${i.from} -> ${i.target}`);
    expect(broken).toEqual([]);
    const clocks = sources(SRC)
      .filter((f) => CORE.includes(roomOf(f)))
      .filter((f) => /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bprocess\./.test(readFileSync(f, 'utf8')));
    expect(clocks.map((f) => relative(SRC, f))).toEqual([]);
  });

  it('keep disk and processes in host, HTTP in kube', () => {
    const DISK = /^node:(fs|fs\/promises|child_process)$/;
    const NET = /^(undici|node:https?|node:net|node:tls|@kubernetes\/client-node)$/;
    const broken = all.filter(
      (i) =>
        (DISK.test(i.target) && !['host', 'main', 'cli', 'agent', 'controllers'].includes(i.room)) ||
        (NET.test(i.target) && !['kube', 'host', 'telemetry'].includes(i.room)),
    );
    expect(broken.map((i) => `${i.from} -> ${i.target}`)).toEqual([]);
  });

  it('have no import circles between files', () => {
    const edges = new Map<string, string[]>();
    for (const f of sources(SRC)) {
      // Type imports vanish, and may go both ways.
      const targets = modulesOf(f).filter((m) => !m.typeOnly && m.target.startsWith('.'));
      edges.set(
        f,
        targets.map((m) => resolve(dirname(f), m.target)).filter((t) => t.endsWith('.ts')),
      );
    }
    const state = new Map<string, 'open' | 'done'>();
    const circles: string[] = [];
    const visit = (f: string, trail: readonly string[]): void => {
      if (state.get(f) === 'done') return;
      if (state.get(f) === 'open') {
        circles.push([...trail.slice(trail.indexOf(f)), f].map((p) => relative(SRC, p)).join(' -> '));
        return;
      }
      state.set(f, 'open');
      for (const t of edges.get(f) ?? []) visit(t, [...trail, f]);
      state.set(f, 'done');
    };
    for (const f of edges.keys()) visit(f, []);
    expect(circles).toEqual([]);
  });
});
