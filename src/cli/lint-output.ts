/** Findings of files as text for people, as JSON for tools, and as SARIF 2.1.0 for code scanners. */
import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';
import pc from 'picocolors';
import type { Finding, Severity } from '../api/findings.ts';
import { findingText } from './policy-input.ts';

export type LintedFile = {
  readonly file: string;
  /** Whether a kube-apiserver of the version asked would load it. */
  readonly valid: boolean;
  readonly findings: readonly Finding[];
};

/** `file:line:column: severity Code: message`, one line a finding. */
export function asText(files: readonly LintedFile[], colors: boolean): string {
  const c = pc.createColors(colors);
  const paint: Readonly<Record<Severity, (s: string) => string>> = { error: c.red, warning: c.yellow, info: c.cyan };
  const line = (file: string, f: Finding): string =>
    `${findingText(file, f).replace(`: ${f.severity} ${f.code}:`, `: ${paint[f.severity](f.severity)} ${c.bold(f.code)}:`)}\n`;
  return files.flatMap(({ file, findings }) => findings.map((f) => line(file, f))).join('');
}

/** What has no place is about the file as a whole, which tools expect at its beginning. */
const placeOf = (f: Finding): { readonly line: number; readonly column: number } => ({
  line: f.at?.line ?? 1,
  column: f.at?.column ?? 1,
});

/** The shape of the contract: `{"files":[{"file","valid","findings":[...]}]}`. */
export function asJson(files: readonly LintedFile[]): string {
  const shaped = files.map(({ file, valid, findings }) => ({
    file,
    valid,
    findings: findings.map((f) => ({
      severity: f.severity,
      code: f.code,
      message: f.message,
      ...placeOf(f),
      path: f.path,
    })),
  }));
  return `${JSON.stringify({ files: shaped }, null, 2)}\n`;
}

declare const __VERSION__: string;

const SARIF_LEVEL: Readonly<Record<Severity, string>> = { error: 'error', warning: 'warning', info: 'note' };

const uriOf = (file: string): string =>
  file === '-'
    ? 'stdin'
    : isAbsolute(file)
      ? pathToFileURL(file).href
      : file.split('/').map(encodeURIComponent).join('/');

function sarifResult(file: string, f: Finding, rules: readonly string[]): object {
  const { line, column } = placeOf(f);
  return {
    ruleId: f.code,
    ruleIndex: rules.indexOf(f.code),
    level: SARIF_LEVEL[f.severity],
    message: { text: f.message },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: uriOf(file) },
          region: { startLine: line, startColumn: column },
        },
        ...(f.path === '' ? {} : { logicalLocations: [{ fullyQualifiedName: f.path }] }),
      },
    ],
  };
}

export function asSarif(files: readonly LintedFile[]): string {
  const rules = [...new Set(files.flatMap((f) => f.findings.map((x) => x.code)))].sort();
  const log = {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'auditconfig', version: __VERSION__, rules: rules.map((id) => ({ id })) } },
        columnKind: 'unicodeCodePoints',
        results: files.flatMap(({ file, findings }) => findings.map((f) => sarifResult(file, f, rules))),
      },
    ],
  };
  return `${JSON.stringify(log, null, 2)}\n`;
}
