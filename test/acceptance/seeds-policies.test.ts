/**
 * The policies that the documents print which this project grew from (DC/OS, CozyFex, 'stages and levels', Deckhouse),
 * as printed: they load as an API server loads them, mean what the preset `sample` means, and what they say wrongly is
 * put right.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { NEWEST, OLDEST, minorNumber } from '../../src/api/versions.ts';
import type { Minor } from '../../src/api/versions.ts';
import { run as lint } from '../../src/cli/lint.ts';
import { loadPolicy } from '../../src/policy/load.ts';
import { presetPolicy } from '../../src/policy/presets.ts';

const MINORS = Array.from(
  { length: minorNumber(NEWEST) - minorNumber(OLDEST) + 1 },
  (_, i): Minor => `1.${minorNumber(OLDEST) + i}`,
);
const printed = (name: string): Uint8Array => readFileSync(`${import.meta.dirname}/fixtures/${name}.policy.yaml`);
const SAMPLES = ['dcos', 'cozyfex', 'stages-and-levels'];

describe.each([...SAMPLES, 'deckhouse-minimal'])('the policy that %s prints', (name) => {
  it.each(MINORS)('loads on %s without a word', (version) => {
    const loaded = loadPolicy(printed(name), version);
    expect(loaded.findings).toEqual([]);
    expect(loaded.policy).toBeDefined();
  });
});

describe('the sample policy', () => {
  it.each(SAMPLES)('of %s means what the preset sample means', (name) => {
    expect(loadPolicy(printed(name), NEWEST).policy).toEqual(presetPolicy('sample'));
  });
});

describe("Deckhouse's minimal policy", () => {
  it('logs metadata of everything, once a request is answered', () => {
    expect(loadPolicy(printed('deckhouse-minimal'), NEWEST).policy).toMatchObject({
      omitStages: [],
      rules: [{ level: 'Metadata', verbs: [], resources: [], omitStages: ['RequestReceived'] }],
    });
  });
});

describe("the stage 'ResponseCompleted' of 'stages and levels'", () => {
  const text = new TextDecoder().decode(printed('stages-and-levels'));
  const findings = loadPolicy(
    new TextEncoder().encode(text.replace('- "RequestReceived"', '- "ResponseCompleted"')),
    NEWEST,
  );

  it('is refused with its place, and ResponseComplete is suggested', () => {
    expect(findings.policy).toBeUndefined();
    expect(findings.findings).toHaveLength(1);
    expect(findings.findings[0]).toMatchObject({
      severity: 'error',
      path: 'omitStages[0]',
      at: { line: 5, column: 5 },
    });
    expect(findings.findings[0]?.message).toMatch(/did you mean "?ResponseComplete"?\?/i);
  });

  it('has a finding of `auditconfig lint` with the same suggestion', async () => {
    const misspelled = text.replace('- "RequestReceived"', '- "ResponseCompleted"');
    const { code, stdout = '' } = await lint(['-', '-o', 'json'], {
      readFile: () => Promise.resolve(new TextEncoder().encode(misspelled)),
      fds: { stdin: 0, stdout: 1 },
      stderrIsTTY: false,
      stdoutIsTTY: false,
      env: {},
      signal: new AbortController().signal,
    });
    expect(code).toBe(1);
    const { files } = JSON.parse(stdout) as { files: { valid: boolean; findings: Record<string, unknown>[] }[] };
    expect(files[0]?.valid).toBe(false);
    expect(files[0]?.findings).toContainEqual({
      severity: 'error',
      code: 'StageUnknown',
      message: expect.stringMatching(/did you mean "?ResponseComplete"?\?/i) as unknown,
      line: 5,
      column: 5,
      path: 'omitStages[0]',
    });
  });
});
