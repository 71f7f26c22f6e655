/** What host targets keep beyond the contract of all (common.ts): files in order, guards, rollback, records, every byte. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyAll, bytesOf } from '../../../src/node/apply.ts';
import { batchTwin } from '../../../src/render/batch-twin.ts';
import {
  baseOf,
  DEFAULT_LAYOUT,
  isWithin,
  resolveFlags,
  revisionDir,
  sha256,
} from '../../../src/targets/host-layout.ts';
import { parseRecord, recordPath } from '../../../src/targets/record.ts';
import type { HostChange, HostPath } from '../../../src/targets/types.ts';
import { revision } from '../revisions.ts';
import { A, B, common, SECRET } from './common.ts';
import type { Place, Subject } from './common.ts';
import { Host } from './fixture.ts';
import type { Fixture } from './fixture.ts';

const pathOf = (c: HostChange): HostPath => ('path' in c ? c.path : c.unit);
const wanted = (of: typeof A): ReadonlyMap<string, string> =>
  new Map(resolveFlags(of, DEFAULT_LAYOUT).map((f) => [f.name, f.value]));
const policyOf = (of: typeof A): HostPath => `${DEFAULT_LAYOUT.revisionsDir}/${of.digest.slice(0, 16)}/policy.yaml`;

function placeOn<Spec>(h: Host<Spec>, { theirs }: Fixture<Spec>): Place {
  return {
    bring: (to) => h.bring(to),
    print: async (to) => JSON.stringify(await h.plan(to)),
    refusals: (to) => h.refusals(to),
    drift: (to) => h.drift(to),
    flags: () => h.flags(),
    snapshot: () => h.disk.snapshot(),
    lines: async () => (h.disk.text(await h.edited()) ?? '').split('\n'),
    theirs: () => h.edit(theirs.path, theirs.change),
    tamper: async () => h.edit(await h.edited(), (t) => t.replace('audit-log-maxage=30', 'audit-log-maxage=1')),
  };
}

function subjectOf<Spec>(fixture: Fixture<Spec>): Subject {
  const files = { bare: fixture.bare, byHand: fixture.byHand.files, nothing: { '/etc/hostname': 'x\n' } };
  return {
    name: fixture.name,
    place: (as) => placeOn(new Host(fixture, files[as]), fixture),
    wanted,
  };
}

/** Everything under our own folders. */
const isBook = (path: string): boolean => path.includes('/auditconfig/');

export function contract<Spec>(fixture: Fixture<Spec>): void {
  const host = (): Host<Spec> => new Host(fixture);
  common(subjectOf(fixture));

  describe(`${fixture.name}: detect`, () => {
    it('says where the API server answers and which audit flags it has', async () => {
      const h = host();
      const server = fixture.target.server(await h.see(null), fixture.spec);
      expect(server).toMatchObject({ address: { host: '127.0.0.1', port: 6443 } });
      expect(server?.auditFlags).toEqual(new Map());
      expect(server?.restart?.unit ?? null).toBe(fixture.unit);
    });

    it('finds nothing on another host, refuses to plan there, and has nothing to remove', async () => {
      const empty = new Host(fixture, { '/etc/hostname': 'x\n' });
      const seen = await empty.see(A);
      expect(fixture.target.server(seen, fixture.spec)).toBeNull();
      expect(fixture.target.edited(seen, fixture.spec)).toBeNull();
      expect((await empty.refusals(A)).length).toBeGreaterThan(0);
      expect(await empty.drift(null)).toEqual([]);
      expect((await empty.bring(null)).changes).toEqual([]);
    });
  });

  describe(`${fixture.name}: plan`, () => {
    it('writes the revision first, then the record, then the one file that counts, and restarts last', async () => {
      const h = host();
      const edited = await h.edited();
      const plan = await h.plan(A);
      if ('refused' in plan) throw new Error('refused');
      const at = (is: (c: HostChange) => boolean): number => plan.changes.findIndex(is);
      const policy = at((c) => pathOf(c) === policyOf(A));
      const record = at((c) => c.do === 'WriteFile' && pathOf(c).includes('/adopted/'));
      const edit = at((c) => c.do === 'WriteFile' && pathOf(c) === edited);
      expect(policy).toBeGreaterThanOrEqual(0);
      expect(record).toBeGreaterThan(policy);
      expect(edit).toBeGreaterThan(record);
      const restart = plan.changes.slice(edit + 1);
      expect(restart.map((c) => c.do)).toEqual(fixture.unit === null ? [] : ['RestartUnit']);
      expect(plan.restarts).toBe(true);
    });

    it('changes nothing itself, and guards each file by what was read', async () => {
      const h = host();
      const untouched = h.disk.snapshot();
      const plan = await h.plan(A);
      if ('refused' in plan) throw new Error('refused');
      expect(h.disk.snapshot()).toEqual(untouched);
      for (const c of plan.changes.filter((x) => x.do === 'WriteFile')) {
        const now = h.disk.live.get(c.path)?.bytes;
        expect(c.before).toBe(now === undefined ? null : sha256(now));
      }
    });

    it('holds no secret that a print of it would show', async () => {
      const text = JSON.stringify(await host().plan(SECRET));
      expect(text).not.toContain('hunter2');
      expect(text).toContain('[secret]');
    });
  });

  describe(`${fixture.name}: fall back`, () => {
    const BLOCKING = revision({
      webhook: '{"clusters":[{"cluster":{"server":"https://r:1/"}}]}',
      token: 'one',
      flags: { '--audit-webhook-mode': 'blocking' },
    });
    const twin = batchTwin(BLOCKING) ?? BLOCKING;

    it('is an edit of the same file, with a restart, that changes one flag and where the files lie', async () => {
      const h = host();
      const untouched = h.disk.snapshot();
      await h.bring(BLOCKING);
      const before = await h.flags();
      expect((await h.bring(twin)).restarts).toBe(true);
      const after = await h.flags();
      expect(after).toEqual(wanted(twin));
      const others = [...after].filter(([name, value]) => before.get(name) !== value).map(([name]) => name);
      expect(others).toEqual(['--audit-policy-file', '--audit-webhook-config-file', '--audit-webhook-mode']);
      expect(await h.drift(twin)).toEqual([]);
      expect((await h.bring(BLOCKING)).restarts).toBe(true);
      await h.bring(null);
      expect(h.disk.snapshot()).toEqual(untouched);
    });

    it('finds its files where they were prepared, each for the API server alone', async () => {
      const h = host();
      await h.bring(BLOCKING);
      const dir = revisionDir(twin.digest, DEFAULT_LAYOUT);
      const plan = await h.plan(twin);
      if ('refused' in plan) throw new Error('refused');
      const files = plan.changes.filter((c) => c.do !== 'RestartUnit' && isWithin(pathOf(c), dir));
      expect(files.flatMap((c) => (c.do === 'WriteFile' ? [baseOf(c.path)] : [])).sort()).toEqual([
        'policy.yaml',
        'token',
        'webhook.yaml',
      ]);
      expect(await applyAll(h.disk, files)).toBeNull();
      const modes = ['policy.yaml', 'token', 'webhook.yaml'].map((f) => h.disk.live.get(`${dir}/${f}`)?.mode);
      expect(modes).toEqual([0o600, 0o600, 0o600]);
      const rest = await h.bring(twin);
      expect(rest.changes.filter((c) => isWithin(pathOf(c), dir))).toEqual([]);
    });
  });

  describe(`${fixture.name}: roll back`, () => {
    it('takes one edit back, whatever somebody else has changed since', async () => {
      const h = host();
      const edited = await h.edited();
      await h.bring(A);
      const before = h.disk.text(edited);
      await h.bring(B);
      const after = h.disk.text(edited);
      h.edit(fixture.theirs.path, fixture.theirs.change);
      const current = h.disk.text(edited) ?? '';
      const back = fixture.target.revert(current, { before, after }, await h.see(null), fixture.spec);
      expect(back).toBe(edited === fixture.theirs.path ? fixture.theirs.change(before ?? '') : before);
      if (typeof back === 'string') h.disk.put(edited, back);
      expect(await h.flags()).toEqual(wanted(A));
    });
  });

  describe(`${fixture.name}: remove`, () => {
    it('gives back every byte', async () => {
      const h = host();
      const untouched = h.disk.snapshot();
      for (const to of [A, SECRET, B]) await h.bring(to);
      expect((await h.bring(null)).restarts).toBe(true);
      expect(h.disk.snapshot()).toEqual(untouched);
      expect(await h.drift(null)).toEqual([]);
      expect((await h.bring(null)).changes).toEqual([]);
    });

    it('keeps what somebody else changed meanwhile', async () => {
      const h = host();
      await h.bring(A);
      h.edit(fixture.theirs.path, fixture.theirs.change);
      await h.bring(B);
      await h.bring(null);
      expect(h.disk.text(fixture.theirs.path)).toBe(fixture.theirs.change(fixture.bare[fixture.theirs.path] ?? ''));
      expect(Object.keys(h.disk.snapshot()).filter(isBook)).toEqual([]);
    });

    it('keeps the logs', async () => {
      const h = host();
      await h.bring(A);
      h.disk.put('/var/log/kube-audit/audit.log', '{}\n');
      await h.bring(null);
      expect(h.disk.text('/var/log/kube-audit/audit.log')).toBe('{}\n');
    });

    it.each(['gone', 'broken'])('leaves nothing of ours behind where the record is %s', async (how) => {
      const h = host();
      await h.bring(A);
      for (const path of Object.keys(h.disk.snapshot()).filter((p) => /\/adopted\/.*json$/.test(p)))
        if (how === 'gone') h.disk.live.delete(path);
        else h.disk.put(path, '{"version":1');
      await h.bring(null);
      expect(await h.flags()).toEqual(new Map());
      expect(Object.keys(h.disk.snapshot()).filter((p) => p.includes('/revisions/'))).toEqual([]);
    });
  });

  describe(`${fixture.name}: adopt`, () => {
    const { files, is, flags } = fixture.byHand;

    it('leaves what was set up by hand as it is where it is right, restarts nothing, and remembers it', async () => {
      const h = new Host(fixture, files);
      const untouched = h.disk.snapshot();
      const plan = await h.bring(revision(is));
      expect(plan.restarts).toBe(false);
      expect(plan.findings.map((f) => `${f.code} ${f.path}`)).toEqual(flags.map((f) => `FlagAdopted ${f}`));
      const now = h.disk.snapshot();
      expect(Object.keys(untouched).filter((p) => now[p] !== untouched[p])).toEqual([]);
      expect(await h.drift(revision(is))).toEqual([]);
      expect((await h.bring(revision(is))).changes).toEqual([]);
      await h.bring(null);
      expect(h.disk.snapshot()).toEqual(untouched);
    });

    it('takes over what is not, records it, and gives it back at removal', async () => {
      const h = new Host(fixture, files);
      const untouched = h.disk.snapshot();
      const before = await h.flags();
      const to = revision({ ...is, flags: { ...is.flags, '--audit-log-maxage': '11' } });
      expect((await h.bring(to)).restarts).toBe(true);
      expect(await h.drift(to)).toEqual([]);
      const path = Object.keys(h.disk.snapshot()).find((p) => /\/adopted\/.*json$/.test(p)) ?? '';
      const record = parseRecord(h.disk.live.get(path)?.bytes ?? new Uint8Array());
      expect(new Map(record?.adopted.map((a) => [a.name, a.value]))).toEqual(before);
      expect(path.startsWith(recordPath('/x', DEFAULT_LAYOUT).replace(/\/[^/]*$/, ''))).toBe(true);
      await h.bring(null);
      expect(h.disk.snapshot()).toEqual(untouched);
    });
  });

  describe(`${fixture.name}: drift`, () => {
    it('names an edit of our flags and of the policy file, and puts both right', async () => {
      const h = host();
      await h.bring(A);
      const good = h.disk.snapshot();
      h.edit(await h.edited(), (t) => t.replace('audit-log-maxage=30', 'audit-log-maxage=1'));
      expect(await h.drift(A)).toEqual(['FlagDrift']);
      h.disk.put(policyOf(A), 'rules: []\n');
      expect(await h.drift(A)).toEqual(['FlagDrift', 'FileDrift']);
      await h.bring(A);
      expect(await h.drift(A)).toEqual([]);
      expect(h.disk.text(await h.edited())).toBe(good[await h.edited()]);
      expect(h.disk.text(policyOf(A))).toBe(good[policyOf(A)]);
      await h.bring(null);
      expect(await h.flags()).toEqual(new Map());
    });
  });

  describe(`${fixture.name}: a log with another program's lines`, () => {
    const LOG = '/var/log/kube-audit/audit.log';
    const OTHER_LOG = revision({ logDir: '/var/log/kube-audit/audit.log.d' });
    const LINES = 'type=DAEMON_START msg=audit(1763766000.123:1): op=start\n';

    it('is not taken where nothing says that it is ours', async () => {
      const h = host();
      h.disk.put(LOG, LINES);
      expect(await h.refusals(A)).toEqual(['LogTaken']);
    });

    it('keeps nobody’s removal of our flags from being put right, where we logged before', async () => {
      const h = host();
      const edited = await h.edited();
      const bare = h.disk.text(edited);
      await h.bring(A);
      if (bare === null) h.disk.live.delete(edited);
      else h.disk.put(edited, bare);
      h.disk.put(LOG, LINES);
      expect(await h.flags()).toEqual(new Map());
      await h.bring(A);
      expect(await h.flags()).toEqual(wanted(A));
      h.disk.put('/var/log/kube-audit/audit.log.d/audit.log', LINES);
      expect(await h.refusals(OTHER_LOG)).toEqual(['LogTaken']);
    });
  });

  describe(`${fixture.name}: as people lay hosts out`, () => {
    it('applies what it does not refuse, and removal gives back every byte', async () => {
      let applied = 0;
      await fc.assert(
        fc.asyncProperty(fixture.hosts, fc.boolean(), async (files, twice) => {
          const h = new Host(fixture, files);
          const untouched = h.disk.snapshot();
          const plan = await h.plan(A);
          if ('refused' in plan) {
            expect(plan.refused.every((f) => f.severity === 'error')).toBe(true);
            return;
          }
          applied++;
          await h.bring(A);
          expect(await h.drift(A)).toEqual([]);
          if (twice) await h.bring(B);
          const texts = Object.values(h.disk.snapshot()).join('\n');
          expect(texts.includes('\u0000')).toBe(false);
          await h.bring(null);
          expect(h.disk.snapshot()).toEqual(untouched);
        }),
        { numRuns: 150 },
      );
      expect(applied).toBeGreaterThan(30);
    }, 60_000);
  });
}

/** Every file change of a plan, as text: for golden files. */
export const shown = (changes: readonly HostChange[]): string =>
  changes
    .map((c) =>
      c.do === 'WriteFile' ? `${c.path}\n${new TextDecoder().decode(bytesOf(c.after))}` : `${c.do} ${pathOf(c)}\n`,
    )
    .join('');
