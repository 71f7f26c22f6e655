import fc from 'fast-check';
import { expect, it } from 'vitest';
import { NumberMap } from '../../src/policy/engine/number-map.ts';

it('answers as a Map does, through growth, collisions and clearing', () => {
  // Multiples of 4096 collide in every table that is smaller; large ones are beyond 32 bits.
  const key = fc.oneof(
    fc.nat(40),
    fc.nat(40).map((n) => n * 4096),
    fc.nat(40).map((n) => n * 2 ** 32 + 1),
  );
  const step = fc.record({ key, value: fc.nat(1000), clear: fc.nat(60).map((n) => n === 0) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), fc.array(key), (steps, others) => {
      const [mine, reference] = [new NumberMap(), new Map<number, number>()];
      for (const s of steps) {
        if (s.clear) [mine, reference].forEach((m) => m.clear());
        mine.set(s.key, s.value);
        reference.set(s.key, s.value);
      }
      expect(mine.size).toBe(reference.size);
      for (const k of [...reference.keys(), ...others]) expect(mine.get(k)).toBe(reference.get(k) ?? -1);
    }),
  );
});
