/**
 * Reads the configuration of K3s and RKE2 as they do (k3s pkg/configfilearg/parser.go): config.yaml, then every .yaml and
 * .yml file of config.yaml.d by name. A later file's plain key replaces what came before, `KEY+` appends to it. Called by
 * ../rancher.ts.
 */
import { LineCounter, parseDocument } from 'yaml';
import type { Finding } from '../../api/findings.ts';
import { mayNestTooDeep } from '../../yaml/nesting.ts';
import { refusal } from '../refusal.ts';
import type { HostObserved, HostPath, HostRead } from '../types.ts';

export type ConfigFile = {
  readonly path: HostPath;
  readonly entries: readonly { readonly key: string; readonly appends: boolean; readonly values: readonly string[] }[];
};

type Read<T> = { readonly ok: T } | { readonly refused: readonly Finding[] };

/** In the order in which they are read. */
export function configFiles(dir: HostPath, seen: HostObserved): readonly HostPath[] {
  const names = (seen.dirs.get(`${dir}/config.yaml.d`) ?? []).filter((n) => /\.ya?ml$/i.test(n));
  return [`${dir}/config.yaml`, ...[...names].sort(byBytes).map((n) => `${dir}/config.yaml.d/${n}`)];
}

/** As Go's os.ReadDir sorts. */
const byBytes = (a: string, b: string): number => {
  const [x, y] = [new TextEncoder().encode(a), new TextEncoder().encode(b)];
  const i = x.findIndex((c, n) => c !== y[n]);
  return i < 0 ? x.length - y.length : (x[i] ?? 0) - (y[i] ?? -1);
};

export const configReads = (dir: HostPath, seen: HostObserved): readonly HostRead[] => [
  { read: 'Dir', path: `${dir}/config.yaml.d` },
  { read: 'Stat', path: `${dir}/config.yaml.d` },
  ...configFiles(dir, seen).map((path): HostRead => ({ read: 'File', path })),
];

const wordOf = (v: unknown): string =>
  typeof v === 'string' ? v : typeof v === 'number' || typeof v === 'boolean' || typeof v === 'bigint' ? String(v) : '';

export function readConfig(path: HostPath, bytes: Uint8Array): Read<ConfigFile> {
  const no = (why: string): Read<ConfigFile> => ({ refused: [refusal('ConfigUnreadable', `${path} ${why}.`, path)] });
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return no('is not valid UTF-8');
  }
  if (mayNestTooDeep(text)) return no('nests deeper than any configuration does');
  const lineCounter = new LineCounter();
  const doc = parseDocument(text, { lineCounter, version: '1.1', uniqueKeys: false });
  const [bad] = doc.errors;
  if (bad !== undefined) {
    const { line, col } = lineCounter.linePos(bad.pos[0]);
    const finding = refusal('ConfigUnreadable', `${path} is not valid YAML, and with it nothing starts.`, path);
    return { refused: [{ ...finding, at: { offset: bad.pos[0], line, column: col } }] };
  }
  const root: unknown = doc.toJS({ mapAsMap: true });
  if (root === null || root === undefined) return { ok: { path, entries: [] } };
  if (!(root instanceof Map)) return no('is no map of keys');
  const entries = [...(root as Map<unknown, unknown>)].map(([k, v]) => {
    const key = wordOf(k);
    const list: readonly unknown[] = Array.isArray(v) ? v : [v];
    return { key: key.replace(/\+$/, ''), appends: key.endsWith('+'), values: list.map(wordOf) };
  });
  return { ok: { path, entries } };
}

/** All files that are there. */
export function readConfigs(dir: HostPath, seen: HostObserved): Read<readonly ConfigFile[]> {
  const files: ConfigFile[] = [];
  for (const path of configFiles(dir, seen)) {
    const bytes = seen.files.get(path)?.bytes;
    if (bytes === undefined) continue;
    const read = readConfig(path, bytes);
    if ('refused' in read) return read;
    files.push(read.ok);
  }
  return { ok: files };
}

/** What a key comes to. */
export function valuesOf(files: readonly ConfigFile[], key: string): readonly string[] {
  let values: readonly string[] = [];
  for (const e of files.flatMap((f) => f.entries).filter((x) => x.key === key))
    values = e.appends ? [...values, ...e.values] : e.values;
  return values;
}
