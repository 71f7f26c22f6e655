/**
 * `auditconfig logs FILE`: what each event of an audit log says, as answers to seven questions. It streams: memory does
 * not grow with the log. A line that is no event is reported with its number, the rest is still read, and the exit code
 * is 1. Refused: guessing what a broken line might have said.
 */
import { InvalidArgumentError } from 'commander';
import { LEVELS, STAGES } from '../api/audit.ts';
import { answersOf } from '../analysis/answers.ts';
import { parseAuditEvent } from '../analysis/events.ts';
import type { AuditEvent } from '../analysis/events.ts';
import { didYouMean } from '../policy/suggest.ts';
import { answersText } from './answers-text.ts';
import { writeAll } from './fd-writer.ts';
import { LineCutter, openLog } from './log-lines.ts';
import type { LogLine } from './log-lines.ts';
import { choice, command, runCommand } from './parse.ts';
import { whyNotRead } from './policy-input.ts';
import type { CommandModule, CommandResult, Io } from './types.ts';

const OUTPUTS = ['text', 'json', 'wide'] as const;
type Output = (typeof OUTPUTS)[number];
type Options = { readonly output: Output; readonly stage?: readonly string[]; readonly level?: readonly string[] };

const EXAMPLES = `
Each event answers: when, what, on what, to where, observed where, from where, who. The user agent, all source
addresses but the last, and an audit ID that the client sent are the client's claim.

Examples:
  auditconfig logs /var/log/kube-audit/audit.log
  auditconfig logs --stage ResponseComplete --level Request -o wide audit-2026-11-21T08-00-00.000.log.gz
  kubectl logs -n kube-system kube-apiserver-node-1 | grep '^{"kind":"Event"' | auditconfig logs - -o json

A log at level Request or above holds what was sent to the cluster: -o json and -o text show no bodies.
`;

/** Broken lines are counted in full; so many are told one by one. */
const TOLD = 100;

class Complaints {
  readonly #told: string[] = [];
  #count = 0;

  add(file: string, line: number, problem: { readonly code: string; readonly message: string }): void {
    this.#count += 1;
    if (this.#count <= TOLD) this.#told.push(`${file}:${line}: error: ${problem.message} [${problem.code}]`);
  }

  result(): CommandResult {
    if (this.#count === 0) return { code: 0 };
    const more = this.#count > TOLD ? [`${this.#count - TOLD} more lines could not be read`] : [];
    return { code: 1, stderr: `${[...this.#told, ...more].join('\n')}\n` };
  }
}

type Problem = { readonly code: string; readonly message: string };

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
function eventOf(line: LogLine): { readonly event: AuditEvent } | { readonly problem: Problem } | undefined {
  if ('tooLong' in line) return { problem: { code: 'LogLineTooLong', message: 'longer than any event can be' } };
  if (line.text.trim() === '') return undefined;
  const parsed = parseJson(line);
  return 'problem' in parsed ? parsed : parseAuditEvent(parsed.value);
}

const isWanted = (e: AuditEvent, o: Options): boolean =>
  (o.stage?.includes(e.stage) ?? true) && (o.level?.includes(e.level) ?? true);

function show(event: AuditEvent, place: { readonly file: string; readonly line: number }, output: Output): string {
  const answers = answersOf(event, place);
  return output === 'json' ? `${JSON.stringify(answers)}\n` : answersText(answers, output === 'wide');
}

/** What the lines say; their problems go to `complaints`. */
function render(lines: readonly LogLine[], file: string, options: Options, complaints: Complaints): string {
  let out = '';
  for (const line of lines) {
    const read = eventOf(line);
    if (read === undefined) continue;
    if ('problem' in read) complaints.add(file, line.number, read.problem);
    else if (isWanted(read.event, options)) out += show(read.event, { file, line: line.number }, options.output);
  }
  return out;
}

async function stream(path: string, options: Options, io: Io, complaints: Complaints): Promise<void> {
  const file = path === '-' ? '<stdin>' : path;
  const cutter = new LineCutter();
  const put = (lines: readonly LogLine[]): Promise<'Written' | 'ReaderGone'> =>
    writeAll(io.fds.stdout, render(lines, file, options, complaints), io.signal);
  for await (const chunk of openLog({ path, stdin: io.fds.stdin, signal: io.signal }))
    if ((await put(cutter.push(chunk))) === 'ReaderGone') return;
  await put(cutter.end());
}

async function logs(path: string, options: Options, io: Io): Promise<CommandResult> {
  const complaints = new Complaints();
  try {
    await stream(path, options, io, complaints);
  } catch (e) {
    if (!(e instanceof Error) || !('code' in e)) throw e;
    if (io.signal.aborted) return { ...complaints.result(), code: 1 };
    const before = complaints.result().stderr ?? '';
    return { code: 1, stderr: `${before}error: ${whyNotRead(path, e)}\n` };
  }
  return complaints.result();
}

/** Collects values of `known`; what merely resembles one is refused with it (`ResponseCompleted`: ResponseComplete). */
function oneOf<T extends string>(known: readonly T[]): (v: string, before?: readonly T[]) => readonly T[] {
  return (v, before = []) => {
    const found = known.find((k) => k === v);
    if (found !== undefined) return [...before, found];
    throw new InvalidArgumentError(`One of ${known.join(', ')}${didYouMean(v, known)}`);
  };
}

export const run: CommandModule['run'] = (args, io) => {
  const program = command('logs', 'answer the seven questions for each event of an audit log')
    .argument('<file>', "audit log, one event a line; gzipped too; '-' is standard input")
    .option('-o, --output <format>', 'text, json (one object a line) or wide', choice(OUTPUTS), 'text')
    .option('--stage <stage>', 'only events of this stage; may be repeated', oneOf(STAGES))
    .option('--level <level>', 'only events of this level; may be repeated', oneOf(LEVELS))
    .addHelpText('after', EXAMPLES);
  return runCommand(program, args, (p) => logs(p.args[0] ?? '-', p.opts<Options>(), io));
};
