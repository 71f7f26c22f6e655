/**
 * JSON values into Go types, as sigs.k8s.io/json does it: names match case-sensitively, `null` leaves scalars as they
 * are, a second list decodes into the elements of the first. Type errors are collected; the API server reports the first.
 */
import type { Finding, Position } from '../../api/findings.ts';
import { isInt64 } from '../../yaml/numbers.ts';
import { isRfc3339 } from '../../yaml/times.ts';
import { childPath } from '../../yaml/value.ts';
import type { Member, Value } from '../../yaml/value.ts';
import type { GoField, GoStruct, GoType } from './types.ts';
import { didYouMean } from '../suggest.ts';

/** A Go slice: `items` may be longer than `length`, as its array keeps what it once held. */
export type GoSlice = { length: number; items: GoValue[] };
export type GoObject = Map<string, GoValue>;
/** Undefined is a type's zero value: nil, "", false. */
export type GoValue = string | boolean | GoSlice | GoObject | undefined;

export type Decoded = {
  readonly value: GoValue;
  readonly findings: readonly Finding[];
  readonly positions: ReadonlyMap<string, Position>;
};

type Place = { readonly path: string; readonly context: Context };
/** What Go names in a type error: the struct, and the fields from the root without indexes. */
type Context = { readonly struct: string; readonly fields: readonly string[] };

const describe = (value: Value, type: GoType): string =>
  value.kind === 'number' && type.kind === 'int64' ? `number ${value.text}` : value.kind;

class Decoder {
  readonly findings: Finding[] = [];
  readonly positions = new Map<string, Position>();
  readonly #duplicates: boolean;

  constructor(duplicates: boolean) {
    this.#duplicates = duplicates;
  }

  #report(severity: Finding['severity'], code: string, what: { message: string; path: string; at: Position }): void {
    this.findings.push({ severity, code, ...what });
  }

  #mismatch(value: Value, type: GoType, place: Place): void {
    const { struct, fields } = place.context;
    const into = struct === '' ? 'Go value' : `Go struct field ${struct}.${fields.join('.')}`;
    const go = 'go' in type ? type.go : type.kind;
    const message = `json: cannot unmarshal ${describe(value, type)} into ${into} of type ${go}`;
    this.#report('error', 'TypeMismatch', { message, path: place.path, at: value.at });
  }

  decode(type: GoType, value: Value, held: GoValue, place: Place): GoValue {
    if (type.kind === 'pointer') return value.kind === 'null' ? undefined : this.decode(type.to, value, held, place);
    if (type.kind === 'raw') return undefined;
    if (type.kind === 'time') return this.#time(value, place);
    if (value.kind === 'null') return type.kind === 'slice' || type.kind === 'map' ? undefined : held;
    switch (type.kind) {
      case 'string':
        if (value.kind === 'string') return value.value;
        break;
      case 'bool':
        if (value.kind === 'bool') return value.value;
        break;
      case 'int64':
        if (value.kind === 'number' && /^-?\d+$/.test(value.text) && isInt64(BigInt(value.text))) return value.text;
        break;
      case 'slice':
        if (value.kind === 'array') return this.#slice(type, value.items, held, place);
        break;
      case 'map':
        if (value.kind === 'object') return this.#map(type, value.members, held, place);
        break;
      case 'struct':
        if (value.kind === 'object') return this.#struct(type, value.members, held, place);
        break;
    }
    this.#mismatch(value, type, place);
    return held;
  }

  #time(value: Value, { path }: Place): GoValue {
    if (value.kind === 'null' || (value.kind === 'string' && isRfc3339(value.value))) return undefined;
    const message =
      value.kind === 'string'
        ? `parsing time ${JSON.stringify(value.value)} as "2006-01-02T15:04:05Z07:00": not an RFC 3339 time`
        : `json: cannot unmarshal ${value.kind} into Go value of type string`;
    this.#report('error', 'InvalidTimestamp', { message, path, at: value.at });
    return undefined;
  }

  #slice(type: GoType & { kind: 'slice' }, values: readonly Value[], held: GoValue, place: Place): GoValue {
    if (values.length === 0) return { length: 0, items: [] };
    const slice = isSlice(held) ? held : { length: 0, items: [] };
    values.forEach((value, i) => {
      const path = `${place.path}[${i}]`;
      this.positions.set(path, value.at);
      slice.items[i] = this.decode(type.of, value, slice.items[i], { path, context: place.context });
    });
    slice.length = values.length;
    return slice;
  }

  #map(type: GoType & { kind: 'map' }, members: readonly Member[], held: GoValue, place: Place): GoValue {
    const map: GoObject = isObject(held) ? held : new Map<string, GoValue>();
    const seen = new Set<string>();
    for (const member of members) {
      const path = childPath(place.path, member.key);
      if (seen.has(member.key)) this.#duplicate(member, path);
      seen.add(member.key);
      map.set(member.key, this.decode(type.of, member.value, undefined, { path, context: place.context }));
    }
    return map;
  }

  #struct(type: GoStruct, members: readonly Member[], held: GoValue, place: Place): GoValue {
    const object: GoObject = isObject(held) ? held : new Map<string, GoValue>();
    const seen = new Set<string>();
    for (const member of members) {
      const path = childPath(place.path, member.key);
      const field = type.fields.get(member.key);
      if (field === undefined) {
        this.#unknown(member, path, type);
        continue;
      }
      if (seen.has(member.key)) this.#duplicate(member, path);
      seen.add(member.key);
      const { value } = member;
      this.positions.set(path, value.kind === 'array' || value.kind === 'object' ? member.at : value.at);
      const context = fieldContext(type, field, member.key, place);
      object.set(member.key, this.decode(field.type, value, object.get(member.key), { path, context }));
    }
    return object;
  }

  #duplicate(member: Member, path: string): void {
    if (!this.#duplicates) return;
    const message = `duplicate field ${JSON.stringify(path)}`;
    this.#report('warning', 'DuplicateField', { message, path, at: member.at });
  }

  #unknown(member: Member, path: string, type: GoStruct): void {
    const hint = didYouMean(member.key, [...type.fields.keys()]);
    const message = `unknown field ${JSON.stringify(path)}: the API server ignores it${hint}`;
    this.#report('warning', 'UnknownField', { message, path, at: member.at });
  }
}

function fieldContext(type: GoStruct, field: GoField, name: string, place: Place): Context {
  const names = field.embedded === undefined ? [name] : [field.embedded, name];
  return { struct: type.go.slice(type.go.indexOf('.') + 1), fields: [...place.context.fields, ...names] };
}

export const isSlice = (v: GoValue): v is GoSlice => typeof v === 'object' && !(v instanceof Map);
export const isObject = (v: GoValue): v is GoObject => v instanceof Map;

/**
 * Decodes `value` into a new `type`. Errors: `TypeMismatch`, `InvalidTimestamp`; warnings: `UnknownField` and, with
 * `duplicates` (JSON: YAML has told of its own), `DuplicateField`. Positions are those of values, or of the key where
 * the value is a list or an object; the document's own under `''`.
 */
export function decodeGo(type: GoType, value: Value, duplicates: boolean): Decoded {
  const decoder = new Decoder(duplicates);
  decoder.positions.set('', value.at);
  const decoded = decoder.decode(type, value, undefined, { path: '', context: { struct: '', fields: [] } });
  return { value: decoded, findings: decoder.findings, positions: decoder.positions };
}
