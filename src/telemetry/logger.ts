/**
 * The one logger: JSON lines by pino. Handed in as an argument, never imported as a singleton. Secrets do not get into
 * logs by accident: fields of known names are censored, and errors are reduced to name, message, code and stack.
 */
import { pino } from 'pino';
import type { DestinationStream, Logger as PinoLogger } from 'pino';

/** What the rooms need of a logger; tests hand in a recording one. */
export type Logger = {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Logger;
};

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const SECRET_FIELDS = [
  'authorization',
  'Authorization',
  'token',
  'password',
  'data',
  'stringData',
  'caData',
  'certData',
  'keyData',
  'kubeconfig',
  'env',
];

/** Fields censored at the top, one level down (`req.headers` too). Deeper objects do not belong into a log line. */
const REDACT = SECRET_FIELDS.flatMap((f) => [f, `*.${f}`, `*.*.${f}`]);

export type LoggerOptions = {
  readonly level: LogLevel;
  /** Which command logs: `controller`, `agent`, `guard`. */
  readonly name: string;
  /** Default: standard error, written synchronously (pino's worker transports break in bundles, and a crash loses nothing). */
  readonly destination?: DestinationStream;
};

export function createLogger(options: LoggerOptions): Logger {
  const logger: PinoLogger = pino(
    {
      name: options.name,
      level: options.level,
      redact: { paths: REDACT, censor: '[secret]' },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: pino.stdSerializers.errWithCause },
    },
    options.destination ?? pino.destination({ fd: 2, sync: true }),
  );
  return logger;
}

/** For commands and tests that log nothing. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};
