/** Whom a datacenter selects, and who is exempt until when. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DatacenterAuditConfigSpec } from '../../src/api/datacenterauditconfig.ts';
import { labelSelectorText, matchesLabels } from '../../src/api/label-selector.ts';
import type { LabelSelector } from '../../src/api/label-selector.ts';
import { exemptionChangesIn, exemptionOf, exemptionPhase, governs, selects } from '../../src/config/selection.ts';

const subject = { namespace: 'a', name: 'main', namespaceLabels: { dc: 'eu' }, labels: { size: 's' } };
const NOW = Date.parse('2026-06-01T00:00:00Z');
const DAY = 86_400_000;
const at = (days: number): string => new Date(NOW + days * DAY).toISOString();

describe('a selector', () => {
  it.each<[LabelSelector, string]>([
    [{}, ''],
    [{ matchLabels: { app: 'apiserver', tier: '' } }, 'app=apiserver,tier='],
    [
      {
        matchExpressions: [
          { key: 'a', operator: 'In', values: ['1', '2'] },
          { key: 'b', operator: 'NotIn', values: ['1'] },
          { key: 'c', operator: 'Exists' },
          { key: 'd', operator: 'DoesNotExist' },
        ],
      },
      'a in (1,2),b notin (1),c,!d',
    ],
  ])('%j is asked of an API server as %s', (selector, text) => {
    expect(labelSelectorText(selector)).toBe(text);
  });

  it.each<[string, DatacenterAuditConfigSpec['selector'], boolean]>([
    ['that is not there selects none', undefined, false],
    ['that is empty selects all', {}, true],
    ['selects by labels of the namespace', { namespaceSelector: { matchLabels: { dc: 'eu' } } }, true],
    ['does not select other namespaces', { namespaceSelector: { matchLabels: { dc: 'us' } } }, false],
    ['selects by labels of the AuditConfig', { objectSelector: { matchLabels: { size: 's' } } }, true],
    ['needs both', { namespaceSelector: {}, objectSelector: { matchLabels: { size: 'l' } } }, false],
  ])('%s', (_name, selector, wanted) => {
    expect(selects(selector === undefined ? {} : { selector }, subject)).toBe(wanted);
  });

  it.each<[LabelSelector, boolean]>([
    [{ matchExpressions: [{ key: 'a', operator: 'In', values: ['1', '2'] }] }, true],
    [{ matchExpressions: [{ key: 'b', operator: 'In', values: ['1'] }] }, false],
    [{ matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['1'] }] }, false],
    [{ matchExpressions: [{ key: 'b', operator: 'NotIn', values: ['1'] }] }, true],
    [{ matchExpressions: [{ key: 'a', operator: 'Exists' }] }, true],
    [{ matchExpressions: [{ key: 'b', operator: 'Exists' }] }, false],
    [{ matchExpressions: [{ key: 'b', operator: 'DoesNotExist' }] }, true],
    [{ matchExpressions: [{ key: 'constructor', operator: 'Exists' }] }, false],
    [{ matchLabels: { a: '1' }, matchExpressions: [{ key: 'a', operator: 'DoesNotExist' }] }, false],
  ])('%j of {a: 1}: %s', (selector, wanted) => {
    expect(matchesLabels(selector, { a: '1' })).toBe(wanted);
  });
});

describe('an exemption', () => {
  const spec = (expirationTime: string, more: object = {}): DatacenterAuditConfigSpec => ({
    selector: {},
    exemptions: [{ namespace: 'a', reason: 'r', expirationTime, ...more }],
  });

  it('counts until its end, for its namespace, or one AuditConfig of it', () => {
    expect(governs(spec(at(10)), subject, NOW)).toBe(false);
    expect(governs(spec(at(10)), subject, NOW + 10 * DAY)).toBe(true);
    expect(governs(spec(at(10), { name: 'other' }), subject, NOW)).toBe(true);
    expect(governs(spec(at(10), { namespace: 'b' }), subject, NOW)).toBe(true);
    expect(governs(spec(at(10), { name: 'main' }), subject, NOW)).toBe(false);
  });

  it('that ends too far ahead counts for nobody', () => {
    expect(exemptionPhase({ expirationTime: at(91) }, NOW)).toBe('TooLong');
    expect(exemptionPhase({ expirationTime: at(89) }, NOW)).toBe('Active');
    expect(exemptionPhase({ expirationTime: at(89) }, NOW, 30)).toBe('TooLong');
    expect(governs({ ...spec(at(40)), maxExemptionDays: 30 }, subject, NOW)).toBe(true);
  });

  it('whose end is no time has ended', () => {
    expect(exemptionPhase({ expirationTime: '2026-13-45T99:99:99Z' }, NOW)).toBe('Expired');
  });

  it('of several the one that lasts longest counts', () => {
    const two = { ...spec(at(3)), exemptions: [...(spec(at(3)).exemptions ?? []), ...(spec(at(9)).exemptions ?? [])] };
    expect(exemptionOf(two, subject, NOW)?.expirationTime).toBe(at(9));
  });

  it('changes its phase at the time that is told, and not before', () => {
    fc.assert(
      fc.property(fc.integer({ min: -3000, max: 300_000 }), fc.integer({ min: 1, max: 100 }), (minutes, max) => {
        const e = { namespace: 'a', reason: 'r', expirationTime: new Date(NOW + minutes * 60_000).toISOString() };
        const changes = exemptionChangesIn(e, NOW, max);
        const phase = exemptionPhase(e, NOW, max);
        if (changes === undefined) expect(phase).toBe('Expired');
        else {
          expect(exemptionPhase(e, NOW + changes - 1, max)).toBe(phase);
          expect(exemptionPhase(e, NOW + changes + 1, max)).not.toBe(phase);
        }
      }),
    );
  });
});
