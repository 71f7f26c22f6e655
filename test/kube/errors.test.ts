import { describe, expect, it } from 'vitest';
import { errorOfStatus, errorOfThrown, handlingOf, parseRetryAfter } from '../../src/kube/errors.ts';
import { statusBody } from './fake-api.ts';

describe('an answer that is no success becomes a code', () => {
  it.each([
    [404, 'NotFound', 'NotFound', 'Wait'],
    [409, 'AlreadyExists', 'AlreadyExists', 'Retry'],
    [409, 'Conflict', 'Conflict', 'Retry'],
    [422, 'Invalid', 'Invalid', 'Stop'],
    [400, 'BadRequest', 'BadRequest', 'Stop'],
    [403, 'Forbidden', 'Forbidden', 'Wait'],
    [401, 'Unauthorized', 'Unauthorized', 'Wait'],
    [410, 'Expired', 'Gone', 'Retry'],
    [429, 'TooManyRequests', 'TooManyRequests', 'Retry'],
    [503, 'ServiceUnavailable', 'Unavailable', 'Retry'],
    [504, 'Timeout', 'Timeout', 'Retry'],
    [500, 'InternalError', 'ServerError', 'Retry'],
    [415, 'UnsupportedMediaType', 'BadRequest', 'Stop'],
  ])('%i %s is %s and handled by %s', (status, reason, code, handling) => {
    const error = errorOfStatus(statusBody(status, reason), status);
    expect(error).toMatchObject({ code, status });
    expect(handlingOf(error)).toBe(handling);
  });

  it('keeps the causes of the server by field', () => {
    const causes = [{ field: 'spec.n', reason: 'FieldValueInvalid', message: 'must be at least 0' }];
    expect(errorOfStatus(statusBody(422, 'Invalid', 'x', { causes }), 422).causes).toEqual(causes);
  });

  it('takes the HTTP status where a proxy answered with a page', () => {
    expect(errorOfStatus('<html>bad gateway</html>', 502)).toMatchObject({ code: 'Unavailable', status: 502 });
    expect(errorOfStatus(undefined, 404)).toMatchObject({ code: 'NotFound', message: 'HTTP 404' });
  });

  it('knows Expired inside a stream without its number', () => {
    expect(errorOfStatus({ kind: 'Status', reason: 'Expired' }, 500).code).toBe('Gone');
  });

  it('reads when to come back from the header, else from the Status', () => {
    const body = statusBody(429, 'TooManyRequests', 'x', { retryAfterSeconds: 7 });
    expect(errorOfStatus(body, 429).retryAfterMs).toBe(7_000);
    expect(errorOfStatus(body, 429, 2_000).retryAfterMs).toBe(2_000);
    expect(parseRetryAfter('3', 0)).toBe(3_000);
    expect(parseRetryAfter('Thu, 01 Jan 1970 00:00:09 GMT', 4_000)).toBe(5_000);
    expect(parseRetryAfter('soon', 0)).toBeUndefined();
  });

  it('cuts a message that has no end', () => {
    expect(errorOfStatus(statusBody(500, 'x', 'm'.repeat(9_999)), 500).message.length).toBeLessThan(1_100);
  });
});

describe('what a socket threw becomes a code', () => {
  const thrown = (code: string, more: object = {}): Error => Object.assign(new Error('x'), { code, ...more });
  it.each([
    ['ECONNREFUSED', 'ConnectionRefused'],
    ['ECONNRESET', 'ConnectionLost'],
    ['UND_ERR_SOCKET', 'ConnectionLost'],
    ['EPIPE', 'ConnectionLost'],
    ['ENOTFOUND', 'Unreachable'],
    ['EHOSTUNREACH', 'Unreachable'],
    ['UND_ERR_CONNECT_TIMEOUT', 'Unreachable'],
    ['UND_ERR_HEADERS_TIMEOUT', 'Timeout'],
    ['CERT_HAS_EXPIRED', 'TlsFailed'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'TlsFailed'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'TlsFailed'],
    ['HPE_INVALID_CONSTANT', 'BadResponse'],
    ['SOMETHING_NEW', 'ConnectionLost'],
  ])('%s is %s', (code, expected) => expect(errorOfThrown(thrown(code)).code).toBe(expected));

  it('looks into the cause and into the addresses that Node tried', () => {
    expect(errorOfThrown(thrown('UND_ERR', { cause: thrown('ECONNREFUSED') })).code).toBe('ConnectionRefused');
    const both = new AggregateError([thrown('ECONNREFUSED'), thrown('ENETUNREACH')]);
    expect(errorOfThrown(both).code).toBe('ConnectionRefused');
  });
});
