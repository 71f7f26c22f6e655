/** What lint says about the presets: nothing but what is meant, each with its reason. */
import { describe, expect, it } from 'vitest';
import { NEWEST, OLDEST, minorNumber } from '../../../src/api/versions.ts';
import type { Minor } from '../../../src/api/versions.ts';
import { lintPolicy } from '../../../src/policy/lint.ts';
import { loadPolicy } from '../../../src/policy/load.ts';
import type { PresetName } from '../../../src/policy/presets.ts';
import { PRESET_NAMES, presetSource } from '../../../src/policy/presets.ts';

type Expected = { readonly code: string; readonly path: string; readonly because: string };

/** These are true, and stay: the preset is meant so. */
const MEANT: Partial<Record<PresetName, readonly Expected[]>> = {
  minimal: [{ code: 'NoCatchAll', path: 'rules[3]', because: 'Kubermatic means nothing else to be logged' }],
  sample: [
    { code: 'SensitiveBodiesLogged', path: 'rules[5].level', because: 'the upstream sample logs them in kube-system' },
    {
      code: 'GroupUnknown',
      path: 'rules[7].resources[1].group',
      because: 'the upstream sample still names extensions',
    },
  ],
  default: [{ code: 'SensitiveBodiesLogged', path: 'rules[2].level', because: 'OpenShift logs its token objects' }],
  'write-request-bodies': [
    { code: 'SensitiveBodiesLogged', path: 'rules[3].level', because: "OpenShift's fence leaves out ConfigMaps" },
  ],
  'all-request-bodies': [
    { code: 'SensitiveBodiesLogged', path: 'rules[3].level', because: "OpenShift's fence leaves out ConfigMaps" },
  ],
};

/** Lint may say these, cautiously; they are no fault of the preset. */
const BORNE: Partial<Record<PresetName, readonly Expected[]>> = {
  balanced: [
    { code: 'NoStageLeft', path: 'rules[12].omitStages', because: 'a watch has ResponseStarted, and is logged there' },
    { code: 'NoStageLeft', path: 'rules[16].omitStages', because: 'a watch has ResponseStarted, and is logged there' },
  ],
  sample: [{ code: 'SensitiveBodiesLogged', path: 'rules[7].level', because: 'subresources of Secrets do not exist' }],
};

const MINORS = Array.from(
  { length: minorNumber(NEWEST) - minorNumber(OLDEST) + 1 },
  (_, i): Minor => `1.${minorNumber(OLDEST) + i}`,
);
const key = ({ code, path }: { readonly code: string; readonly path: string }): string => `${code} ${path}`;

describe.each(PRESET_NAMES)('lint of the preset %s', (name) => {
  it.each(MINORS)('warns of nothing but what is meant, on %s', (version) => {
    const loaded = loadPolicy(new TextEncoder().encode(presetSource(name)), version);
    const said = lintPolicy(loaded, version)
      .filter((f) => f.severity !== 'info')
      .map(key);
    const borne = (BORNE[name] ?? []).map(key);
    expect(said.filter((s) => !borne.includes(s))).toEqual((MEANT[name] ?? []).map(key));
  });
});
