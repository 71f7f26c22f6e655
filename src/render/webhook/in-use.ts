/**
 * Which cluster and which user of a kubeconfig a kube-apiserver would take, and whether their fields are ones that may
 * reach it. Source: k8s.io/client-go tools/clientcmd (api/v1/conversion.go, client_config.go). Called by ../webhook.ts.
 */
import type { Position } from '../../api/findings.ts';
import { suggest } from '../../policy/suggest.ts';
import { decodeBase64 } from '../../yaml/base64.ts';
import { placeOf, textOf, treeOf } from './tree.ts';
import type { Tree } from './tree.ts';

/** Reports a finding of severity error; `message` ends the sentence "the webhook's kubeconfig: ". */
export type Fail = (code: string, message: string, at: Position) => void;
export type InUse = { readonly cluster: Tree; readonly user: Tree };
type Type = 'string' | 'boolean' | 'base64';
export type Known = Readonly<Record<string, Type>>;

/** Fields of a cluster and a user that are rendered; others of the ones in use are refused by name. */
export const CLUSTER: Known = {
  server: 'string',
  'tls-server-name': 'string',
  'insecure-skip-tls-verify': 'boolean',
  'certificate-authority-data': 'base64',
  'proxy-url': 'string',
  'disable-compression': 'boolean',
};
export const USER: Known = {
  'client-certificate-data': 'base64',
  'client-key-data': 'base64',
  token: 'string',
  username: 'string',
  password: 'string',
};
/** Fields of a user that name files; only in what was rendered here, and only our own files. */
export const FILE_FIELDS = ['client-certificate', 'client-key', 'tokenFile'] as const;

/** Why a known field of a kubeconfig is not accepted here. */
const REFUSED: Readonly<Record<string, string>> = {
  exec: 'would run a program beside the API server: use a token or a client certificate',
  'auth-provider': 'would run a plugin in the API server: use a token or a client certificate',
  tokenFile: 'names a file of the host: use token',
  'certificate-authority': 'names a file of the host: use certificate-authority-data',
  'client-certificate': 'names a file of the host: use client-certificate-data',
  'client-key': 'names a file of the host: use client-key-data',
};

/** The cluster and the user of the current context. An absent user is fine, as client-go has it: no credentials. */
export function inUse(config: Tree, fail: Fail): InUse | undefined {
  const invalid = (message: string, at: Position): undefined => {
    fail('WebhookInvalid', message, at);
    return undefined;
  };
  const isOf = (key: string, want: string): boolean => {
    const value = config.fields.get(key)?.value;
    return (value?.kind ?? 'null') === 'null' || (value?.kind === 'string' && ['', want].includes(value.value));
  };
  if (!isOf('apiVersion', 'v1') || !isOf('kind', 'Config'))
    return invalid('must be of apiVersion v1, kind Config', placeOf(config, 'kind'));
  const current = textOf(config, 'current-context');
  if (current === '')
    return invalid('current-context must name one of its contexts', placeOf(config, 'current-context'));
  const context = named(config, 'contexts', 'context', current);
  if (typeof context === 'string')
    return invalid(`current-context names a context that ${context}`, placeOf(config, 'current-context'));
  const cluster = named(config, 'clusters', 'cluster', textOf(context, 'cluster'));
  if (typeof cluster === 'string')
    return invalid(`its current context names a cluster that ${cluster}`, placeOf(context, 'cluster'));
  const userOf = context.fields.get('user')?.value.kind ?? 'null';
  if (userOf !== 'string' && userOf !== 'null')
    return invalid('the user of its current context must be a string', placeOf(context, 'user'));
  const name = textOf(context, 'user');
  if (name === '') return { cluster, user: { at: context.at, fields: new Map() } };
  const user = named(config, 'users', 'user', name);
  return typeof user === 'string'
    ? invalid(`its current context names a user that ${user}`, placeOf(context, 'user'))
    : { cluster, user };
}

/** The entry of that name, or what is wrong with it. */
function named(config: Tree, list: string, field: string, name: string): Tree | string {
  const entries = config.fields.get(list)?.value;
  const trees = entries?.kind === 'array' ? entries.items.flatMap((e) => treeOf(e) ?? []) : [];
  const [entry, ...more] = trees.filter((e) => e.fields.has('name') && textOf(e, 'name') === name);
  if (entry === undefined || name === '') return 'is not there';
  if (more.length > 0) return 'is there twice';
  const value = entry.fields.get(field)?.value;
  const tree = value === undefined ? { at: entry.at, fields: new Map() } : treeOf(value);
  return tree ?? 'is not a map';
}

/** Every field is one that is rendered, and of its type. `allowed` are file fields that the caller has resolved. */
export function checkFields(tree: Tree, known: Known, allowed: readonly string[], fail: Fail): void {
  for (const [key, { value, at }] of tree.fields) {
    if (value.kind === 'null' || key === 'extensions' || allowed.includes(key)) continue;
    const type = Object.hasOwn(known, key) ? known[key] : undefined;
    const refused = Object.hasOwn(REFUSED, key) ? REFUSED[key] : undefined;
    if (refused !== undefined) {
      if (value.kind !== 'string' || value.value !== '') fail('WebhookRefused', `${key} ${refused}`, at);
    } else if (type === undefined) fail('WebhookInvalid', `${printable(key, known)} has no meaning for a webhook`, at);
    else if (type === 'boolean' ? value.kind !== 'bool' : value.kind !== 'string')
      fail('WebhookInvalid', `${key} must be a ${type === 'boolean' ? 'boolean' : 'string'}`, at);
    else if (type === 'base64' && decodeBase64(textOf(tree, key)) === undefined)
      fail('WebhookInvalid', `${key} is not base64`, at);
  }
}

/** Fields of a kubeconfig that mean something to kubectl alone. */
const OF_KUBECTL = ['as', 'as-uid', 'as-groups', 'as-user-extra'];

/** Only a name that is known, or nearly one, is repeated: a password that stands where a field does is any other word. */
const printable = (key: string, known: Known): string =>
  OF_KUBECTL.includes(key) || suggest(key, [...Object.keys(known), ...Object.keys(REFUSED)]) !== undefined
    ? key
    : 'a field';
