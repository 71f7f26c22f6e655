/**
 * `auditconfig logs FILE`: what each event of an audit log says, as answers to seven questions. It streams: memory does
 * not grow with the log. A line that is no event is reported with its number, the rest is still read, and the exit code
 * is 1. Refused: guessing what a broken line might have said.
 */
import { InvalidArgumentError } from 'commander';
import { LEVELS, STAGES } from '../api/audit.ts';
import { answersOf } from '../analysis/answers.ts';
import type { AuditEvent } from '../analysis/events.ts';
import { didYouMean } from '../policy/suggest.ts';
import { answersText } from './answers-text.ts';
import { writeAll } from './fd-writer.ts';
import { Complaints, fileName, logEvents, unreadLog } from './log-events.ts';
import type { LoggedEvent } from './log-events.ts';
import { choice, command, runCommand } from './parse.ts';
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

const isWanted = (e: AuditEvent, o: Options): boolean =>
  (o.stage?.includes(e.stage) ?? true) && (o.level?.includes(e.level) ?? true);

function show(event: AuditEvent, place: { readonly file: string; readonly line: number }, output: Output): string {
  const answers = answersOf(event, place);
  return output === 'json' ? `${JSON.stringify(answers)}\n` : answersText(answers, output === 'wide');
}

const render = (events: readonly LoggedEvent[], file: string, options: Options): string =>
  events
    .filter(({ event }) => isWanted(event, options))
    .map(({ event, line }) => show(event, { file, line }, options.output))
    .join('');

async function logs(path: string, options: Options, io: Io): Promise<CommandResult> {
  const complaints = new Complaints();
  try {
    for await (const events of logEvents(path, io, complaints)) {
      const written = await writeAll(io.fds.stdout, render(events, fileName(path), options), io.signal);
      if (written === 'ReaderGone') break;
    }
  } catch (e) {
    return unreadLog(path, e, { complaints, io });
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
