/**
 * The events of audit logs for whoever reads them as a stream: what is no event is complained of by its line, and the rest is
 * still read. Refused: guessing what a broken line might have said. Used by `logs` and `simulate`.
 */
import { parseAuditEvent } from '../analysis/events.ts';
import type { AuditEvent } from '../analysis/events.ts';
import { LineCutter, openLog } from './log-lines.ts';
import type { LogLine } from './log-lines.ts';
import { whyNotRead } from './policy-input.ts';
import type { CommandResult, Io } from './types.ts';

export type Problem = { readonly code: string; readonly message: string };

/** Broken lines are counted in full; so many are told one by one. */
const TOLD = 100;

export class Complaints {
  readonly #told: string[] = [];
  #count = 0;

  add(file: string, line: number, problem: Problem): void {
    this.#count += 1;
    if (this.#count <= TOLD) this.#told.push(`${file}:${line}: error: ${problem.message} [${problem.code}]`);
  }

  result(): CommandResult {
    if (this.#count === 0) return { code: 0 };
    const more = this.#count > TOLD ? [`${this.#count - TOLD} more lines could not be read`] : [];
    return { code: 1, stderr: `${[...this.#told, ...more].join('\n')}\n` };
  }
}

/** The event of a line, and the fields that it was read from. */
export type LoggedEvent = {
  readonly event: AuditEvent;
  readonly value: unknown;
  readonly line: number;
  readonly bytes: number;
};

function parseJson(
  line: LogLine & { readonly text: string },
): { readonly value: unknown } | { readonly problem: Problem } {
  try {
    return { value: JSON.parse(line.text) };
  } catch {
    if (!line.ended)
      return { problem: { code: 'LogLineTorn', message: 'the last line is torn: its writer stopped or still writes' } };
    return { problem: { code: 'LogLineNotJson', message: 'not JSON: no event, or one that was torn' } };
  }
}

/** Undefined for a blank line. */
function eventOf(line: LogLine): LoggedEvent | { readonly problem: Problem } | undefined {
  if ('tooLong' in line) return { problem: { code: 'LogLineTooLong', message: 'longer than any event can be' } };
  if (line.text.trim() === '') return undefined;
  const parsed = parseJson(line);
  if ('problem' in parsed) return parsed;
  const read = parseAuditEvent(parsed.value);
  if ('problem' in read) return read;
  return { event: read.event, value: parsed.value, line: line.number, bytes: Buffer.byteLength(line.text) + 1 };
}

function eventsOf(lines: readonly LogLine[], file: string, complaints: Complaints): readonly LoggedEvent[] {
  const events: LoggedEvent[] = [];
  for (const line of lines) {
    const read = eventOf(line);
    if (read === undefined) continue;
    if ('problem' in read) complaints.add(file, line.number, read.problem);
    else events.push(read);
  }
  return events;
}

/** As messages name it. */
export const fileName = (path: string): string => (path === '-' ? '<stdin>' : path);

/** Batches of events of one log, plain or gzipped. Throws NodeJS.ErrnoException (see `unreadLog`). */
export async function* logEvents(path: string, io: Io, complaints: Complaints): AsyncGenerator<readonly LoggedEvent[]> {
  const cutter = new LineCutter();
  for await (const chunk of openLog({ path, stdin: io.fds.stdin, signal: io.signal }))
    yield eventsOf(cutter.push(chunk), fileName(path), complaints);
  yield eventsOf(cutter.end(), fileName(path), complaints);
}

/** The end of a command whose log could not be read to its end; throws what is no such error. */
export function unreadLog(
  path: string,
  e: unknown,
  { complaints, io }: { complaints: Complaints; io: Io },
): CommandResult {
  if (!(e instanceof Error) || !('code' in e)) throw e;
  if (io.signal.aborted) return { ...complaints.result(), code: 1 };
  const before = complaints.result().stderr ?? '';
  return { code: 1, stderr: `${before}error: ${whyNotRead(path, e)}\n` };
}
