/** When a node is looked at again after a refusal. */
import { expect, it } from 'vitest';
import type { Finding } from '../../src/api/findings.ts';
import { outcomeOf } from '../../src/agent/outcomes.ts';

const refused = (code: string): Finding => ({ severity: 'error', code, message: '', path: '' });

it.each([
  ['CannotProbe', 30_000],
  ['NoRoomForLog', 300_000],
])('%s is looked at again after %d ms: an API server that just starts cannot be probed either', (code, afterMs) => {
  expect(outcomeOf({ kind: 'Refused', findings: [refused(code)] })).toEqual({ kind: 'Again', afterMs });
});
