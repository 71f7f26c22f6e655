/**
 * Types and typed lint in one: the rules ask the compiler for types that it has just worked out, where `tsc` and `eslint`
 * as two programs work them all out twice. Called by types-and-lint-main.ts for each part of `npm run check`.
 *
 * What passed once is not looked at again until it, or something that it imports, changes (passed-files.ts): a promise
 * may come to float in a file that nobody touched.
 */
import { ESLint } from 'eslint';
import type { Linter } from 'eslint';
import { relative } from 'node:path';
import ts from 'typescript';
import { keysOf, readPassed, writePassed } from './passed-files.ts';

export type Part = {
  readonly root: string;
  /** Absolute path of the tsconfig.json whose files are checked. */
  readonly tsconfig: string;
  /** Absolute path of another one, which answers for the files that both name. */
  readonly without?: string;
  /** Of its files, those that are meant; all where it is not given. */
  readonly only?: (file: string) => boolean;
  /** Absolute path of the file that remembers what passed. */
  readonly cache: string;
  /** Files whose content decides about all others: the rules, the versions of the tools. */
  readonly decisive: readonly string[];
  /** In the place of eslint.config.js. */
  readonly rules?: Linter.Config[];
};
export type Verdict = { readonly problems: readonly string[]; readonly looked: number };

const HOST: ts.ParseConfigFileHost = {
  ...ts.sys,
  onUnRecoverableConfigFileDiagnostic: (d) => {
    throw new Error(ts.flattenDiagnosticMessageText(d.messageText, '\n'));
  },
};

function configOf(tsconfig: string): ts.ParsedCommandLine {
  const parsed = ts.getParsedCommandLineOfConfigFile(tsconfig, { incremental: false }, HOST);
  if (parsed === undefined) throw new Error(`${tsconfig} is not there`);
  delete parsed.options.tsBuildInfoFile;
  return parsed;
}

const isDeclaration = (file: string): boolean => /\.d\.[cm]?ts$/.test(file);

/** Of what the tsconfig names, the files that this part answers for. Declarations are everybody's. */
function filesOf(config: ts.ParsedCommandLine, { without, only = () => true }: Part): string[] {
  const others = new Set(without === undefined ? [] : configOf(without).fileNames);
  return config.fileNames.filter((f) => !others.has(f) && only(f));
}

function compile(options: ts.CompilerOptions, rootNames: readonly string[]): ts.Program {
  const host = ts.createCompilerHost(options);
  host.jsDocParsingMode = ts.JSDocParsingMode.ParseForTypeErrors;
  return ts.createProgram({ rootNames, options, host });
}

/** What `tsc` would say of these files. */
function typeProblems(program: ts.Program, files: readonly string[]): ts.Diagnostic[] {
  const sources = files.map((f) => program.getSourceFile(f)).filter((s) => s !== undefined);
  return [
    ...program.getOptionsDiagnostics(),
    ...program.getGlobalDiagnostics(),
    ...sources.flatMap((s) => [...program.getSyntacticDiagnostics(s), ...program.getSemanticDiagnostics(s)]),
  ];
}

/** What `eslint` says of these files, with the types of a program that has them already. */
async function lint(part: Part, program: ts.Program, files: readonly string[]): Promise<ESLint.LintResult[]> {
  if (files.length === 0) return [];
  const types: Linter.Config = {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: false, programs: [program] } },
  };
  const eslint = new ESLint({
    cwd: part.root,
    ...(part.rules === undefined ? {} : { overrideConfigFile: true }),
    overrideConfig: [...(part.rules ?? []), types],
  });
  return eslint.lintFiles([...files]);
}

const ofType = (root: string, d: ts.Diagnostic): string =>
  ts
    .formatDiagnostic(d, {
      getCanonicalFileName: (f) => f,
      getCurrentDirectory: () => root,
      getNewLine: () => '\n',
    })
    .trimEnd();
const ofLint = (root: string, r: ESLint.LintResult): string[] =>
  r.messages.map((m) => `${relative(root, r.filePath)}(${m.line},${m.column}): ${m.ruleId ?? 'eslint'}: ${m.message}`);

/** Looks at what has not passed in its present state, and remembers what passes now. Warnings do not pass. */
export async function typesAndLint(part: Part): Promise<Verdict> {
  const config = configOf(part.tsconfig);
  const declarations = config.fileNames.filter(isDeclaration);
  const decisive = [part.tsconfig, ...part.decisive, ...declarations];
  const keys = keysOf(filesOf(config, part), decisive);
  const passed = readPassed(part.cache);
  const stale = [...keys.keys()].filter((f) => passed.get(f) !== keys.get(f));
  if (stale.length === 0) return { problems: config.errors.map((d) => ofType(part.root, d)), looked: 0 };

  const program = compile(config.options, [...new Set([...stale, ...declarations])]);
  const types = [...config.errors, ...typeProblems(program, stale)];
  const linted = (
    await lint(
      part,
      program,
      stale.filter((f) => !isDeclaration(f)),
    )
  ).filter((r) => r.messages.length > 0);

  const failed = new Set([...types.map((d) => d.file?.fileName), ...linted.map((r) => r.filePath)]);
  const everywhere = types.some((d) => d.file === undefined);
  writePassed(part.cache, everywhere ? new Map() : new Map([...keys].filter(([f]) => !failed.has(f))));
  const problems = [...types.map((d) => ofType(part.root, d)), ...linted.flatMap((r) => ofLint(part.root, r))];
  return { problems, looked: stale.length };
}
