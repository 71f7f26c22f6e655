/**
 * The building blocks of every custom resource schema. They keep a schema within what a structural OpenAPI schema can
 * say (src/api/crd.ts converts it) and within the API server's cost budget for CEL, which counts with the largest size
 * that a list, map or string may have: so everything has a bound. They refuse defaults: fields merge in layers, and a
 * default would look set (test/api/crds.test.ts).
 *
 * A rule that spans fields stands here once, as CEL for the API server and as a function for `auditconfig render`,
 * which has no API server; test/api holds one against the other.
 */
import { z } from 'zod';
import { parseSize, SIZE_PATTERN } from './quantity.ts';

type Rule<T> = {
  /** CEL over `self`. */
  readonly rule: string;
  /** One sentence that says what to do. */
  readonly message: string;
  /** The same in TypeScript. */
  readonly holds: (value: T) => boolean;
};

/** Adds rules to a schema. Each is checked by the API server (CEL) and by zod, with the same message. */
export function checked<S extends z.ZodType>(schema: S, rules: readonly Rule<z.infer<S>>[]): S {
  const refined = rules.reduce<S>((s, r) => s.refine((v) => r.holds(v), { error: r.message }), schema);
  return withCel(
    refined,
    rules.map(({ rule, message }) => ({ rule, message })),
  );
}

function withCel<S extends z.ZodType>(schema: S, cel: readonly { rule: string; message: string }[]): S {
  const meta = schema.meta();
  const before: unknown = meta?.['x-kubernetes-validations'];
  return schema.meta({
    ...meta,
    'x-kubernetes-validations': [...(Array.isArray(before) ? (before as unknown[]) : []), ...cel],
  });
}

/** The same object with other members; its rules count for them too. */
export function extended<S extends z.ZodObject, T extends z.core.$ZodShape>(
  schema: S,
  shape: T,
): z.ZodObject<Omit<S['shape'], keyof T> & T> {
  const cel: unknown = schema.meta()?.['x-kubernetes-validations'];
  const more = schema.safeExtend(shape as never) as unknown as z.ZodObject<Omit<S['shape'], keyof T> & T>;
  return cel === undefined ? more : more.meta({ 'x-kubernetes-validations': cel });
}

/**
 * A rule that compares with the stored object: only an API server can check it. What `but` names, by path below this
 * object, may be added, changed and removed; every other field may not, those of later releases included.
 */
export function immutable<S extends z.ZodObject>(schema: S, but: readonly string[], message: string): S {
  return withCel(schema, [{ rule: unchanged(schema, '', but).join(' && '), message }]);
}

/** CEL has no comparison of fields that may be absent before its optional types, which are younger than what runs. */
function unchanged(object: z.ZodObject, at: string, but: readonly string[]): readonly string[] {
  return Object.entries(object.shape).flatMap(([key, schema]) => {
    const path = `${at}${key}`;
    if (but.includes(path)) return [];
    const [now, before] = [`self.${path}`, `oldSelf.${path}`];
    const inner: unknown = schema instanceof z.ZodOptional ? schema.unwrap() : schema;
    const below = but.some((b) => b.startsWith(`${path}.`)) && inner instanceof z.ZodObject;
    const same = below ? unchanged(inner, `${path}.`, but).join(' && ') : `${now} == ${before}`;
    if (!(schema instanceof z.ZodOptional)) return [same];
    return [`has(${now}) == has(${before})`, `(!has(${now}) || ${below ? `(${same})` : same})`];
  });
}

export const integer = (min: number, max: number): z.ZodInt => z.int().min(min).max(max);
export const text = (max: number): z.ZodString => z.string().min(1).max(max);
export const list = <S extends z.ZodType>(item: S, max: number): z.ZodArray<S> => z.array(item).max(max);

/** Order does not matter and no member stands twice: server-side apply merges such lists by member. */
export const set = <S extends z.ZodType>(item: S, max: number): z.ZodArray<S> =>
  z.array(item).max(max).meta({ 'x-kubernetes-list-type': 'set' });

/** A map of strings; the key's form is not expressible in a structural schema. */
export const strings = (maxProperties: number, maxLength: number): z.ZodRecord<z.ZodString, z.ZodString> =>
  z.record(z.string(), z.string().max(maxLength)).meta({ maxProperties });

/** A size in bytes as a Kubernetes quantity, such as `100Mi`. */
export const size = (): z.ZodString =>
  checked(
    z
      .string()
      .max(24)
      .regex(
        new RegExp(SIZE_PATTERN),
        "a size is a whole or decimal number with an optional unit k, M, G, T, Ki, Mi, Gi or Ti, such as '100Mi'",
      ),
    [
      {
        rule: 'quantity(self).isGreaterThan(quantity("0"))',
        message: 'a size must be greater than 0',
        holds: (v) => (parseSize(v) ?? 1) > 0,
      },
    ],
  );

const scalar = z.union([z.string().max(4096), z.number(), z.boolean()]);
const SETTING = 'must be text, a number, true or false, or a list of these';
/**
 * What a key of somebody else's configuration may have: a scalar, or several where the key may stand more than once. A
 * structural schema has no such type, so an API server only bounds it, and refuses maps; the rest is checked by zod.
 */
export const setting = z.union([scalar, z.array(scalar).min(1).max(64)], { error: SETTING }).meta({
  'x-kubernetes-preserve-unknown-fields': true,
  maxLength: 4096,
  maxItems: 64,
  maxProperties: 0,
});

/** metadata.name of most kinds: a lower-case RFC 1123 subdomain. */
export const objectName = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/);

/** A key of a ConfigMap's or Secret's data. */
export const dataKey = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[-._a-zA-Z0-9]+$/);

export const keyRef = z.strictObject({
  name: objectName.describe('Name of the object, in the same namespace.'),
  key: dataKey.optional().describe('Key of its data.'),
});

/** A condition as in metav1.Condition; `Timestamp` is RFC 3339. */
export const condition = z.object({
  type: text(316),
  status: z.enum(['True', 'False', 'Unknown']),
  observedGeneration: z.int().min(0).optional(),
  lastTransitionTime: z.string().max(64).meta({ format: 'date-time' }),
  reason: text(1024),
  message: z.string().max(32768),
});
export const conditions = z
  .array(condition)
  .max(16)
  .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] });
