/**
 * What of the API server's code counts in the coverage of the differential run: what LoadPolicyFromBytes and
 * EvaluatePolicyRule run through between the bytes and the decision, in the module versions that go.mod pins. Three
 * lists: the functions that count; what runs only while codecs are set up, whatever the policy; and lines within
 * counted functions that no policy can reach, each with its reason. Everything else in these packages (emitters,
 * encoders, writers, stream readers, other validations) is not called on that path: a function that is reached after
 * all and on no list fails the run, and so does an excluded line that is reached.
 *
 * Not counted: Go's own encoding/json, which reads apiVersion and kind first (it is in the standard library), and the
 * scanner of sigs.k8s.io/json, which then sees only what encoding/json has accepted.
 */

const YAML = 'go.yaml.in/yaml/v2';
const JSON_DECODER = 'sigs.k8s.io/json/internal/golang/encoding/json';
const SERIALIZER = 'k8s.io/apimachinery/pkg/runtime/serializer';

/** Packages built with counters. */
export const COVERED: readonly string[] = [
  YAML,
  'sigs.k8s.io/yaml',
  'sigs.k8s.io/json',
  JSON_DECODER,
  `${SERIALIZER}/json`,
  `${SERIALIZER}/recognizer`,
  `${SERIALIZER}/versioning`,
  'k8s.io/apimachinery/pkg/api/validation',
  'k8s.io/apimachinery/pkg/util/validation',
  'k8s.io/apiserver/pkg/apis/audit/validation',
  'k8s.io/apiserver/pkg/audit/policy',
];

type Functions = { readonly all: true; readonly but?: readonly string[] } | readonly string[];

const RELEVANT: Readonly<Record<string, Functions>> = {
  [`${YAML}/readerc.go`]: { all: true },
  // Unused in the module: cache (inlined everywhere), yaml_parser_scan (the parser fetches), trace (for its authors).
  [`${YAML}/scannerc.go`]: { all: true, but: ['cache', 'yaml_parser_scan', 'trace'] },
  [`${YAML}/parserc.go`]: { all: true },
  [`${YAML}/yamlprivateh.go`]: { all: true, but: ['is_ascii', 'is_printable', 'is_spacez'] }, // the emitter's; unused
  // longTag and encodeBase64 are the encoder's.
  [`${YAML}/resolve.go`]: { all: true, but: ['init', 'longTag', 'encodeBase64'] },
  [`${YAML}/decode.go`]: {
    all: true,
    // The target is always an empty interface: never a reader, an Unmarshaler, a typed map, a struct or a MapSlice,
    // and so there is no type that a value does not fit.
    but: ['newParserFromReader', 'callUnmarshaler', 'resetMap', 'mappingStruct', 'mappingSlice', 'terror', 'init'],
  },
  [`${YAML}/yaml.go`]: ['Unmarshal', 'UnmarshalStrict', 'unmarshal', 'handleErr', 'failf', 'Error'],
  [`${YAML}/apic.go`]: [
    ...['yaml_insert_token', 'yaml_parser_initialize', 'yaml_parser_delete', 'yaml_string_read_handler'],
    ...['yaml_parser_set_input_string', 'yaml_event_delete'],
  ],
  'sigs.k8s.io/yaml/yaml.go': ['YAMLToJSON', 'YAMLToJSONStrict', 'yamlToJSONTarget', 'convertToJSONableObject'],
  'sigs.k8s.io/json/json.go': ['UnmarshalCaseSensitivePreserveInts', 'UnmarshalStrict'],
  [`${JSON_DECODER}/decode.go`]: [
    ...['Unmarshal', 'unmarshal', 'value', 'indirect', 'array', 'object', 'literalStore', 'getu4', 'unquoteBytes'],
    ...['addErrorContext', 'skip', 'saveError', 'Error'],
  ],
  [`${JSON_DECODER}/kubernetes_patch.go`]: [
    ...['newFieldError', 'saveStrictError', 'appendStrictFieldStackKey', 'appendStrictFieldStackIndex'],
  ],
  [`${SERIALIZER}/json/json.go`]: ['gvkWithDefaults', 'Decode', 'unmarshal', 'RecognizesData'],
  [`${SERIALIZER}/json/meta.go`]: ['Interpret'],
  [`${SERIALIZER}/recognizer/recognizer.go`]: ['Decode'],
  [`${SERIALIZER}/versioning/versioning.go`]: ['Decode'],
  'k8s.io/apimachinery/pkg/api/validation/generic.go': ['NameIsDNSSubdomain'],
  'k8s.io/apimachinery/pkg/util/validation/validation.go': ['IsDNS1123Subdomain', 'MaxLenError', 'RegexError'],
  'k8s.io/apiserver/pkg/apis/audit/validation/validation.go': { all: true },
  'k8s.io/apiserver/pkg/audit/policy/reader.go': ['LoadPolicyFromBytes'],
  'k8s.io/apiserver/pkg/audit/policy/checker.go': [
    ...['NewPolicyRuleEvaluator', 'unionStages', 'EvaluatePolicyRule', 'isOmitManagedFields', 'ruleMatches'],
    ...['ruleMatchesNonResource', 'pathMatches', 'ruleMatchesResource', 'hasString'],
  ],
};

/** Reached, but not by what a policy says: codecs and tables that are made once, and texts of errors. */
const SETUP: Readonly<Record<string, readonly string[]>> = {
  [`${YAML}/resolve.go`]: ['init'],
  [`${YAML}/decode.go`]: ['init'],
  [`${SERIALIZER}/json/json.go`]: ['NewSerializerWithOptions', 'identifier'],
  [`${SERIALIZER}/recognizer/recognizer.go`]: ['NewDecoder'],
  [`${SERIALIZER}/versioning/versioning.go`]: ['NewCodec', 'NewDefaultingCodecForScheme', 'identifier'],
  [`${SERIALIZER}/json/collections.go`]: [],
  'k8s.io/apiserver/pkg/audit/policy/reader.go': ['init', 'LoadPolicyFromFile'],
  'k8s.io/apiserver/pkg/audit/policy/util.go': [],
};
/** The JSON decoder's machinery: tables of Go types, made once a type, and its scanner (see above). */
const MACHINERY: readonly string[] = [
  ...[
    'decode.go',
    'encode.go',
    'fold.go',
    'indent.go',
    'kubernetes_patch.go',
    'scanner.go',
    'tags.go',
    'tables.go',
  ].map((f) => `${JSON_DECODER}/${f}`),
];

type Lines = { readonly lines: readonly (number | readonly [number, number])[]; readonly why: string };

/** Blocks by the line they begin on (or a range of such lines). */
const UNREACHABLE: Readonly<Record<string, readonly Lines[]>> = {};

type Place = { readonly file: string; readonly function: string; readonly from: number };

function lists(place: Place): boolean {
  const functions = RELEVANT[place.file];
  if (functions === undefined) return false;
  if ('all' in functions) return functions.but?.includes(place.function) !== true;
  return functions.includes(place.function);
}

const within = (line: number, lines: Lines['lines']): boolean =>
  lines.some((l) => (typeof l === 'number' ? l === line : l[0] <= line && line <= l[1]));

export type Standing = 'Counts' | 'Unreachable' | 'Setup' | 'Elsewhere';

/** How a block counts. `Unreachable` and `Elsewhere` may not be reached, or this file is wrong. */
export function standingOf(place: Place): Standing {
  if (lists(place)) {
    const excluded = UNREACHABLE[place.file]?.some((u) => within(place.from, u.lines)) === true;
    return excluded ? 'Unreachable' : 'Counts';
  }
  const setUp = SETUP[place.file]?.includes(place.function) === true || MACHINERY.includes(place.file);
  return setUp ? 'Setup' : 'Elsewhere';
}

export const isCovered = (file: string): boolean =>
  COVERED.some((p) => file.startsWith(`${p}/`) && !file.slice(p.length + 1).includes('/'));
