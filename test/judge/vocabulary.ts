/**
 * The words that generated policies and requests are made of. Small on purpose: a request hits a rule only where both
 * drew the same word. Strings of this room are "binary strings", one character a byte, so that broken UTF-8 can be
 * written and edited like anything else; `utf8` makes one.
 */
import { Buffer } from 'node:buffer';

export type Binary = string;
export const utf8 = (s: string): Binary => Buffer.from(s, 'utf8').toString('latin1');
export const bytesOf = (s: Binary): Uint8Array => new Uint8Array(Buffer.from(s, 'latin1'));
export const binaryOf = (bytes: Uint8Array): Binary => Buffer.from(bytes).toString('latin1');

export const LEVEL_WORDS = ['None', 'Metadata', 'Request', 'RequestResponse'];
export const STAGE_WORDS = ['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic'];
export const VERBS = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection', '*', 'GET'];
export const GROUPS = ['', 'apps', 'batch', 'rbac.authorization.k8s.io', 'extensions', 'coordination.k8s.io'];
export const RESOURCES = ['pods', 'secrets', 'configmaps', 'deployments', 'endpoints', 'events', 'leases', 'nodes'];
export const SUBRESOURCES = ['log', 'exec', 'status', 'scale', 'token'];
/** What people write into `resources`, the meaningless included. */
export const PATTERNS = [
  ...RESOURCES,
  ...['*', 'pods/*', 'pods/log', '*/status', '*/scale', '*/*', '*/', 'pods/', '/log', 'po*', '/*', '/', '', 'pods/a/b'],
  ...['*/a/b', 'PODS', 'pods ', '**', 'deployments/*', 'pods/*/x', '*/*/status'],
];
export const NAMES = ['controller-leader', 'etcd-0', 'a', 'x', ''];
export const NAMESPACES = ['', 'kube-system', 'default', 'ns-1', 'Kube-System'];
export const USERS = [
  'alice',
  'system:kube-proxy',
  'system:serviceaccount:kube-system:x',
  'system:anonymous',
  '',
  'ünï',
];
export const USER_GROUPS = ['system:authenticated', 'system:unauthenticated', 'system:nodes', 'system:masters', ''];
export const PATHS = ['/healthz', '/healthz/etcd', '/version', '/api', '/apis/apps', '/', '/metrics', '/a b', '/ü'];
/** What people write into `nonResourceURLs`, the refused included. */
export const URL_PATTERNS = [
  ...['/healthz', '/healthz*', '/healthz/*', '/version', '/api*', '/*', '*', '/', '/metrics', '/apis/*', '/ü*'],
];
export const BAD_URL_PATTERNS = ['healthz', '', '/a*b', '**', '/**', '*/x', '/a*/', '\u00fc*', '/\u00fc'];
export const BAD_GROUPS = [
  ...['Apps', 'apps/v1', 'a_b', '-a', 'a-', 'a..b', '.', ' ', 'a b', 'ü', '*.k8s.io', '**'],
  ...['a'.repeat(253), 'a'.repeat(254), `${'a'.repeat(64)}.b`, '1', '1.2.3', 'a.'],
];
export const BAD_STAGES = ['ResponseCompleted', 'requestReceived', 'panic', '', 'RequestReceived '];
export const BAD_LEVELS = ['metadata', 'Meta', '', 'RequestReponse', 'Request ', 'NONE', 'All'];

/** Every field of a policy, and names that are nearly one. */
export const FIELDS = [
  ...['apiVersion', 'kind', 'metadata', 'rules', 'omitStages', 'omitManagedFields', 'level', 'users', 'userGroups'],
  ...['verbs', 'resources', 'namespaces', 'nonResourceURLs', 'group', 'resourceNames', 'name', 'labels'],
];
export const NEAR_FIELDS = [
  ...['verb', 'Level', 'user', 'nonResourceUrls', 'resource', 'omitstages', 'kInd', 'ApiVersion', 'Rules', 'RULES'],
  ...['namespace', 'groups', 'spec', 'status', 'annotations', 'creationTimestamp', 'on', 'yes', 'null', '1', '1.5'],
  ...['foo', '<<', '=', '~', '', '.inf', '.nan', '0x10', 'a.b', 'a[0]', 'managedFields', 'finalizers', 'uid'],
];
/** Plain scalars on which YAML readers disagree. */
export const ODD_SCALARS = [
  ...['y', 'n', 'yes', 'No', 'ON', 'off', 'true', 'True', 'TRUE', 'tRue', 'false', '~', 'null', 'Null', 'NULL', ''],
  ...[
    '0',
    '1',
    '-1',
    '+1',
    '0o7',
    '07',
    '08',
    '1_000',
    '_1',
    '1_',
    '0x1F',
    '0X1F',
    '0b1',
    '-0b1',
    '+0b1',
    '0b2',
    '1e3',
  ],
  ...[
    '.5',
    '1.',
    '.',
    '-.5',
    '+.5',
    '1e400',
    '1e',
    '.inf',
    '-.inf',
    '+.Inf',
    '.INF',
    '.nan',
    '.NaN',
    '1:30',
    '190:20:30',
  ],
  ...['2020-01-01', '2020-01-01T00:00:00Z', '2020-1-1 0:0:0', '2001-12-14t21:59:43.10-05:00', '12:30:45', '1.2.3'],
  ...['=', '<<', '1,000', '9223372036854775807', '9223372036854775808', '18446744073709551615', '18446744073709551616'],
  ...['-9223372036854775808', '-9223372036854775809', '0x8000000000000000', '-0x8000000000000001', '-0', '0.0', '1e0'],
  ...[
    '0x',
    '0b',
    '-',
    '--',
    '---',
    '...',
    '?',
    ':',
    '- a',
    '? a',
    ': a',
    'a: b',
    'a:b',
    'a #b',
    'a#b',
    '#a',
    '&a',
    '*a',
  ],
  ...[
    '!a',
    '!!str',
    '|',
    '>',
    "'",
    '"',
    '%a',
    '@a',
    '`a',
    '{',
    '}',
    '[',
    ']',
    ',',
    '{}',
    '[]',
    '{a: b}',
    '[a]',
    '[a: b]',
  ],
  ...[
    "''",
    '""',
    "'a'",
    '"a"',
    "'a''b'",
    '"a\\nb"',
    '"\\x41"',
    '"\\q"',
    '"a',
    "'a",
    '1e5',
    '123456789012345678901234567890',
  ],
  ...['0777', '0o777', '0_7', '1__0', '0x_1', '1e+3', '1E3', '1.5e-3', '0.1e1_0', '1._5', 'nan', 'inf', 'Infinity'],
];
/** Pieces of YAML syntax, for insertion and for soup. */
export const TOKENS: readonly Binary[] = [
  ...['- ', ': ', '? ', ', ', '[', ']', '{', '}', '&a ', '*a', '*b', '! ', '!!str ', '!!map ', '!!seq ', '!!binary '],
  ...[
    '!!int ',
    '!!float ',
    '!!bool ',
    '!!null ',
    '!!timestamp ',
    '!!merge ',
    '!e!x ',
    '!<tag:yaml.org,2002:str> ',
    '!<',
    '!x ',
  ],
  ...[
    '!!',
    '!%41 ',
    '!!%73tr ',
    '!a!b!c ',
    '<<: *a',
    '<<: ',
    '|',
    '>',
    '|-',
    '>+',
    '|2',
    '>9-',
    '|+1',
    '|0',
    '|10',
    '# c',
    ' #',
    '#',
  ],
  ...[
    '---',
    '--- ',
    '...',
    '\n---\n',
    '\n...\n',
    '%YAML 1.1\n',
    '%YAML 1.2\n',
    '%TAG ! !x\n',
    '%TAG !e! tag:e,1:\n',
    '%FOO b\n',
    '%',
  ],
  ...[
    '"',
    "'",
    '""',
    "''",
    '"\\',
    '\\',
    '\n',
    '\n\n',
    '\r\n',
    '\r',
    '\t',
    ' ',
    '  ',
    '\n  ',
    '\n    ',
    '\n- ',
    '\n  - ',
    '-\n',
    ':\n',
  ],
  ...['\0', '\x01', '\x7f', '\x1b', '\x07'],
  ...[
    '\u0085',
    '\u2028',
    '\u2029',
    '\u00a0',
    '\ufeff',
    '\u00e9',
    '\u{1f600}',
    '\ufffe',
    '\ud7ff',
    '\ue000',
    '\u0080',
  ].map(utf8),
  ...[
    '\xff',
    '\xc0\x80',
    '\xed\xa0\x80',
    '\xf4\x90\x80\x80',
    '\xe2\x82',
    '\x80',
    '\xfe\xff',
    '\xff\xfe',
    '\xf8\x88\x80\x80\x80',
  ],
  ...[
    '"\\x41"',
    '"\\u00e9"',
    '"\\U0001F600"',
    '"\\ud800"',
    '"\\uD83D\\uDE00"',
    '"\\U00110000"',
    '"\\0\\a\\b\\t\\n\\v\\f\\r\\e"',
  ],
  ...[
    '"\\N\\_\\L\\P\\ \\\\\\""',
    '"\\/"',
    '"\\x4"',
    '"\\u12"',
    '"a\\\n  b"',
    '"\\\r\n"',
    '"a\n\n  b"',
    "'a\n\n  b'",
    'a\n  b',
    '@',
    '`',
  ],
];
