/** docs/conditions.md explains every condition type and reason of src/api/conditions.ts, and no other. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { CONDITION_TYPES } from '../../src/api/conditions.ts';
import { SRC } from './codes.ts';
import { codeIn, tablesOf } from './tables.ts';

/** The literals of each member of the type `Reasons`. References to other members (`Reasons['Accepted']`) are no literals. */
function declaredReasons(): Readonly<Record<string, readonly string[]>> {
  const file = join(SRC, 'api/conditions.ts');
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const reasons: Record<string, string[]> = {};
  const literals = (node: ts.TypeNode): string[] => {
    if (ts.isUnionTypeNode(node)) return node.types.flatMap(literals);
    if (ts.isLiteralTypeNode(node) && ts.isStringLiteral(node.literal)) return [node.literal.text];
    if (ts.isIndexedAccessTypeNode(node)) return [];
    throw new Error(`a reason of another form: ${node.getText()}`);
  };
  for (const statement of source.statements) {
    if (!ts.isTypeAliasDeclaration(statement) || statement.name.text !== 'Reasons') continue;
    if (!ts.isTypeLiteralNode(statement.type)) throw new Error('Reasons is no list of members');
    for (const member of statement.type.members)
      if (ts.isPropertySignature(member) && member.type !== undefined)
        reasons[member.name.getText()] = literals(member.type);
  }
  return reasons;
}

const page = readFileSync(join(SRC, '../docs/conditions.md'), 'utf8');
const tables = tablesOf('conditions.md');
const declared = declaredReasons();

describe('docs/conditions.md', () => {
  it('has a section for each condition, and for nothing else', () => {
    const sections = [...page.matchAll(/^## (.*)$/gm)].map((m) => m[1]);
    expect(sections.sort()).toEqual([...CONDITION_TYPES].sort());
    expect(Object.keys(declared).sort()).toEqual([...CONDITION_TYPES].sort());
  });

  it.each(CONDITION_TYPES)('explains every reason of %s, and no other', (type) => {
    const explained = tables.filter((t) => t.section === type).flatMap((t) => t.rows.map((r) => codeIn(r['reason'])));
    expect(explained.sort()).toEqual([...(declared[type] ?? [])].sort());
  });

  it('says of each its status, what it means and what to do', () => {
    const rows = tables.flatMap((t) => t.rows);
    const poor = rows.filter(
      (r) =>
        !['True', 'False', 'Unknown'].includes(r['status'] ?? '') ||
        (r['what it means'] ?? '') === '' ||
        (r['what to do'] ?? '') === '',
    );
    expect(poor).toEqual([]);
  });
});
