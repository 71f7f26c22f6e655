/**
 * Everything that is wrong with what somebody wants fluent-bit to do, before any fluent-bit sees it: plugins and keys that it
 * does not know, values that could end a line or that it would read as something else, variables that nobody sets,
 * secrets in plain text, and what only a datacenter may set. Each an error with a code, a path and, where there is one, the
 * corrected form. Called by shipping.ts.
 */
import type { EnvironmentVariable, FluentBitSection, FluentBitSpec, ShippedFile } from '../../api/auditconfig-sinks.ts';
import type { LogFormat } from '../../config/types.ts';
import { fieldPath } from '../../config/parse.ts';
import { didYouMean } from '../../policy/suggest.ts';
import { error, warning } from '../findings.ts';
import type { RenderFinding } from '../findings.ts';
import { bufferSize, CLUSTER_ID, FILE_KEYS, isFileName, NODE, TAG } from './config.ts';
import {
  FILTERS,
  hasKey,
  keysOf,
  LEFT_OUT,
  OUTPUTS,
  REPEATABLE,
  RESERVED,
  RESTRICTED,
  SECRETS,
  SERVICE,
} from './plugins.ts';
import { canonicalQuantity } from './quantity.ts';
import { entriesOf, referencesIn, valueOf } from './sections.ts';
import type { Entry, Kind } from './sections.ts';

export type ShippingInput = {
  readonly spec: FluentBitSpec;
  readonly log: { readonly type: 'File' | 'Stdout' | 'None'; readonly format: LogFormat };
  /** May what is set below `spec.shipping.fluentBit`, such as `service.daemon` or `image`, be what only datacenters set? */
  readonly isFree: (path: string) => boolean;
};

type Keys = readonly (string | number)[];
const at = (...keys: Keys): string => fieldPath(['spec', 'shipping', 'fluentBit', ...keys]);
const bad = (code: string, keys: Keys, message: string): RenderFinding =>
  error(code, at(...keys), `${at(...keys)}: ${message}`);

/** C0, DEL and C1 (a tab is no line), and what only half is a character. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
const isHalf = (text: string): boolean => /\p{Cs}/u.test(text);

function valueFindings(value: string, keys: Keys, known: ReadonlySet<string>): readonly RenderFinding[] {
  if (CONTROL.test(value))
    return [bad('ShippingControlCharacter', keys, 'a value is one line: it holds a line break or a control character')];
  if (isHalf(value)) return [bad('ShippingValueInvalid', keys, 'holds half a character, which is no Unicode text')];
  if (value === '') return [bad('ShippingValueInvalid', keys, 'is empty: leave the key out')];
  if (value.trim() !== value)
    return [bad('ShippingValueInvalid', keys, 'begins or ends with a blank, which fluent-bit takes away')];
  const { names, isBroken } = referencesIn(value);
  if (isBroken)
    return [
      bad(
        'ShippingVariableForm',
        keys,
        'fluent-bit reads `${` as the beginning of a variable, and has no escape for it: write ${NAME}, with no `}` before it',
      ),
    ];
  return names
    .filter((n) => !known.has(n))
    .map((n) =>
      bad('ShippingVariableUnknown', keys, `no variable ${n} is in env${didYouMean(n, [...known])}; it would be empty`),
    );
}

/** `Authorization Bearer x`: the second word on. */
const isCredential = (key: string, value: string): boolean =>
  SECRETS.has(key) ||
  ((key === 'header' || key === 'http_header') && /^(proxy-)?(authorization|x-api-key|api-key)\s/i.test(value));

/** A secret is nothing but a variable, apart from the words that every such header has. */
const isHidden = (value: string): boolean => referencesIn(value).names.length > 0;

function secretFinding({ key, values }: Entry, keys: Keys): readonly RenderFinding[] {
  return values.some((v) => isCredential(key, v) && !isHidden(v))
    ? [
        bad(
          'ShippingSecretInPlain',
          keys,
          `${key} is a secret, and what stands here is for everybody to read: put it into a Secret, name it in env with secretKeyRef, and write \${NAME}`,
        ),
      ]
    : [];
}

const restricted = (keys: Keys, what: string): RenderFinding =>
  bad(
    'ShippingRestricted',
    keys,
    `${what} runs or reads what it likes beside an API server's keys: only a datacenter may set it`,
  );

type Section = {
  readonly kind: Kind;
  readonly keys: Keys;
  readonly entries: readonly Entry[];
  readonly known: ReadonlySet<string>;
  /** Names of `files`. */
  readonly files: readonly string[];
};

function entryFindings({ kind, keys, known, files }: Section, e: Entry): readonly RenderFinding[] {
  const here = [...keys, e.written];
  if (!/^[a-z0-9_.-]+$/.test(e.key)) return [bad('ShippingKeyUnknown', here, 'is no key of fluent-bit')];
  if (RESERVED.includes(e.key))
    return [bad('ShippingReserved', here, "is set by auditconfig, so that nothing leaves the shipper's own folder")];
  if (e.values.length > 1 && !REPEATABLE.has(e.key))
    return [bad('ShippingValueInvalid', here, 'has several values, and this key can stand only once')];
  const one = (i: number): Keys => (e.values.length === 1 ? here : [...here, i]);
  return [
    ...e.values.flatMap((v, i) => valueFindings(v, one(i), known)),
    ...secretFinding(e, here),
    ...limitFinding(kind, e, here),
    ...(FILE_KEYS.includes(e.key) ? e.values.flatMap((v) => fileFinding(v, here, files)) : []),
  ];
}

const fileFinding = (value: string, keys: Keys, files: readonly string[]): readonly RenderFinding[] =>
  !isFileName(value) || files.includes(value)
    ? []
    : [
        bad(
          'ShippingFileUnknown',
          keys,
          `no file ${value} is in files${didYouMean(value, files)}; name it there, with the Secret or ConfigMap that has it`,
        ),
      ];

const limitFinding = (kind: Kind, e: Entry, keys: Keys): readonly RenderFinding[] =>
  kind !== 'outputs' || e.key !== 'storage.total_limit_size' || bufferSize(e.values[0] ?? '') !== undefined
    ? []
    : [bad('ShippingValueInvalid', keys, 'must be a size, such as 512M: without an end it would fill the disk')];

/** `*` stands for any characters, as in fluent-bit. */
const matches = (pattern: string): boolean =>
  new RegExp(
    `^${pattern
      .split('*')
      .map((p) => p.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*')}$`,
  ).test(TAG);

const EXAMPLE = "Regex: $user['username'] ^user@example\\.com$";
/** As fluent-bit splits it: at the first blank. */
const hasTwoParts = (value: string): boolean => /^\S+ +\S/.test(value);

function grepFindings({ entries, keys }: Section): readonly RenderFinding[] {
  const rules = entries.filter((e) => e.key === 'regex' || e.key === 'exclude');
  const wrong = rules.flatMap((e) =>
    e.values
      .filter((v) => v !== '' && !hasTwoParts(v))
      .map((v) =>
        bad(
          'ShippingGrepForm',
          [...keys, e.written],
          `"${v}" is no field and expression; for the name of the user, for one, write ${correctedGrep(e.written, v)}`,
        ),
      ),
  );
  const op = (valueOf(entries, 'logical_op') ?? 'legacy').toLowerCase();
  const mixed = rules.length > 1 && op !== 'legacy';
  if (mixed) wrong.push(bad('ShippingGrepForm', keys, `logical_op ${op} takes Regex or Exclude, not both`));
  if (rules.length === 0)
    wrong.push(bad('ShippingGrepForm', keys, `a grep filter needs Regex or Exclude, such as ${EXAMPLE}`));
  return wrong;
}

/** What fluent-bit calls a line that it did not parse, as everybody does who had it without a parser. */
const LINE = /^\$?log(\s|\[|\.)/;
/** A field within a field as kubectl writes it; to fluent-bit it is the name of one field, and no record has it. */
const DOTTED = /^\$?([A-Za-z_]+(?:\.[A-Za-z_]+)+)\s/;

function absent(value: string): string | undefined {
  if (LINE.test(value))
    return "records have no field log: they are the event's own fields, such as $user['username'] or verb";
  const [first, ...within] = DOTTED.exec(value)?.[1]?.split('.') ?? [];
  if (first === undefined) return undefined;
  return `no record has a field of that name with a dot in it; write $${first}${within.map((w) => `['${w}']`).join('')}`;
}

function absentFindings({ entries, keys }: Section): readonly RenderFinding[] {
  return entries
    .filter((e) => e.key === 'regex' || e.key === 'exclude')
    .flatMap((e) => {
      const path = at(...keys, e.written);
      const why = e.values.map(absent).find((w) => w !== undefined);
      return why === undefined ? [] : [warning('ShippingFieldAbsent', path, `${path}: ${why}`)];
    });
}

/** The words that were meant literally, in the field that they were most likely meant for. */
export const correctedGrep = (key: string, value: string): string =>
  `${key}: $user['username'] ^${value.replace(/[.+*?^${}()|[\]\\]/g, '\\$&')}$`;

const PAIRS: Readonly<Record<string, readonly string[]>> = {
  record_modifier: ['record'],
  modify: ['add', 'set', 'rename', 'hard_rename', 'copy', 'hard_copy'],
};

function pairFindings(plugin: string, { entries, keys }: Section): readonly RenderFinding[] {
  const wanting = entries.filter((e) => PAIRS[plugin]?.includes(e.key) === true);
  return wanting.flatMap((e) =>
    e.values
      .filter((v) => v !== '' && !hasTwoParts(v))
      .map((v) =>
        bad(
          'ShippingRecordForm',
          [...keys, e.written],
          `"${v}" is no name and value, such as ${e.written}: cluster prod-1`,
        ),
      ),
  );
}

function matchFindings({ entries, keys }: Section, hasTags: boolean): readonly RenderFinding[] {
  const match = entries.find((e) => e.key === 'match');
  const [pattern = '*'] = match?.values ?? [];
  if (match === undefined || hasTags || matches(pattern)) return [];
  const path = at(...keys, match.written);
  return [
    warning(
      'ShippingMatchesNothing',
      path,
      `${path}: records are tagged ${TAG}, which ${pattern} does not match: write Match: "*"`,
    ),
  ];
}

function pluginFindings(
  s: Section & { readonly kind: 'filters' | 'outputs' },
  o: { readonly free: boolean; readonly hasTags: boolean },
): readonly RenderFinding[] {
  const { kind, keys, entries } = s;
  const name = entries.find((e) => e.key === 'name');
  if (name === undefined) return [bad('ShippingPluginUnknown', keys, 'has no Name, which says the plugin')];
  const plugin = (name.values[0] ?? '').toLowerCase();
  const here = [...keys, name.written];
  if (!o.free && (RESTRICTED[kind] as readonly string[]).includes(plugin))
    return [restricted(here, `plugin ${plugin}`)];
  const table = kind === 'filters' ? FILTERS : OUTPUTS;
  const leftOut = LEFT_OUT[kind];
  if (Object.hasOwn(leftOut, plugin)) return [bad('ShippingPluginLeftOut', here, `${plugin} ${leftOut[plugin] ?? ''}`)];
  if (!Object.hasOwn(table, plugin))
    return [
      bad(
        'ShippingPluginUnknown',
        here,
        `there is no such ${kind === 'filters' ? 'filter' : 'output'} for audit logs${didYouMean(plugin, Object.keys(table))}`,
      ),
    ];
  const unknown = entries.filter((e) => !hasKey(kind, plugin, e.key) && !RESERVED.includes(e.key));
  return [
    ...unknown.map((e) =>
      bad(
        'ShippingKeyUnknown',
        [...keys, e.written],
        `${plugin} has no such key${didYouMean(e.key, keysOf(kind, plugin))}`,
      ),
    ),
    ...entries.filter((e) => !unknown.includes(e)).flatMap((e) => entryFindings(s, e)),
    ...(plugin === 'grep' && kind === 'filters' ? [...grepFindings(s), ...absentFindings(s)] : []),
    ...(kind === 'filters' ? pairFindings(plugin, s) : []),
    ...matchFindings(s, o.hasTags),
  ];
}

function serviceFindings(
  section: FluentBitSection,
  known: ReadonlySet<string>,
  isFree: ShippingInput['isFree'],
): readonly RenderFinding[] {
  const entries = entriesOf(section);
  const whole: Section = { kind: 'service', keys: ['service'], entries, known, files: [] };
  return entries.flatMap((e) => {
    const keys = ['service', e.written];
    if (RESTRICTED.service.some((r) => e.key === r || e.key.startsWith(`${r}.`) || e.key === `@${r}`))
      return isFree(`service.${e.key}`) ? entryFindings(whole, e) : [restricted(keys, e.key)];
    if (!SERVICE.includes(e.key) && !RESERVED.includes(e.key))
      return [bad('ShippingKeyUnknown', keys, `fluent-bit's service has no such key${didYouMean(e.key, SERVICE)}`)];
    return entryFindings(whole, e);
  });
}

const OWN_NAMES: readonly string[] = [CLUSTER_ID, NODE];

function envFindings(env: readonly EnvironmentVariable[]): readonly RenderFinding[] {
  return env.flatMap(({ name, value }, i) => {
    const keys = ['env', i];
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      return [bad('ShippingVariableName', keys, `${JSON.stringify(name)} is no name: use letters, digits and _`)];
    if (OWN_NAMES.includes(name) || /^LD_/.test(name))
      return [bad('ShippingVariableName', keys, `${name} is not for this`)];
    if (env.findIndex((e) => e.name === name) !== i) return [bad('ShippingVariableName', keys, `${name} stands twice`)];
    return value !== undefined && CONTROL.test(value)
      ? [bad('ShippingControlCharacter', keys, 'a value is one line')]
      : [];
  });
}

function fileFindings(files: readonly ShippedFile[]): readonly RenderFinding[] {
  return files.flatMap(({ name }, i) => {
    const keys = ['files', i, 'name'];
    if (!isFileName(name))
      return [bad('ShippingFileName', keys, `${JSON.stringify(name)} is no name of a file, such as ca.crt`)];
    return files.findIndex((f) => f.name === name) === i ? [] : [bad('ShippingFileName', keys, `${name} stands twice`)];
  });
}

function resourceFindings({ resources }: FluentBitSpec): readonly RenderFinding[] {
  return (['requests', 'limits'] as const).flatMap((part) =>
    Object.entries(resources?.[part] ?? {})
      .filter(
        ([name, q]) => !['cpu', 'memory', 'ephemeral-storage'].includes(name) || canonicalQuantity(q) === undefined,
      )
      .map(([name]) =>
        bad(
          'ShippingResourceInvalid',
          ['resources', part, name],
          'must be a quantity of cpu, memory or ephemeral-storage, such as 100m or 64Mi',
        ),
      ),
  );
}

const IMAGE = /^[a-z0-9]([a-z0-9._/:-]*[a-z0-9])?(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$/;

function imageFindings({ image }: FluentBitSpec, isFree: ShippingInput['isFree']): readonly RenderFinding[] {
  if (image === undefined) return [];
  if (!IMAGE.test(image))
    return [bad('ShippingImageInvalid', ['image'], 'is no image, such as fluent/fluent-bit:5.0.9')];
  return isFree('image') ? [] : [restricted(['image'], 'an image of its own')];
}

function logFindings({ log }: ShippingInput): readonly RenderFinding[] {
  const path = 'spec.log.type';
  if (log.type !== 'File')
    return [
      error(
        'ShippingNeedsLogFile',
        path,
        `${path}: shipping reads the log file, and there is none with ${log.type}: choose File`,
      ),
    ];
  return log.format === 'JSON'
    ? []
    : [
        error(
          'ShippingNeedsLogFile',
          'spec.log.file.format',
          `spec.log.file.format: shipping reads JSON, not ${log.format}`,
        ),
      ];
}

/** In the order of the fields. */
export function checkShipping(input: ShippingInput): readonly RenderFinding[] {
  const { spec, isFree } = input;
  const { env = [], files = [], service = {}, filters = [], outputs = [] } = spec;
  const known = new Set([...env.map((e) => e.name), CLUSTER_ID, NODE, 'HOSTNAME']);
  const hasTags = filters.some((f) => valueOf(entriesOf(f), 'name')?.toLowerCase() === 'rewrite_tag');
  const all = (kind: 'filters' | 'outputs', sections: readonly FluentBitSection[]): readonly RenderFinding[] =>
    sections.flatMap((section, i) =>
      pluginFindings(
        { kind, keys: [kind, i], entries: entriesOf(section), known, files: files.map((f) => f.name) },
        { free: isFree(kind), hasTags },
      ),
    );
  return [
    ...logFindings(input),
    ...imageFindings(spec, isFree),
    ...resourceFindings(spec),
    ...envFindings(env),
    ...fileFindings(files),
    ...serviceFindings(service, known, isFree),
    ...all('filters', filters),
    ...all('outputs', outputs),
  ];
}
