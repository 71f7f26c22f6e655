/** Names of the policies that ship here: what the API takes, and what src/policy/presets.ts has a policy for. */
export const PRESET_NAMES = [
  'balanced',
  'metadata',
  'minimal',
  'recommended',
  'basic',
  'sample',
  'default',
  'write-request-bodies',
  'all-request-bodies',
  'none',
] as const;
export type PresetName = (typeof PRESET_NAMES)[number];
