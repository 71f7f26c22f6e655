/** When requests have waited for a webhook for long enough, and when it is something else. */
import { describe, expect, it } from 'vitest';
import { FallbackWatch } from '../../src/agent/fallback.ts';
import type { Serving } from '../../src/kube/serving.ts';
import { fallbackPath } from '../../src/node/fallback.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { applyUnguarded, SPEC, worldWith } from '../node/fixture.ts';
import { revision } from '../targets/revisions.ts';

const never = new AbortController().signal;
const SERVES: Serving = { is: 'Serves', value: { status: { userInfo: { username: 'agent', groups: [] } } } };
const WAITS: Serving = { is: 'Waits', why: 'Timeout' };
const FAILS: Serving = { is: 'Fails', why: 'ServerError' };
const AWAY: Serving = { is: 'Away', why: 'ConnectionRefused' };

async function watched(mode: 'batch' | 'blocking' | 'blocking-strict', isPrepared = true) {
  const w = worldWith();
  const webhook = '{"clusters":[{"cluster":{"server":"https://r:1/"}}]}';
  await applyUnguarded(w, revision({ webhook, flags: { '--audit-webhook-mode': mode } }));
  if (isPrepared) w.disk.put(fallbackPath(SPEC.layout.stateDir), '{}');
  let now = 0;
  let due = 0;
  const asked: string[] = [];
  let serving = SERVES;
  const watch = new FallbackWatch({
    host: { ...w.host, ticks: () => now },
    spec: SPEC,
    ask: (_address, probe) => {
      asked.push(probe?.name ?? '/readyz');
      now += serving.is === 'Waits' ? 10_000 : 100;
      return Promise.resolve(serving);
    },
    node: 'cp-1',
    bundles: () => 'bundles',
    version: () => '1.36',
    due: () => (due += 1),
    log: createLogger({ name: 'test', level: 'silent' }),
  });
  return {
    asked,
    due: () => due,
    /** Looks until so much time has passed. */
    async for(ms: number, s: Serving): Promise<void> {
      serving = s;
      for (const end = now + ms; now < end; now += 5_000) await watch.look(never);
    },
  };
}

describe('an API server whose webhook blocks', () => {
  it('that has not served for a minute is one to fall back', async () => {
    const w = await watched('blocking');
    await w.for(60_000, SERVES);
    await w.for(50_000, WAITS);
    expect(w.due()).toBe(0);
    await w.for(20_000, WAITS);
    expect(w.due()).toBeGreaterThan(0);
  });

  it('that served once in that minute is not, and neither is one that is away or restarting', async () => {
    const w = await watched('blocking');
    for (let i = 0; i < 5; i++) {
      await w.for(45_000, WAITS);
      await w.for(5_000, i % 2 === 0 ? SERVES : AWAY);
    }
    await w.for(600_000, AWAY);
    expect(w.due()).toBe(0);
  });

  it('and that answers with errors is one in the strict mode only: there they mean the webhook', async () => {
    const plain = await watched('blocking');
    await plain.for(600_000, FAILS);
    const strict = await watched('blocking-strict');
    await strict.for(75_000, FAILS);
    expect([plain.due(), strict.due() > 0]).toEqual([0, true]);
  });

  it('is asked for what its policy records, once it is known who asks', async () => {
    const w = await watched('blocking');
    await w.for(20_000, SERVES);
    expect(new Set(w.asked)).toEqual(new Set(['SelfSubjectReview']));
  });
});

it.each([
  ['batches', 'batch', true],
  ['blocks, with nothing prepared', 'blocking', false],
] as const)('an API server whose webhook %s is asked nothing', async (_what, mode, isPrepared) => {
  const w = await watched(mode, isPrepared);
  await w.for(600_000, WAITS);
  expect([w.asked, w.due()]).toEqual([[], 0]);
});
