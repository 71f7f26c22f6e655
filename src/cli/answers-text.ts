/**
 * The seven answers for people. What the client only claims is called a claim. Everything in a log comes from outside, and
 * is shown so that it cannot draw on a terminal. Used by `logs`.
 */
import type { Answers } from '../analysis/answers.ts';
import type { ObjectRef } from '../analysis/events.ts';
import { printable } from './printable.ts';

function objectText(o: ObjectRef): string {
  const kind = [o.resource, o.subresource].filter((s) => s !== '').join('/');
  const version = [o.group, o.version].filter((s) => s !== '').join('/');
  const name = [o.namespace, o.name].filter((s) => s !== '').join('/');
  return [`${kind}${version === '' ? '' : ` (${version})`}`, name].filter((s) => s !== '').join(' ');
}

function whenText({ when }: Answers): string {
  const took = when.tookMilliseconds === undefined ? '' : `, this stage ${when.tookMilliseconds} ms later`;
  return `${when.received ?? 'not said'}${took}`;
}

function whatText({ what }: Answers): string {
  const outcome = [what.code, what.reason].filter((s) => s !== undefined).join(' ');
  const bodies = what.bodies.length === 0 ? '' : `, with the body of the ${what.bodies.join(' and ')}`;
  return [
    what.verb + (outcome === '' ? '' : `, answered ${outcome}`),
    what.decision === undefined ? '' : ` (${what.decision})`,
    `, logged at ${what.level}${bodies}`,
    what.truncated ? ', truncated: it was too large' : '',
  ].join('');
}

function fromText({ fromWhere: { address, claimed } }: Answers): string {
  const claims = [
    ...(claimed.addresses.length === 0 ? [] : [`forwarded for ${claimed.addresses.join(', ')}`]),
    ...(claimed.userAgent === undefined ? [] : [claimed.userAgent]),
  ];
  return `${address ?? 'not said'}${claims.length === 0 ? '' : `; the client claims: ${claims.join('; ')}`}`;
}

function whoText({ who }: Answers): string {
  const user = who.user ?? 'nobody who could be authenticated';
  return who.actingAs === undefined ? user : `${user}, acting as ${who.actingAs.username}`;
}

/** The seven questions in their order, and the answers. */
function rows(a: Answers): [string, string][] {
  return [
    ['when', whenText(a)],
    ['what', whatText(a)],
    ['on what', 'object' in a.onWhat ? objectText(a.onWhat.object) : a.onWhat.path],
    ['to where', a.toWhere.uri],
    ['observed where', `the kube-apiserver that wrote ${a.observedWhere.file}, at stage ${a.observedWhere.stage}`],
    ['from where', fromText(a)],
    ['who', whoText(a)],
  ];
}

function wideRows(a: Answers): [string, string][] {
  const acting = a.who.actingAs;
  return [
    ['groups', a.who.groups.join(', ')],
    ...(acting === undefined ? [] : [['acting in groups', acting.groups.join(', ')] as [string, string]]),
    ['observed at', a.when.observed ?? 'not said'],
    ['audit ID', a.observedWhere.auditID],
    ...Object.entries(a.annotations).map(([k, v]): [string, string] => [`annotation ${k}`, v]),
  ];
}

/** A block of lines for one event, ending in a blank line. */
export function answersText(a: Answers, wide: boolean): string {
  const all = wide ? [...rows(a), ...wideRows(a)] : rows(a);
  const lines = all.map(([q, answer]) => `  ${`${q}: `.padEnd(16)}${printable(answer)}`);
  return `${printable(a.observedWhere.file)}:${a.observedWhere.line}\n${lines.join('\n')}\n\n`;
}
