/**
 * `auditconfig simulate LOG...`: what another policy would have written of a log that was recorded, or each of the presets;
 * what would no longer be there, and what the record cannot tell. It streams: memory does not grow with the log.
 */
import { stringify } from 'yaml';
import { Requests, Simulator } from '../analysis/simulate.ts';
import type { Amount, Simulation } from '../analysis/simulate.ts';
import { LEVELS, STAGES } from '../api/audit.ts';
import type { Level, Policy } from '../api/audit.ts';
import { PRESETS, PRESET_NAMES, presetPolicy } from '../policy/presets.ts';
import { requestOfEvent } from '../policy/request-event.ts';
import { isRequest } from '../policy/request.ts';
import { Complaints, fileName, logEvents, unreadLog } from './log-events.ts';
import type { LoggedEvent } from './log-events.ts';
import { choice, command, runCommand } from './parse.ts';
import { isResult, policyFrom, usage, versionOf } from './policy-input.ts';
import { table } from './table.ts';
import type { CommandModule, CommandResult, Io } from './types.ts';

const EXAMPLES = `
Without --policy and --preset all presets are compared. A log in several files is given in the order of time.

A simulation can only take away. Requests, stages and bodies that the policy of the record left out do not come back: what
can be told of them is counted as unknown, and bytes are then a lower bound. Record for a while with the preset metadata
to see all requests, or with all-request-bodies to know the bytes as well.

Examples:
  auditconfig simulate audit.log
  auditconfig simulate --preset balanced audit-2026-11-21T08-00-00.000.log.gz audit.log
  auditconfig simulate --policy audit-policy.yaml -o json audit.log | jq '.policies[0].lost[:5]'
  auditconfig render -f auditconfig.yaml -o policy | auditconfig simulate --policy - audit.log
`;

const OUTPUTS = ['table', 'json', 'yaml'] as const;
type Options = {
  readonly policy?: string;
  readonly preset?: string;
  readonly kubernetesVersion?: string;
  readonly output: (typeof OUTPUTS)[number];
};

type Candidate = { readonly name: string; readonly policy: Policy };

async function candidatesOf(o: Options, io: Io): Promise<readonly Candidate[] | CommandResult> {
  if (o.policy !== undefined && o.preset !== undefined) return usage('give either --policy or --preset');
  const version = versionOf(o.kubernetesVersion);
  if (isResult(version)) return version;
  if (o.policy !== undefined) {
    const file = await policyFrom(o.policy, version, io);
    return isResult(file) ? file : [{ name: fileName(o.policy), policy: file.policy }];
  }
  return PRESETS.filter((p) => o.preset === undefined || p.name === o.preset).map(({ name }) => ({
    name,
    policy: presetPolicy(name),
  }));
}

type Recording = Amount & {
  /** Of the first and the last event, RFC 3339. */
  readonly from?: string;
  readonly to?: string;
  /** The most that was recorded of a request. */
  readonly level: Level;
};

/** What was seen of the logs themselves. */
class Seen {
  #events = 0;
  #bytes = 0;
  #from: string | undefined;
  #to: string | undefined;
  #level = 0;

  add({ event, bytes }: LoggedEvent): void {
    this.#events += 1;
    this.#bytes += bytes;
    this.#level = Math.max(this.#level, LEVELS.indexOf(event.level));
    const at = event.staged ?? event.received;
    if (at === undefined) return;
    // All are written in UTC, with six digits.
    if (this.#from === undefined || at < this.#from) this.#from = at;
    if (this.#to === undefined || at > this.#to) this.#to = at;
  }

  result(): Recording {
    return {
      events: this.#events,
      bytes: this.#bytes,
      level: LEVELS[this.#level] ?? 'None',
      ...(this.#from === undefined || this.#to === undefined ? {} : { from: this.#from, to: this.#to }),
    };
  }
}

const bodyOf = (value: unknown, name: 'requestObject' | 'responseObject'): object => {
  const body = (value as Readonly<Record<string, unknown>>)[name] ?? undefined;
  return body === undefined ? {} : { [name]: body };
};

type Run = { readonly simulators: readonly Simulator[]; readonly seen: Seen; readonly complaints: Complaints };

async function readAll(
  paths: readonly string[],
  { simulators, seen, complaints }: Run,
  io: Io,
): Promise<CommandResult | undefined> {
  const requests = new Requests();
  for (const path of paths) {
    try {
      for await (const batch of logEvents(path, io, complaints))
        for (const logged of batch) {
          const { event, value, line, bytes } = logged;
          const request = requestOfEvent(value);
          if (!isRequest(request)) {
            complaints.add(fileName(path), line, request);
            continue;
          }
          seen.add(logged);
          const stages = requests.stagesAt(event);
          const recorded = {
            event,
            request,
            bytes,
            ...bodyOf(value, 'requestObject'),
            ...bodyOf(value, 'responseObject'),
          };
          for (const simulator of simulators) simulator.see(recorded, stages);
        }
    } catch (e) {
      return unreadLog(path, e, { complaints, io });
    }
  }
  return undefined;
}

type Report = {
  readonly recorded: Recording;
  readonly policies: readonly (Simulation & { readonly policy: string })[];
};

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;
function size(bytes: number): string {
  const unit = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  return `${unit === 0 ? bytes : (bytes / 1024 ** unit).toFixed(1)} ${UNITS[unit] ?? ''}`;
}
const count = (n: number): string => n.toLocaleString('en-US');
const events = (n: number): string => `${count(n)} event${n === 1 ? '' : 's'}`;
const share = (part: number, whole: number): string => (whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)}%`);

const DAY_MS = 86_400_000;
/** Below that a day cannot be told. */
const MIN_MS = 60_000;
function aDay(bytes: number, { from = '', to = '' }: Recording): string {
  const ms = Date.parse(to) - Date.parse(from);
  return ms >= MIN_MS ? `${size(Math.round((bytes * DAY_MS) / ms))} a day` : '-';
}

const unknownOf = ({ unknown: { bodies, managedFields, stages } }: Simulation): readonly string[] =>
  [
    ['events with a body that was not recorded', bodies] as const,
    ['events with managed fields that may not have been recorded', managedFields] as const,
    ...STAGES.map((stage) => [`events of stage ${stage} that were not recorded`, stages[stage] ?? 0] as const),
  ].flatMap(([what, n]) => (n === 0 ? [] : [`${what}: ${count(n)}`]));

const SHOWN = 20;

function headText({ recorded: r }: Report): string {
  const when = r.from === undefined ? '' : `, ${r.from} to ${r.to ?? ''}`;
  return `Recorded: ${events(r.events)}, ${size(r.bytes)}${when}, at most at level ${r.level}; ${aDay(r.bytes, r)}\n\n`;
}

function allText(report: Report): string {
  const rows = [...report.policies]
    .sort((a, b) => a.written.bytes - b.written.bytes)
    .map((p) => [
      ...[p.policy, count(p.written.events), size(p.written.bytes), share(p.written.bytes, report.recorded.bytes)],
      ...[aDay(p.written.bytes, report.recorded), unknownOf(p).length === 0 ? '-' : 'more than that'],
    ]);
  return headText(report) + table([['PRESET', 'EVENTS', 'BYTES', 'OF RECORDED', 'RATE', 'UNKNOWN'], ...rows]);
}

function oneText(report: Report, p: Report['policies'][number]): string {
  const { recorded } = report;
  const unknown = unknownOf(p);
  const atLeast = unknown.length === 0 ? '' : ' at least';
  const written = `${p.policy} would have written of it${atLeast}: ${events(p.written.events)}, ${size(p.written.bytes)} (${share(p.written.bytes, recorded.bytes)}); ${aDay(p.written.bytes, recorded)}\n`;
  const rules = p.rules.map((r) => [
    ...[r.rule === null ? 'no rule' : `rules[${r.rule}]`, r.level],
    ...[count(r.events), size(r.bytes), count(r.dropped)],
  ]);
  const lost = p.lost
    .slice(0, SHOWN)
    .map((l) => [l.verb, l.what, l.user, l.kept === 'None' ? 'nothing' : l.kept, count(l.events), size(l.bytes)]);
  const more = p.lost.length > SHOWN ? `... and ${count(p.lost.length - SHOWN)} more kinds (-o json has all)\n` : '';
  return [
    headText(report),
    written,
    `\n${table([['RULE', 'LEVEL', 'EVENTS', 'BYTES', 'LEFT OUT'], ...rules])}`,
    lost.length === 0
      ? ''
      : `\nNo longer there, or with less:\n${table([['VERB', 'WHAT', 'WHO', 'REMAINS', 'EVENTS', 'BYTES'], ...lost])}${more}`,
    unknown.length === 0
      ? ''
      : `\nUnknown, since the record has nothing of it:\n${unknown.map((u) => `  ${u}\n`).join('')}`,
  ].join('');
}

function shown(report: Report, output: Options['output']): string {
  const [only, ...others] = report.policies;
  switch (output) {
    case 'json':
      return `${JSON.stringify(report, null, 2)}\n`;
    case 'yaml':
      return stringify(report, { lineWidth: 0 });
    case 'table':
      return only === undefined || others.length > 0 ? allText(report) : oneText(report, only);
  }
}

async function simulate(paths: readonly string[], o: Options, io: Io): Promise<CommandResult> {
  if (paths.includes('-') && (o.policy === '-' || paths.length > 1))
    return usage('standard input can be one log, or the policy, and nothing besides');
  const candidates = await candidatesOf(o, io);
  if (isResult(candidates)) return candidates;
  const run = {
    simulators: candidates.map((c) => new Simulator(c.policy)),
    seen: new Seen(),
    complaints: new Complaints(),
  };
  const unread = await readAll(paths, run, io);
  if (unread !== undefined) return unread;
  const policies = candidates.map((c, i) => ({ policy: c.name, ...(run.simulators[i] as Simulator).result() }));
  return { ...run.complaints.result(), stdout: shown({ recorded: run.seen.result(), policies }, o.output) };
}

export const run: CommandModule['run'] = (args, io) => {
  const program = command('simulate', 'what another policy would have written of a log that was recorded')
    .argument('<log...>', "audit logs, one event a line; gzipped too; '-' is standard input")
    .option('--policy <file>', "the other policy; '-' is standard input")
    .option('--preset <name>', 'one of the presets instead', choice(PRESET_NAMES))
    .option('--kubernetes-version <version>', 'version whose rules apply (1.26 to 1.36, which is the default)')
    .option('-o, --output <format>', 'table, json or yaml', choice(OUTPUTS), 'table')
    .addHelpText('after', EXAMPLES);
  return runCommand(program, args, (p) => simulate(p.args, p.opts<Options>(), io));
};
