/**
 * A section of fluent-bit's configuration as it is written and as it is judged: keys in lower case (fluent-bit tells no
 * cases apart), values as texts, several where a key is repeated. Nothing is refused here. Called by check.ts and config.ts.
 */
import type { FluentBitSection } from '../../api/auditconfig-sinks.ts';

export type Kind = 'service' | 'filters' | 'outputs';
/** `written` is the key as it stands in the resource, for findings. */
export type Entry = { readonly key: string; readonly written: string; readonly values: readonly string[] };

const textOf = (v: string | number | boolean): string => String(v);

/** In order of keys: an API server stores maps sorted, so that any other order would be lost. */
export function entriesOf(section: FluentBitSection): readonly Entry[] {
  return Object.entries(section)
    .map(([written, v]): Entry => ({
      key: written.toLowerCase(),
      written,
      values: Array.isArray(v) ? v.map(textOf) : [textOf(v)],
    }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** The first value of a key; undefined where it does not stand there. */
export const valueOf = (entries: readonly Entry[], key: string): string | undefined =>
  entries.find((e) => e.key === key)?.values[0];

/** Whatever else begins with `${` cannot be written in fluent-bit: it has no escape. */
const REFERENCE = /\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g;

/** The names that a value refers to, and whether fluent-bit would read something else than stands there. */
export function referencesIn(value: string): { readonly names: readonly string[]; readonly isBroken: boolean } {
  const names = [...value.matchAll(REFERENCE)].map((m) => m[1] ?? '');
  const between = value.replaceAll(REFERENCE, '\n').split('\n');
  // It takes the next `}` of the text for a reference's end, also one that stands before the reference.
  const early = between.slice(0, -1).some((t) => t.includes('}'));
  return { names, isBroken: early || between.some((t) => t.includes('${')) };
}
