import { describe, expect, it } from 'vitest';
import { answersOf } from '../../src/analysis/answers.ts';
import { coverage } from '../../src/analysis/detections.ts';
import { PRESET_NAMES, presetPolicy } from '../../src/policy/presets.ts';
import { percentOf, recordedEvents, writtenBy } from './recorded.ts';

const events = recordedEvents();

describe('the recorded log', () => {
  it('has every stage but Panic, refused credentials, and a body in most answers', () => {
    expect(events.length).toBeGreaterThan(700);
    expect(new Set(events.map((e) => e.event.stage))).toEqual(
      new Set(['RequestReceived', 'ResponseStarted', 'ResponseComplete']),
    );
    expect(events.filter((e) => e.event.status?.code === 401).map((e) => e.event.stage)).toEqual(['ResponseStarted']);
    expect(events.filter((e) => e.event.bodies.includes('response')).length).toBeGreaterThan(200);
  });

  it('answers when, what, on what, to where, observed where, from where and who for each event', () => {
    for (const [i, { event }] of events.entries()) {
      const a = answersOf(event, { file: 'recorded', line: i + 1 });
      expect(a.when.tookMilliseconds).toBeGreaterThanOrEqual(0);
      expect(a.what.verb).not.toBe('');
      expect('object' in a.onWhat ? a.onWhat.object.resource : a.onWhat.path).not.toBe('');
      expect(a.toWhere.uri).toMatch(/^\//);
      expect(a.observedWhere.line).toBe(i + 1);
      expect(a.fromWhere).toMatchObject({ address: '127.0.0.1', claimed: { addresses: [] } });
      expect(a.who.user === undefined).toBe(a.what.code === 401);
    }
  });
});

describe('the preset balanced', () => {
  it('writes the fewest bytes of all that see as much, and fewer than metadata alone', () => {
    const most = coverage(presetPolicy('balanced')).filter((c) => c.seen).length;
    const rivals = PRESET_NAMES.filter(
      (n) => n !== 'balanced' && coverage(presetPolicy(n)).filter((c) => c.seen).length >= most,
    );
    expect(rivals).toEqual(['write-request-bodies', 'all-request-bodies']);
    const bytes = (n: (typeof PRESET_NAMES)[number]): number => writtenBy(presetPolicy(n), events).bytes;
    for (const rival of [...rivals, 'metadata', 'recommended', 'sample', 'default'] as const)
      expect(bytes('balanced')).toBeLessThan(bytes(rival) / 5);
    console.log(PRESET_NAMES.map((n) => `${n} ${percentOf(presetPolicy(n), events).toFixed(1)}%`).join(', '));
  });
});
