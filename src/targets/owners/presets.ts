/**
 * Owners whose API takes no policy but the name of one: which name says what a revision's policy says? Told by the policy
 * itself, so that rules of one's own, mandatory rules and cut bodies, whatever layer they come from, are never dropped in
 * silence. Called by the owners' files.
 */
import type { Finding } from '../../api/findings.ts';
import type { PresetName } from '../../api/preset-names.ts';
import { composePolicy } from '../../policy/compose.ts';
import { emitPolicy } from '../../policy/emit.ts';
import { presetPolicy } from '../../policy/presets.ts';
import type { Revision } from '../../render/types.ts';
import { refusal } from '../refusal.ts';
import type { OwnPresets } from './types.ts';

const rendered = new Map<PresetName, string>();

/** As a revision has it that says this preset and nothing else. */
function policyOf(name: PresetName): string {
  const known = rendered.get(name);
  if (known !== undefined) return known;
  const policy = composePolicy({ preset: presetPolicy(name, {}), rulesPosition: 'Before', omitStages: [] });
  const text = new TextDecoder().decode(emitPolicy(policy));
  rendered.set(name, text);
  return text;
}

/** The owner's own name of what this revision's policy is; undefined where it has none. */
export function ownPreset({ policy }: Revision, presets: OwnPresets): string | undefined {
  const text = new TextDecoder().decode(policy);
  return [...presets].find(([name]) => policyOf(name) === text)?.[1];
}

/** `instead`: what else somebody can do who needs another policy. */
export function judgePreset(
  to: Revision,
  presets: OwnPresets,
  { kind, instead }: { readonly kind: string; readonly instead: string },
): readonly Finding[] {
  if (ownPreset(to, presets) !== undefined) return [];
  const names = [...presets.keys()].join(', ');
  const message = `spec.policy has no place in a ${kind}: its API takes the names of presets only (policy.preset: ${names}), exactly as they are, without rules, stages or cut bodies of any layer. ${instead}`;
  return [refusal('OwnerCannotExpress', message, 'spec.policy')];
}
