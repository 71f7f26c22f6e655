/**
 * Every finding code that src/ can produce, read from the sources with the TypeScript checker: what is given to a
 * property `code` of an object, and to a parameter `code` of a function or constructor. A value is followed through
 * conditions, constants and literal types. What cannot be followed is returned as `unknown`, so that the test fails
 * rather than misses a code. Used by findings.test.ts.
 */
import { readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';

export const SRC = resolve(import.meta.dirname, '../../src');

/** Where `code` is something else, and what. Paths below src/; a folder ends in a slash. */
export const NOT_FINDINGS: Readonly<Record<string, string>> = {
  'kube/': 'how an error of the API is handled (KubeError)',
  'policy/match.ts': 'why a rule does not match (Mismatch), which `explain` puts into words',
  'analysis/detections.ts': 'why a pattern is not seen (Miss)',
};

export type Found = {
  readonly code: string;
  /** Below src/, with the line. */
  readonly at: string;
  /** Where it stands beside the code. */
  readonly severity?: string;
};
export type Codes = { readonly found: readonly Found[]; readonly unknown: readonly string[] };

export function sources(): readonly string[] {
  return readdirSync(SRC, { withFileTypes: true, recursive: true })
    .filter((e) => e.isFile() && e.name.endsWith('.ts'))
    .map((e) => join(e.parentPath, e.name))
    .sort();
}

/** Packages are left out: what they declare is no code of ours, and loading them takes most of the time. */
export function checkedProgram(files: readonly string[], read?: (file: string) => string | undefined): ts.Program {
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    strict: true,
    noEmit: true,
    types: [],
    lib: ['lib.es2023.d.ts'],
    allowImportingTsExtensions: true,
  };
  const host = ts.createCompilerHost(options);
  const readFile = host.readFile.bind(host);
  host.readFile = (file) => read?.(file) ?? readFile(file);
  const getSource = host.getSourceFile.bind(host);
  host.getSourceFile = (file, target) => {
    const text = read?.(file);
    return text === undefined ? getSource(file, target) : ts.createSourceFile(file, text, target);
  };
  host.resolveModuleNameLiterals = (names, from) =>
    names.map(({ text }) => {
      if (!text.startsWith('.') || !text.endsWith('.ts')) return { resolvedModule: undefined };
      const resolvedFileName = resolve(dirname(from), text);
      return { resolvedModule: { resolvedFileName, extension: ts.Extension.Ts } };
    });
  return ts.createProgram([...files], options, host);
}

const isOurs = (file: ts.SourceFile): boolean =>
  !file.isDeclarationFile &&
  file.fileName.startsWith(SRC) &&
  !Object.keys(NOT_FINDINGS).some((p) => relative(SRC, file.fileName).startsWith(p));

class Reader {
  readonly found: Found[] = [];
  readonly unknown: string[] = [];
  readonly #checker: ts.TypeChecker;

  constructor(checker: ts.TypeChecker) {
    this.#checker = checker;
  }

  visit(node: ts.Node): void {
    if (ts.isPropertyAssignment(node) && node.name.getText() === 'code')
      this.#take(node.initializer, severityBeside(node.parent));
    else if (ts.isShorthandPropertyAssignment(node) && node.name.text === 'code')
      this.#takeShorthand(node, severityBeside(node.parent));
    else if (ts.isCallExpression(node) || ts.isNewExpression(node)) this.#visitCall(node);
    ts.forEachChild(node, (child) => this.visit(child));
  }

  #visitCall(node: ts.CallExpression | ts.NewExpression): void {
    const parameters = this.#checker.getResolvedSignature(node)?.getParameters() ?? [];
    const index = parameters.findIndex((p) => p.name === 'code');
    const declared = parameters[index]?.valueDeclaration?.getSourceFile();
    const given = node.arguments?.[index];
    if (given === undefined || declared === undefined || !isOurs(declared)) return;
    const callee = node.expression.getText();
    this.#take(given, ['error', 'warning', 'info'].includes(callee) ? callee : undefined);
  }

  #takeShorthand(node: ts.ShorthandPropertyAssignment, severity: string | undefined): void {
    const symbol = this.#checker.getShorthandAssignmentValueSymbol(node);
    this.#takeSymbol(symbol, node, this.#checker.getTypeAtLocation(node.name), severity);
  }

  #take(expression: ts.Expression, severity: string | undefined): void {
    if (ts.isParenthesizedExpression(expression) || ts.isAsExpression(expression))
      this.#take(expression.expression, severity);
    else if (ts.isConditionalExpression(expression)) {
      this.#take(expression.whenTrue, severity);
      this.#take(expression.whenFalse, severity);
    } else if (ts.isStringLiteral(expression)) this.#add(expression.text, expression, severity);
    else {
      const symbol = this.#checker.getSymbolAtLocation(expression);
      this.#takeSymbol(symbol, expression, this.#checker.getTypeAtLocation(expression), severity);
    }
  }

  #takeSymbol(symbol: ts.Symbol | undefined, node: ts.Node, type: ts.Type, severity: string | undefined): void {
    const parts = type.isUnion() ? type.types : [type];
    // An exit code.
    if (parts.every((t) => (t.flags & ts.TypeFlags.NumberLike) !== 0)) return;
    const declaration = symbol?.valueDeclaration;
    // It was given to somebody as a code before, and was taken there.
    if (symbol?.name === 'code' && symbol.declarations?.every(isPassedOn) === true) return;
    if (parts.every((t) => t.isStringLiteral())) {
      for (const t of parts) if (t.isStringLiteral()) this.#add(t.value, node, severity);
      return;
    }
    if (declaration !== undefined && ts.isVariableDeclaration(declaration) && declaration.initializer !== undefined) {
      this.#take(declaration.initializer, severity);
      return;
    }
    this.unknown.push(`${placeOf(node)}: ${node.getText()}`);
  }

  #add(code: string, node: ts.Node, severity: string | undefined): void {
    this.found.push({ code, at: placeOf(node), ...(severity === undefined ? {} : { severity }) });
  }
}

const isPassedOn = (d: ts.Declaration): boolean =>
  d.getSourceFile().fileName.startsWith(SRC) &&
  (ts.isParameter(d) ||
    ts.isPropertySignature(d) ||
    ts.isPropertyDeclaration(d) ||
    ts.isBindingElement(d) ||
    ts.isPropertyAssignment(d) ||
    ts.isShorthandPropertyAssignment(d));

function severityBeside(object: ts.ObjectLiteralExpression): string | undefined {
  for (const p of object.properties)
    if (ts.isPropertyAssignment(p) && p.name.getText() === 'severity' && ts.isStringLiteral(p.initializer))
      return p.initializer.text;
  return undefined;
}

function placeOf(node: ts.Node): string {
  const file = node.getSourceFile();
  const { line } = file.getLineAndCharacterOfPosition(node.getStart());
  return `${relative(SRC, file.fileName)}:${line + 1}`;
}

export function findingCodes(program: ts.Program): Codes {
  const reader = new Reader(program.getTypeChecker());
  for (const file of program.getSourceFiles()) if (isOurs(file)) reader.visit(file);
  return reader;
}
