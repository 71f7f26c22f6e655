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

type Lines = { readonly lines: readonly number[]; readonly why: string };

/** Blocks by the line they begin on. A new module version moves them: then this list is written anew. */
const UNREACHABLE: Readonly<Record<string, readonly Lines[]>> = {
  [`${YAML}/apic.go`]: [{ lines: [57], why: 'an input set twice is a bug of the caller' }],
  [`${YAML}/readerc.go`]: [
    { lines: [28, 81, 117, 142], why: 'reading from memory does not fail' },
    { lines: [92, 216, 338], why: 'panics and defaults for states that do not exist' },
  ],
  [`${YAML}/scannerc.go`]: [
    { lines: [517], why: 'the reader has refused what is no character' },
    { lines: [669, 1029, 1053, 1077], why: 'unroll_indent does not fail' },
    { lines: [1147], why: 'decrease_flow_level does not fail' },
    { lines: [1299], why: 'needs 10,000 nested lines, each indented further: 50 MB' },
  ],
  [`${YAML}/parserc.go`]: [
    { lines: [67], why: 'nobody asks again after the end or an error' },
    { lines: [103, 206, 207, 210], why: 'only the first document is read' },
    { lines: [115, 118, 166], why: 'states that are never set' },
    { lines: [179], why: 'the scanner begins with the stream' },
    { lines: [221, 1060], why: 'the default tag directives do not clash' },
    { lines: [1021], why: 'the caller has looked at this token' },
  ],
  [`${YAML}/resolve.go`]: [
    { lines: [98, 155, 174, 187], why: 'int is 64 bits wide here' },
    { lines: [171, 172, 179, 184, 185], why: 'Go reads 0b itself before this is asked' },
    { lines: [192], why: 'a panic for a row of the table that does not exist' },
  ],
  [`${YAML}/decode.go`]: [
    { lines: [46, 157, 375], why: 'panics for what does not exist' },
    { lines: [88, 91], why: 'the parser gives events in order' },
    { lines: [120, 129], why: 'every error has a problem, and its place is not above its context' },
    { lines: [304, 305, 308, 312, 365], why: 'the target is an empty interface: no pointer, no Unmarshaler' },
    { lines: [339], why: 'needs 4 million nodes' },
    { lines: [387], why: 'a document has one child' },
    {
      lines: [
        ...[
          428, 435, 444, 446, 448, 454, 455, 458, 462, 463, 467, 472, 485, 487, 488, 492, 493, 497, 498, 502, 503, 507,
        ],
        ...[
          508, 510, 516, 518, 519, 523, 524, 528, 529, 533, 534, 539, 541, 545, 547, 550, 553, 556, 560, 561, 565, 566,
          574,
        ],
        ...[590, 592, 593, 600, 625, 627, 636, 638, 641, 644, 657],
      ],
      why: 'the target is an empty interface, never a typed value',
    },
  ],
  [`${YAML}/yaml.go`]: [{ lines: [248], why: 'passes on panics that are bugs' }],
  'sigs.k8s.io/yaml/yaml.go': [
    {
      lines: [
        ...[
          188, 192, 194, 256, 258, 263, 265, 270, 274, 279, 282, 284, 289, 292, 310, 312, 332, 337, 339, 341, 343, 345,
        ],
        ...[346, 348, 352],
      ],
      why: 'YAMLToJSON has no target type',
    },
    { lines: [221], why: 'int is 64 bits wide here' },
  ],
  'sigs.k8s.io/json/json.go': [{ lines: [108, 112, 114, 116, 118, 122], why: 'all strict options are always on' }],
  [`${JSON_DECODER}/decode.go`]: [
    { lines: [107], why: 'encoding/json has refused this syntax before' },
    {
      lines: [176, 386, 609, 748, 757, 831, 889, 914, 983, 1034, 1070],
      why: 'panics and errors for bugs of the caller',
    },
    {
      lines: [1030, 1066, 1067, 1295, 1312, 1354, 1358, 1387, 1406],
      why: 'encoding/json has refused this syntax before',
    },
    {
      lines: [478, 480, 498, 545, 546, 553, 651, 1020, 1021, 1023, 1057, 1058, 1060, 1084, 1086, 1090, 1094],
      why: 'no field of these types is an interface',
    },
    {
      lines: [510, 536, 642, 962, 963, 964, 968, 970, 972, 975, 978, 979, 980, 985, 860, 862, 865],
      why: 'no field reads its own text',
    },
    { lines: [592, 594, 615, 616], why: 'no field is an array of fixed length' },
    { lines: [672, 673, 871, 874, 878, 880, 883, 887], why: 'maps here have string keys' },
    { lines: [711, 714, 715, 718, 720], why: 'no struct here has more than 64 fields' },
    { lines: [779], why: 'names are compared exactly' },
    { lines: [792, 793, 799, 807, 809], why: 'no embedded pointers' },
    {
      lines: [836, 838, 839, 842, 843, 846, 952, 994, 1007, 1013, 1031, 1053, 1074, 1080],
      why: 'no field has the string option',
    },
    { lines: [1044, 1046, 1050, 1104, 1106, 1110, 1112, 1114, 1118], why: 'no field is bytes, unsigned or a float' },
    { lines: [282], why: 'only errors of readers of their own JSON have a field already' },
  ],
  [`${SERIALIZER}/json/json.go`]: [
    { lines: [153], why: 'LoadPolicyFromBytes gives no default kind' },
    { lines: [157, 168, 170, 177, 179, 185, 188, 189, 287], why: 'the target is a Policy, a registered type' },
    { lines: [196], why: 'the kind defaults to that of the target' },
    { lines: [270], why: 'lenient decoding comes after strict decoding that read the same values' },
  ],
  [`${SERIALIZER}/recognizer/recognizer.go`]: [
    { lines: [91, 103, 124], why: 'each decoder here recognizes data without an error, and YAML always tries' },
  ],
  [`${SERIALIZER}/versioning/versioning.go`]: [
    {
      lines: [133, 149, 150, 151, 154, 186, 190, 191, 194],
      why: 'the target is a Policy, which nests no other object',
    },
  ],
  'k8s.io/apimachinery/pkg/api/validation/generic.go': [{ lines: [44], why: 'groups are no prefixes' }],
  'k8s.io/apimachinery/pkg/util/validation/validation.go': [{ lines: [431, 436], why: 'exactly one example is given' }],
  'k8s.io/apiserver/pkg/audit/policy/reader.go': [
    { lines: [78], why: 'strict decoding has read the same values before' },
  ],
  'k8s.io/apiserver/pkg/audit/policy/checker.go': [{ lines: [234], why: 'the fake for tests' }],
};

type Place = {
  readonly file: string;
  readonly function: string;
  readonly from: number;
  readonly to: number;
  readonly reached: boolean;
};

function lists(place: Place): boolean {
  const functions = RELEVANT[place.file];
  if (functions === undefined) return false;
  if ('all' in functions) return functions.but?.includes(place.function) !== true;
  return functions.includes(place.function);
}

export type Standing = 'Counts' | 'Unreachable' | 'Setup' | 'Elsewhere';

/** How a block counts. `Unreachable` and `Elsewhere` may not be reached, or this file is wrong. */
export function standingOf(place: Place): Standing {
  if (lists(place)) {
    const excluded = UNREACHABLE[place.file]?.some((u) => u.lines.includes(place.from)) === true;
    // A reached block of one line is the condition whose body is meant.
    return excluded && !(place.reached && place.from === place.to) ? 'Unreachable' : 'Counts';
  }
  const setUp = SETUP[place.file]?.includes(place.function) === true || MACHINERY.includes(place.file);
  return setUp ? 'Setup' : 'Elsewhere';
}

export const isCovered = (file: string): boolean =>
  COVERED.some((p) => file.startsWith(`${p}/`) && !file.slice(p.length + 1).includes('/'));
