/**
 * Everything that can go wrong between us and an API server, as a small closed set of codes, each of which says how it
 * is handled. Errors are values; messages are the server's own words, cut short, and never hold credentials.
 */
import { isRecord } from './types.ts';

export type ErrorCode =
  | 'NotFound'
  | 'AlreadyExists'
  | 'Conflict'
  | 'Invalid'
  | 'BadRequest'
  | 'Forbidden'
  | 'Unauthorized'
  | 'Gone'
  | 'TooManyRequests'
  | 'Unavailable'
  | 'ServerError'
  | 'ConnectionRefused'
  | 'ConnectionLost'
  | 'Unreachable'
  | 'TlsFailed'
  | 'CredentialsFailed'
  | 'Timeout'
  | 'Cancelled'
  | 'BadResponse';

/** One `details.causes` entry of a Status: which field, why. */
export type Cause = { readonly field: string; readonly reason: string; readonly message: string };

export type KubeError = {
  readonly code: ErrorCode;
  readonly message: string;
  /** HTTP status, where there was an answer. */
  readonly status?: number;
  readonly causes: readonly Cause[];
  /** What the server asked for, by header or in the Status. */
  readonly retryAfterMs?: number;
};

export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: KubeError };

export const ok = <T>(value: T): Result<T> => ({ ok: true, value });
export const fail = (
  code: ErrorCode,
  message: string,
  more: Partial<KubeError> = {},
): { readonly ok: false; readonly error: KubeError } => ({
  ok: false,
  error: { causes: [], ...more, code, message },
});

/**
 * Retry: look at the world again and repeat, with backoff (and after `retryAfterMs`). Wait: somebody or something else
 * must change first (the server comes back, a right is granted): try rarely, or when told. Stop: the same request will
 * never succeed.
 */
export type Handling = 'Retry' | 'Wait' | 'Stop';

const HANDLING: Readonly<Record<ErrorCode, Handling>> = {
  Conflict: 'Retry',
  AlreadyExists: 'Retry',
  Gone: 'Retry',
  TooManyRequests: 'Retry',
  Unavailable: 'Retry',
  ServerError: 'Retry',
  ConnectionLost: 'Retry',
  Timeout: 'Retry',
  BadResponse: 'Retry',
  ConnectionRefused: 'Wait',
  Unreachable: 'Wait',
  NotFound: 'Wait',
  Forbidden: 'Wait',
  Unauthorized: 'Wait',
  TlsFailed: 'Wait',
  CredentialsFailed: 'Wait',
  Invalid: 'Stop',
  BadRequest: 'Stop',
  Cancelled: 'Stop',
};

export const handlingOf = (error: KubeError): Handling => HANDLING[error.code];

/** A JSON patch of which a `test` failed is an Invalid without causes; what a schema refuses has them. */
export const isFailedTest = (error: KubeError): boolean => error.code === 'Invalid' && error.causes.length === 0;

/** Failures that say nothing about the request, only that the server may be away or going. */
export const isConnectionError = (error: KubeError): boolean =>
  error.code === 'ConnectionRefused' || error.code === 'ConnectionLost' || error.code === 'Unreachable';

const MAX_MESSAGE = 1024;
const cut = (s: string): string => (s.length > MAX_MESSAGE ? `${s.slice(0, MAX_MESSAGE)}...` : s);

function codeOfStatus(status: number, reason: string): ErrorCode {
  switch (status) {
    case 401:
      return 'Unauthorized';
    case 403:
      return 'Forbidden';
    case 404:
      return 'NotFound';
    case 408:
    case 504:
      return 'Timeout';
    case 409:
      return reason === 'AlreadyExists' ? 'AlreadyExists' : 'Conflict';
    case 410:
      return 'Gone';
    case 422:
      return 'Invalid';
    case 429:
      return 'TooManyRequests';
    case 502:
    case 503:
      return 'Unavailable';
    default:
      return status >= 500 ? 'ServerError' : 'BadRequest';
  }
}

function causesOf(details: unknown): Cause[] {
  if (!isRecord(details) || !Array.isArray(details['causes'])) return [];
  const text = (v: unknown): string => (typeof v === 'string' ? cut(v) : '');
  return details['causes']
    .filter(isRecord)
    .map((c) => ({ field: text(c['field']), reason: text(c['reason']), message: text(c['message']) }));
}

/** Seconds or an HTTP date (RFC 9110, 10.2.3) to milliseconds from `now`. */
export function parseRetryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined || header.trim() === '') return undefined;
  if (/^\d+$/.test(header.trim())) return Number(header.trim()) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

/**
 * A `Status` object (the body of a failed request, or the object of an ERROR event inside a watch) as an error.
 * `fallback` is the HTTP status where the body is no Status, as from proxies and from a server that is just starting.
 */
export function errorOfStatus(body: unknown, fallback: number, retryAfterMs?: number): KubeError {
  const isStatus = isRecord(body) && body['kind'] === 'Status';
  const status = isStatus && typeof body['code'] === 'number' ? body['code'] : fallback;
  const reason = isStatus && typeof body['reason'] === 'string' ? body['reason'] : '';
  const said = isStatus && typeof body['message'] === 'string' ? body['message'] : typeof body === 'string' ? body : '';
  const details = isStatus ? body['details'] : undefined;
  const seconds = isRecord(details) ? details['retryAfterSeconds'] : undefined;
  const after = retryAfterMs ?? (typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : undefined);
  return {
    // An in-stream Expired may come without the code.
    code: reason === 'Expired' || reason === 'Gone' ? 'Gone' : codeOfStatus(status, reason),
    message: cut(said.trim() === '' ? `HTTP ${status}` : said.trim()),
    status,
    causes: causesOf(details),
    ...(after === undefined ? {} : { retryAfterMs: after }),
  };
}

const UNREACHABLE = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN']);
const TIMEOUTS = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'ETIMEDOUT']);
const LOST = new Set([
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'UND_ERR_SOCKET',
  'UND_ERR_DESTROYED',
  'UND_ERR_CLOSED',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
]);
const TLS = /^(ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA)/;

function codesIn(thrown: unknown): string[] {
  if (!isRecord(thrown)) return [];
  const own = typeof thrown['code'] === 'string' ? [thrown['code']] : [];
  const inner = Array.isArray(thrown['errors']) ? thrown['errors'].flatMap(codesIn) : [];
  return [...own, ...inner, ...codesIn(thrown['cause'])];
}

/** What a socket, TLS or HTTP client threw, as an error. Node tries several addresses: the first known code counts. */
export function errorOfThrown(thrown: unknown): KubeError {
  const message = cut(thrown instanceof Error ? thrown.message : String(thrown));
  const codes = codesIn(thrown);
  const error = (code: ErrorCode): KubeError => ({ code, message: message || code, causes: [] });
  for (const c of codes) {
    if (c === 'ECONNREFUSED') return error('ConnectionRefused');
    if (c === 'UND_ERR_CONNECT_TIMEOUT' || UNREACHABLE.has(c)) return error('Unreachable');
    if (TIMEOUTS.has(c)) return error('Timeout');
    if (LOST.has(c)) return error('ConnectionLost');
    if (TLS.test(c)) return error('TlsFailed');
    if (c.startsWith('HPE_')) return error('BadResponse');
    if (c === 'UND_ERR_ABORTED' || c === 'ABORT_ERR') return error('Cancelled');
  }
  return thrown instanceof Error && thrown.name === 'AbortError' ? error('Cancelled') : error('ConnectionLost');
}
