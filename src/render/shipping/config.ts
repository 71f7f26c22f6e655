/**
 * fluent-bit's configuration, as bytes: our input, parser, buffer and record, and the filters and outputs of the settings.
 * YAML with every key and value in double quotes, so that no value can be anything but a value; sections and keys in one
 * order, so that the same settings give the same bytes. It judges nothing (check.ts does) and knows no cluster: who and
 * where it is comes as environment (container.ts). Called by shipping.ts.
 */
import type { FluentBitSection, FluentBitSpec } from '../../api/auditconfig-sinks.ts';
import { quoted } from '../../policy/emit.ts';
import { entriesOf, valueOf } from './sections.ts';
import type { Entry } from './sections.ts';

/** Folders inside fluent-bit's container. */
export const LOG_MOUNT = '/audit-logs';
export const BUFFER_MOUNT = '/var/lib/auditconfig-shipping';
export const CONFIG_MOUNT = '/etc/auditconfig-shipping';
export const CONFIG_FILE = 'fluent-bit.yaml';
/** Where `files` are. */
export const FILES_MOUNT = '/etc/auditconfig-shipping-files';
/** What filters and outputs match. */
export const TAG = 'audit';
export const CLUSTER_ID = 'AUDITCONFIG_CLUSTER_ID';
export const NODE = 'AUDITCONFIG_NODE';

/** Of each output; beyond it the oldest records go. */
const BUFFER_LIMIT = '512M';

type Pairs = readonly (readonly [string, string | readonly string[]])[];

const SERVICE_DEFAULTS: Readonly<Record<string, string>> = {
  flush: '1',
  grace: '5',
  log_level: 'info',
  // Seconds that it waits, at the most, until it tries a collector again. Its own default is more than half an hour.
  'scheduler.cap': '60',
  'storage.backlog.mem_limit': '16M',
  'storage.checksum': 'off',
  // 2 MB each are in memory at once; the rest waits on disk.
  'storage.max_chunks_up': '16',
  'storage.sync': 'normal',
};

const PARSER: Pairs = [
  ['name', 'audit-json'],
  ['format', 'json'],
  ['time_key', 'stageTimestamp'],
  ['time_format', '%Y-%m-%dT%H:%M:%S.%L%z'],
  ['time_keep', 'on'],
];

/** Rotated files too: what was written while nobody read must not be lost. Positions go by inode, so nothing comes twice. */
const inputOf = (logName: string): Pairs => {
  const dot = logName.lastIndexOf('.');
  const [stem, extension] = dot <= 0 ? [logName, ''] : [logName.slice(0, dot), logName.slice(dot)];
  return [
    ['name', 'tail'],
    ['tag', TAG],
    ['path', `${LOG_MOUNT}/${logName},${LOG_MOUNT}/${stem}-*${extension}`],
    ['parser', 'audit-json'],
    ['read_from_head', 'on'],
    ['refresh_interval', '5'],
    ['rotate_wait', '30'],
    ['db', `${BUFFER_MOUNT}/positions.db`],
    ['db.sync', 'normal'],
    ['buffer_chunk_size', '256k'],
    ['buffer_max_size', '10M'],
    ['skip_long_lines', 'on'],
    ['storage.type', 'filesystem'],
  ];
};

const IDENTITY: Pairs = [
  ['name', 'record_modifier'],
  ['match', '*'],
  ['record', [`cluster_id \${${CLUSTER_ID}}`, `node \${${NODE}}`]],
];

const isSet = (entries: readonly Entry[], ...keys: readonly string[]): boolean =>
  keys.some((k) => valueOf(entries, k) !== undefined);

const FIRST = ['name', 'match', 'match_regex'];
const rank = ({ key }: Entry): number => (FIRST.includes(key) ? FIRST.indexOf(key) : FIRST.length);

/** Keys whose value is a file. One without a folder is one of `files`: any other is of the image. */
export const FILE_KEYS: readonly string[] = [
  'tls.ca_file',
  'tls.crt_file',
  'tls.key_file',
  'rdkafka.ssl.ca.location',
  'rdkafka.ssl.certificate.location',
  'rdkafka.ssl.key.location',
];
export const isFileName = (value: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(value);

const pathOf = (key: string, value: string): string =>
  FILE_KEYS.includes(key) && isFileName(value) ? `${FILES_MOUNT}/${value}` : value;

/** Name and match first, for who reads it; a plugin's name in lower case. */
function pluginOf(section: FluentBitSection, defaults: Pairs): Pairs {
  const entries = [...entriesOf(section)].sort((a, b) => rank(a) - rank(b));
  const own = entries.map(({ key, values }): Pairs[number] => {
    const [only = '', ...more] =
      key === 'name' ? values.map((v) => v.toLowerCase()) : values.map((v) => pathOf(key, v));
    return [key, more.length === 0 ? only : [only, ...more]];
  });
  const match: Pairs = isSet(entries, 'match', 'match_regex') ? [] : [['match', '*']];
  const [name, ...rest] = own;
  return [...(name === undefined ? [] : [name]), ...match, ...rest, ...defaults.filter(([k]) => !isSet(entries, k))];
}

const OUTPUT_DEFAULTS: Pairs = [
  // fluent-bit's own default gives a record up after one more try.
  ['retry_limit', 'no_limits'],
  ['storage.total_limit_size', BUFFER_LIMIT],
];
const STDOUT: FluentBitSection = { name: 'stdout', format: 'json_lines' };

const outputsOf = ({ outputs = [] }: FluentBitSpec): readonly Pairs[] =>
  (outputs.length === 0 ? [STDOUT] : outputs).map((o) => pluginOf(o, OUTPUT_DEFAULTS));

function serviceOf(service: FluentBitSection): { readonly service: Pairs; readonly include: readonly string[] } {
  const entries = entriesOf(service);
  const own = Object.fromEntries(entries.map((e) => [e.key, e.values]));
  const { 'scheduler.cap': cap = '', ...defaults } = SERVICE_DEFAULTS;
  // Each wait is drawn from between base and cap: somebody's own base may be above ours.
  const waits: Record<string, string> = isSet(entries, 'scheduler.base') ? {} : { 'scheduler.cap': cap };
  const { include = [], ...rest } = { ...defaults, ...waits, 'storage.path': `${BUFFER_MOUNT}/chunks`, ...own };
  const keys = Object.keys(rest).sort();
  return {
    service: keys.map((k) => [k, rest[k as keyof typeof rest] ?? '']),
    include: typeof include === 'string' ? [include] : include,
  };
}

const lines = (pairs: Pairs, indent: string): readonly string[] =>
  pairs.flatMap(([key, value]) => {
    const values = typeof value === 'string' ? [value] : value;
    const [only = ''] = values;
    return values.length === 1
      ? [`${indent}${quoted(key)}: ${quoted(only)}`]
      : [`${indent}${quoted(key)}:`, ...values.map((v) => `${indent}  - ${quoted(v)}`)];
  });
const item = (pairs: Pairs, indent: string): readonly string[] =>
  lines(pairs, `${indent}  `).map((l, i) => (i === 0 ? `${indent}- ${l.slice(indent.length + 2)}` : l));

/** `logName`: of the log file, without its folder. */
export function fluentBitConfig(spec: FluentBitSpec, logName: string): string {
  const { service, include } = serviceOf(spec.service ?? {});
  const plugins = (name: string, all: readonly Pairs[]): readonly string[] => [
    `  ${name}:`,
    ...all.flatMap((p) => item(p, '    ')),
  ];
  const text = [
    ...(include.length === 0 ? [] : ['includes:', ...include.map((i) => `  - ${quoted(i)}`)]),
    'service:',
    ...lines(service, '  '),
    'parsers:',
    ...item(PARSER, '  '),
    'pipeline:',
    ...plugins('inputs', [inputOf(logName)]),
    ...plugins('filters', [IDENTITY, ...(spec.filters ?? []).map((f) => pluginOf(f, []))]),
    ...plugins('outputs', outputsOf(spec)),
  ];
  return `${text.join('\n')}\n`;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1_000, m: 1_000_000, g: 1_000_000_000 };
/** As fluent-bit counts sizes; undefined for what has no end or is none. */
export function bufferSize(text: string): number | undefined {
  const m = /^([0-9]{1,12})([kmg]?)b?$/i.exec(text);
  return m === null ? undefined : Number(m[1]) * (UNITS[(m[2] ?? '').toLowerCase()] ?? 1);
}

/** All that it may keep on disk: what waits for each output, positions, and a chunk more for each. */
export function bufferBytes(spec: FluentBitSpec): number {
  const limits = (spec.outputs ?? [{}]).map(
    (o) => bufferSize(valueOf(entriesOf(o), 'storage.total_limit_size') ?? BUFFER_LIMIT) ?? 0,
  );
  const MIB = 2 ** 20;
  const total = (limits.length === 0 ? [bufferSize(BUFFER_LIMIT) ?? 0] : limits).reduce((a, b) => a + b, 0);
  return Math.ceil((total * 1.25) / MIB) * MIB + 128 * MIB;
}
