/**
 * Users and groups as the API server compares them: whole strings, no wildcards. Service accounts are users with long
 * names and groups with nearly the same ones, which is where the mistakes are.
 */
import { aboutEach, quote, warning } from './types.ts';
import type { Remark, RuleCheck } from './types.ts';

const USER_PREFIX = 'system:serviceaccount:';
const GROUP_PREFIX = 'system:serviceaccounts';

/** Groups of every cluster; as user names they do not exist. */
const KNOWN_GROUPS = ['system:authenticated', 'system:unauthenticated', 'system:masters', 'system:nodes'];
const KNOWN_USERS = [
  'system:anonymous',
  'system:apiserver',
  'system:kube-proxy',
  'system:kube-scheduler',
  'system:kube-controller-manager',
];

/** What is wrong with a user that is meant to be a service account. */
function wrongServiceAccount(user: string): string | undefined {
  const right = `${USER_PREFIX}NAMESPACE:NAME`;
  const parts = user.split(':');
  if (user.startsWith(USER_PREFIX)) {
    const whole = parts.length === 4 && parts.every((p) => p !== '');
    return whole ? undefined : `a service account is the user ${quote(right)}`;
  }
  const [first, second, ...rest] = parts;
  if (user.startsWith(`${GROUP_PREFIX}:`) && parts.length === 4)
    return `a service account is the user ${quote(`${USER_PREFIX}${rest.join(':')}`)}, without the s`;
  if (/^service-?accounts?$/i.test(first ?? '') && parts.length === 3)
    return `a service account is the user ${quote(`${USER_PREFIX}${[second, ...rest].join(':')}`)}`;
  return undefined;
}

function aboutUser(user: string, at: string): Remark | undefined {
  if (user === '') return warning('NameEmpty', at, 'no user has an empty name');
  if (user.includes('*'))
    return warning('UserWildcard', at, `${quote(user)} is taken as it stands: users have no wildcards`);
  const wrong = wrongServiceAccount(user);
  if (wrong !== undefined) return warning('ServiceAccountMalformed', at, `${quote(user)} is no user: ${wrong}`);
  if (KNOWN_GROUPS.includes(user) || user === GROUP_PREFIX || user.startsWith(`${GROUP_PREFIX}:`))
    return warning('GroupAmongUsers', at, `${quote(user)} is a group: it belongs into userGroups`);
  return undefined;
}

function aboutGroup(group: string, at: string): Remark | undefined {
  if (group === '') return warning('NameEmpty', at, 'no group has an empty name');
  if (group.includes('*'))
    return warning('UserWildcard', at, `${quote(group)} is taken as it stands: groups have no wildcards`);
  if (group.startsWith(USER_PREFIX) || KNOWN_USERS.includes(group))
    return warning('UserAmongGroups', at, `${quote(group)} is a user: it belongs into users`);
  return undefined;
}

export const suspiciousUsers: RuleCheck = ({ rule, path }) => aboutEach(rule.users, `${path}.users`, aboutUser);
export const suspiciousGroups: RuleCheck = ({ rule, path }) =>
  aboutEach(rule.userGroups, `${path}.userGroups`, aboutGroup);
