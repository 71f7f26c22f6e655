/** Request lines in the shape of a SubjectAccessReview spec: what is read, and what is refused under which code. */
import { describe, expect, it } from 'vitest';
import { isRequest, parseRequestLine } from '../../src/policy/request.ts';
import { nonResource, resource } from './make.ts';

const attributes = { verb: 'get', group: '', version: 'v1', resource: 'pods', namespace: 'default' };
const who = { user: 'alice', groups: ['system:authenticated'] };

describe('a request line', () => {
  it('for a resource is read whole', () => {
    const line = { ...who, resourceAttributes: { ...attributes, subresource: 'log', name: 'x' } };
    expect(parseRequestLine(line)).toEqual(resource({ subresource: 'log', name: 'x' }));
  });

  it('for a URL is read whole', () => {
    expect(parseRequestLine({ ...who, nonResourceAttributes: { path: '/x', verb: 'get' } })).toEqual(nonResource('/x'));
  });

  it('has empty strings where fields are absent or null', () => {
    const r = parseRequestLine({ resourceAttributes: { verb: 'list', resource: 'nodes', name: null } });
    expect(r).toMatchObject({ kind: 'Resource', groups: [], namespace: '', name: '', group: '' });
  });

  it('without a user, or with null, has no user; with an empty one it has', () => {
    expect(parseRequestLine({ resourceAttributes: attributes })).not.toHaveProperty('user');
    expect(parseRequestLine({ user: null, resourceAttributes: attributes })).not.toHaveProperty('user');
    expect(parseRequestLine({ user: '', resourceAttributes: attributes })).toHaveProperty('user', '');
  });

  it('may hold what else a SubjectAccessReview has', () => {
    const line = { ...who, uid: '1', extra: { a: ['b'] }, resourceAttributes: { ...attributes, labelSelector: {} } };
    expect(isRequest(parseRequestLine(line))).toBe(true);
  });

  it('has U+FFFD for half of a surrogate pair, as in Go', () => {
    const line: unknown = JSON.parse('{"user":"a\\ud800","resourceAttributes":{}}');
    expect(parseRequestLine(line)).toHaveProperty('user', 'a\ufffd');
  });

  it.each([
    ['a list', [], 'RequestWrongType', ''],
    ['a string', 'x', 'RequestWrongType', ''],
    ['null', null, 'RequestWrongType', ''],
    ['nothing in it', {}, 'RequestWithoutAttributes', ''],
    ['both attributes', { resourceAttributes: {}, nonResourceAttributes: {} }, 'RequestWithBothAttributes', ''],
    ['a number as user', { user: 1, resourceAttributes: {} }, 'RequestWrongType', 'user'],
    ['a string as groups', { groups: 'x', resourceAttributes: {} }, 'RequestWrongType', 'groups'],
    ['a number in groups', { groups: ['a', 1], resourceAttributes: {} }, 'RequestWrongType', 'groups[1]'],
    ['attributes that are a list', { resourceAttributes: [] }, 'RequestWrongType', 'resourceAttributes'],
    ['a number as name', { resourceAttributes: { name: 1 } }, 'RequestWrongType', 'resourceAttributes.name'],
    ['a misspelled field', { group: ['a'], resourceAttributes: {} }, 'RequestUnknownField', 'group'],
    ['a misspelled attribute', { resourceAttributes: { ns: 'x' } }, 'RequestUnknownField', 'resourceAttributes.ns'],
  ])('with %s is refused', (_, line, code, path) => {
    expect(parseRequestLine(line)).toMatchObject({ severity: 'error', code, path });
  });
});
