/**
 * Which attack patterns a log written by a policy could show. Level, stages and every verb variant count; whether anyone
 * looks at the log does not. Used by `presets`, `docs/presets.md` and the tests of the presets.
 */
import { LEVELS } from '../api/audit.ts';
import type { Decision, Level, Policy, RequestAttributes } from '../api/audit.ts';
import { compilePolicy } from '../policy/evaluate.ts';
import { DETECTIONS } from './detection-list.ts';
import type { Detection, Variant } from './detection-list.ts';

export { DETECTIONS } from './detection-list.ts';
export type { Detection, Variant } from './detection-list.ts';

/** A request of a detection that the policy does not log well enough. */
export type Gap = {
  /** Level: logged at too low a level, or not at all. Stages: every stage that would do is omitted. */
  readonly code: 'Level' | 'Stages';
  readonly request: RequestAttributes;
  readonly decision: Decision;
};
export type Coverage = { readonly detection: Detection; readonly seen: boolean; readonly why: readonly Gap[] };

export const atLeast = (level: Level, least: Level): boolean => LEVELS.indexOf(level) >= LEVELS.indexOf(least);

function gapOf(detection: Detection, variant: Variant, decision: Decision): Gap[] {
  const gap = { request: variant.request, decision };
  if (!atLeast(decision.level, detection.level)) return [{ code: 'Level', ...gap }];
  const kept = variant.anyStage.some((s) => !decision.omitStages.includes(s));
  return kept ? [] : [{ code: 'Stages', ...gap }];
}

/** Every detection in the order of `DETECTIONS`; `seen` means that no variant has a gap. */
export function coverage(policy: Policy): readonly Coverage[] {
  const { decide } = compilePolicy(policy);
  return DETECTIONS.map((detection) => {
    const why = detection.variants.flatMap((v) => gapOf(detection, v, decide(v.request)));
    return { detection, seen: why.length === 0, why };
  });
}

const askedFor = (r: RequestAttributes): string =>
  r.kind === 'NonResource'
    ? r.path
    : [r.group, r.resource, r.subresource].filter((s) => s !== '').join('/') +
      (r.namespace ? ` in ${r.namespace}` : '');

/** A gap as a sentence. */
export function describeGap(gap: Gap): string {
  const { request: r, decision: d } = gap;
  const by = d.rule === null ? 'no rule matches' : `rules[${d.rule}]`;
  const what = gap.code === 'Level' ? `logged at ${d.level}` : `its stages are omitted (${d.omitStages.join(', ')})`;
  return `${r.verb} ${askedFor(r)} by ${r.user ?? 'refused credentials'}: ${what} (${by})`;
}
