/**
 * The one contract of all targets, whatever they edit: detect, plan, apply, verify, remove, adopt, idempotence, drift. Host
 * targets have more to keep (contract.ts), since they keep books on a disk.
 */
import { describe, expect, it } from 'vitest';
import type { Finding } from '../../../src/api/findings.ts';
import type { Revision } from '../../../src/render/types.ts';
import { revision } from '../revisions.ts';

/** One control plane with a target on it. */
export interface Place {
  /** Plans and does it. */
  bring(to: Revision | null): Promise<{ changes: readonly unknown[]; restarts: boolean; findings: readonly Finding[] }>;
  /** A plan as a person may print it. */
  print(to: Revision): Promise<string>;
  refusals(to: Revision | null): Promise<readonly string[]>;
  drift(to: Revision | null): Promise<readonly string[]>;
  /** The audit flags in effect. */
  flags(): Promise<ReadonlyMap<string, string>>;
  /** Everything that is there, for comparison. */
  snapshot(): unknown;
  /** What of `snapshot()` a change of the flags may touch. */
  lines(): Promise<readonly string[]>;
  /** Somebody else's change of something that is not auditing. */
  theirs(): void;
  /** Somebody's edit of one of our flags. */
  tamper(): Promise<void>;
}

export type Subject = {
  readonly name: string;
  /** A control plane that audits nothing; one where somebody set up auditing by hand; a place where there is none. */
  place(as: 'bare' | 'byHand' | 'nothing'): Place;
  /** The flags of a revision as this target spells them, or what it says instead. */
  wanted(of: Revision): ReadonlyMap<string, string>;
  /** Of a target that cannot say what those below say: some that it can. */
  readonly revisions?: Revisions;
};

export type Revisions = {
  readonly a: Revision;
  /** One setting is another one. */
  readonly b: Revision;
  /** One more setting than `a`; undefined where there is none more. */
  readonly more?: Revision;
  /** Other than `a`, and than what somebody set by hand. */
  readonly other: Revision;
  /** Revisions that are brought one after the other. */
  readonly series: readonly Revision[];
};

export const A = revision();
export const B = revision({
  policy: '{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"Request"}]}\n',
});
export const SECRET = revision({ webhook: 'token: hunter2\n', confidential: true });

const REVISIONS: Revisions = {
  a: A,
  b: B,
  more: revision({ flags: { '--audit-log-truncate-enabled': 'true' } }),
  other: revision({ flags: { '--audit-log-maxage': '11' } }),
  series: [A, SECRET, B],
};

export function common({ name, place, wanted, revisions = REVISIONS }: Subject): void {
  const { a: A, b: B, more = A, other, series } = revisions;

  describe(`${name}: what every target does`, () => {
    it('finds nothing where there is none, refuses to plan there, and has nothing to remove', async () => {
      const p = place('nothing');
      expect((await p.refusals(A)).length).toBeGreaterThan(0);
      expect(await p.drift(null)).toEqual([]);
      expect((await p.bring(null)).changes).toEqual([]);
    });

    it('holds no secret that a print of a plan would show', async () => {
      expect(await place('bare').print(SECRET)).not.toContain('hunter2');
    });

    it('has exactly the flags of the revision in effect, and says that it is in place', async () => {
      const p = place('bare');
      expect(await p.drift(A)).not.toEqual([]);
      expect((await p.bring(A)).restarts).toBe(true);
      expect(await p.flags()).toEqual(wanted(A));
      expect(await p.drift(A)).toEqual([]);
      expect(await p.drift(B)).not.toEqual([]);
      expect(await p.drift(null)).not.toEqual([]);
    });

    it('changes nothing the second time', async () => {
      const p = place('bare');
      await p.bring(A);
      const again = await p.bring(A);
      expect([again.changes, again.restarts]).toEqual([[], false]);
    });

    it('changes one line for another policy', async () => {
      const p = place('bare');
      await p.bring(A);
      const before = await p.lines();
      expect((await p.bring(B)).restarts).toBe(true);
      const after = await p.lines();
      expect(after.length).toBe(before.length);
      expect(after.filter((l, i) => l !== before[i]).length).toBe(1);
      expect(await p.drift(B)).toEqual([]);
    });

    it('takes a flag out that the next revision does not have', async () => {
      const p = place('bare');
      await p.bring(more);
      await p.bring(A);
      expect(await p.flags()).toEqual(wanted(A));
    });

    it('gives back everything at removal', async () => {
      const p = place('bare');
      const untouched = p.snapshot();
      for (const to of series) await p.bring(to);
      expect((await p.bring(null)).restarts).toBe(true);
      expect(p.snapshot()).toEqual(untouched);
      expect(await p.drift(null)).toEqual([]);
      expect((await p.bring(null)).changes).toEqual([]);
    });

    it('keeps what somebody else changed meanwhile', async () => {
      const [p, other] = [place('bare'), place('bare')];
      other.theirs();
      await p.bring(A);
      p.theirs();
      await p.bring(B);
      await p.bring(null);
      expect(p.snapshot()).toEqual(other.snapshot());
    });

    it('takes over what was set by hand, says so, and gives it back at removal', async () => {
      const p = place('byHand');
      const [untouched, before] = [p.snapshot(), await p.flags()];
      const plan = await p.bring(other);
      expect(plan.restarts).toBe(true);
      const told = plan.findings.filter((f) => f.code === 'FlagAdopted' || f.code === 'FlagTakenOut');
      expect(told.map((f) => f.path).sort()).toEqual([...before.keys()].sort());
      expect(await p.flags()).toEqual(wanted(other));
      await p.bring(A);
      await p.bring(null);
      expect(p.snapshot()).toEqual(untouched);
      expect(await p.flags()).toEqual(before);
    });

    it('names an edit of our flags, puts it right, and does not give it back', async () => {
      const p = place('bare');
      await p.bring(A);
      const good = await p.lines();
      await p.tamper();
      expect(await p.drift(A)).toEqual(['FlagDrift']);
      await p.bring(A);
      expect(await p.drift(A)).toEqual([]);
      expect(await p.lines()).toEqual(good);
      await p.bring(null);
      expect(await p.flags()).toEqual(new Map());
    });
  });
}
