/**
 * Ten thousand malformed and hostile AuditConfigs and Secrets through everything that decides (decode, validate, merge,
 * render, decide, what is said of it): nothing throws, each has a reason, and nothing of a Secret is in status, events,
 * findings, or in what is published for everybody to read. hostile.plane.test.ts gives some hundreds to a real API server.
 */
import { describe, expect, it } from 'vitest';
import { auditConfigStatus } from '../../src/api/auditconfig.ts';
import { notesOf } from '../../src/controllers/notes.ts';
import { toBundle } from '../../src/render/bundle/write.ts';
import { datacenterNotes } from '../../src/controllers/datacenter-notes.ts';
import { decideDatacenter } from '../../src/rollout/datacenter.ts';
import { decide } from '../../src/rollout/decide.ts';
import { referenceKey } from '../../src/rollout/facts.ts';
import { decideHosted } from '../../src/rollout/hosted/hosted.ts';
import { HostedWorld } from '../rollout/hosted-world.ts';
import { World } from '../rollout/world.ts';
import { CANARY, TRACES, hostile, leaksIn, referencesOf } from './generate.ts';
import type { Hostile } from './generate.ts';
import type { Facts } from '../../src/rollout/facts.ts';

const CASES = 10_000;

function factsOf(h: Hostile): Facts {
  const w = new World(['a']);
  w.finalizer = true;
  return { ...w.facts(), object: h.object, references: referencesOf(h) };
}

type Seen = { readonly reason: string; readonly leaks: readonly string[]; readonly status: unknown };

function judged(seed: number): Seen {
  const facts = factsOf(hostile(seed));
  const decision = decide(facts);
  const { status, publish, assign } = decision;
  const verdict = status?.conditions?.find((c) => c.type === 'Accepted');
  const open = publish === undefined ? [] : toBundle(publish, 'b').filter((o) => o.kind === 'ConfigMap');
  const said = [status, notesOf(facts.status, decision), open, assign];
  return {
    reason: verdict?.message === '' ? '' : (verdict?.reason ?? ''),
    leaks: leaksIn(JSON.stringify(said)),
    status,
  };
}

const specOf = ({ object }: Hostile): Readonly<Record<string, unknown>> => {
  const spec = (object as { spec?: unknown } | null | undefined)?.spec;
  return typeof spec === 'object' && spec !== null && !Array.isArray(spec) ? (spec as Record<string, unknown>) : {};
};

/** The same as a tenant writes it, beside whose API server what is published is for his namespace to read. */
function judgedHosted(seed: number): Seen {
  const h = hostile(seed);
  const w = new HostedWorld();
  w.finalizer = true;
  const facts = w.facts();
  const object = facts.object as { readonly spec: { readonly target: unknown } };
  const decision = decideHosted({
    ...facts,
    object: { ...object, spec: { ...specOf(h), target: object.spec.target } },
    references: referencesOf(h),
  });
  const { status, publish, patch, egress } = decision;
  const verdict = status?.conditions?.find((c) => c.type === 'Accepted');
  const open = publish === undefined ? [] : toBundle(publish, 'b').filter((o) => o.kind === 'ConfigMap');
  return {
    reason: verdict?.message === '' ? '' : (verdict?.reason ?? ''),
    leaks: leaksIn(JSON.stringify([status, notesOf(facts.status, decision), open, patch, egress])),
    status,
  };
}

/** And as a datacenter enforces it; what it refers to is kept in a Secret, and named by digest elsewhere. */
function judgedDatacenter(seed: number): Pick<Seen, 'reason' | 'leaks'> {
  const h = hostile(seed);
  const { target: _target, ...layer } = specOf(h);
  const webhook = { ...(layer['webhook'] as object), secretRef: { name: 'webhook', namespace: 'op' } };
  const policy = { preset: 'minimal', secretRef: { name: 'policy', namespace: 'op' } };
  const references = referencesOf(h);
  const facts = {
    meta: { name: 'eu', generation: 1, deleting: false, hasFinalizer: true },
    object: {
      apiVersion: 'auditconfig.dev/v1alpha1',
      kind: 'DatacenterAuditConfig',
      metadata: { name: 'eu' },
      spec: { selector: {}, enforced: { ...layer, policy, webhook } },
    },
    status: {},
    members: [],
    references: new Map([
      [referenceKey('Secret', 'op', 'webhook'), references.webhook],
      [referenceKey('Secret', 'op', 'policy'), references.policy],
    ]),
    neighbours: [],
    versions: ['1.36' as const],
    now: 0,
  };
  const { status, publish, keep } = decideDatacenter(facts);
  const verdict = status?.conditions?.find((c) => c.type === 'Accepted');
  // What it says itself is its own to show, such as a value in `env`; what its Secrets hold is not.
  const said = [status, datacenterNotes({}, status), publish?.content.references, keep?.content.references];
  return { reason: verdict?.message === '' ? '' : (verdict?.reason ?? ''), leaks: leaksIn(JSON.stringify(said)) };
}

describe('ten thousand malformed and hostile AuditConfigs and Secrets', () => {
  it('crash nothing, leak nothing, and each has a reason', { timeout: 300_000 }, () => {
    const reasons = new Map<string, number>();
    const bad: string[] = [];
    for (let seed = 1; seed <= CASES; seed++) {
      let seen: Seen;
      try {
        seen = judged(seed);
      } catch (e) {
        bad.push(`${seed} threw ${e instanceof Error ? (e.stack ?? e.message) : String(e)}`);
        continue;
      }
      reasons.set(seen.reason, (reasons.get(seen.reason) ?? 0) + 1);
      if (seen.leaks.length > 0) bad.push(`${seed} leaks ${seen.leaks.join(' ')}: ${JSON.stringify(seen.status)}`);
      if (seen.reason === '') bad.push(`${seed} has no reason`);
      if (!auditConfigStatus.safeParse(seen.status ?? {}).success)
        bad.push(`${seed} has a status that the CRD refuses`);
    }
    expect(bad.slice(0, 5)).toEqual([]);
    // Not all are refused by the first check: else the others would not have been tried.
    for (const reason of ['Valid', 'InvalidSpec', 'InvalidPolicy', 'InvalidWebhook', 'InvalidSettings'])
      expect([reason, (reasons.get(reason) ?? 0) > CASES / 500]).toEqual([reason, true]);
  });

  it.each([
    ['a tenant writes them', judgedHosted, CASES / 4],
    ['a datacenter enforces them', judgedDatacenter, CASES / 4],
  ] as const)('do neither where %s', { timeout: 300_000 }, (_name, judge, cases) => {
    const reasons = new Map<string, number>();
    const bad: string[] = [];
    for (let seed = 1; seed <= cases; seed++) {
      try {
        const { reason, leaks } = judge(seed);
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
        if (leaks.length > 0) bad.push(`${seed} leaks ${leaks.join(' ')}`);
        if (reason === '') bad.push(`${seed} has no reason`);
      } catch (e) {
        bad.push(`${seed} threw ${e instanceof Error ? (e.stack ?? e.message) : String(e)}`);
      }
    }
    expect(bad.slice(0, 5)).toEqual([]);
    for (const reason of ['Valid', 'InvalidSpec', 'InvalidPolicy', 'InvalidWebhook'])
      expect([reason, (reasons.get(reason) ?? 0) > cases / 500]).toEqual([reason, true]);
  });

  it('a leak would be found, in base64 too', () => {
    for (const pad of ['', 'x', 'xx']) {
      expect(leaksIn(Buffer.from(`${pad}${CANARY}-token`).toString('base64'))).not.toEqual([]);
      expect(leaksIn(`a: ${pad}${CANARY}`)).toContain(CANARY);
    }
    expect(TRACES.every((t) => t.length >= 7)).toBe(true);
  });

  it('the same number makes the same case', () => {
    expect(JSON.stringify(hostile(7))).toBe(JSON.stringify(hostile(7)));
    expect(JSON.stringify(hostile(7))).not.toBe(JSON.stringify(hostile(8)));
  });
});
