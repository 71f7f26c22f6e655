/**
 * CozyFex's kube-apiserver.service as its page prints it: meant for a shell's here-document, where `\\` becomes
 * `\`, and without a continuation behind --v=2, so that the three audit flags are no arguments. Acceptance: a finding with
 * line and column, nothing changed; the mended unit is patched.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Host } from '../contract/fixture.ts';
import { fixture, UNIT } from '../contract/systemd.ts';
import { METADATA_POLICY, revision } from '../revisions.ts';

const PRINTED = readFileSync(`${import.meta.dirname}/../../acceptance/fixtures/cozyfex.kube-apiserver.txt`, 'utf8');
const inUnit = (exec: string): string =>
  `[Unit]\nDescription=Kubernetes API Server\n\n[Service]\n${exec}Restart=on-failure\nRestartSec=5\n\n[Install]\nWantedBy=multi-user.target\n`;
/** What the shell makes of it. */
const WRITTEN = PRINTED.replaceAll('\\\\', '\\').replace('${INTERNAL_IP}', '10.240.0.10');
const MENDED = WRITTEN.replace(/(--v=2|k8-audit\.log|audit-policy\.yaml)\n/g, '$1 \\\n');

const hostWith = (unit: string): Host<typeof fixture.spec> =>
  new Host(fixture, { [UNIT]: unit, '/etc/kubernetes/audit-policy.yaml': METADATA_POLICY });

describe('CozyFex’s unit', () => {
  it.each([
    // Line 1 ends in two backslashes: nothing behind it is an argument.
    ['as it is printed', PRINTED, { line: 1, column: PRINTED.indexOf('\\') + 1 }],
    // Line 13 of the command lacks its backslash.
    ['as the shell writes it', inUnit(WRITTEN), { line: 17, column: '    --v=2'.length + 1 }],
  ])('%s is refused with the place of the missing continuation, and nothing is changed', async (_, unit, at) => {
    const h = hostWith(unit);
    const untouched = h.disk.snapshot();
    const plan = await h.plan(revision());
    expect('refused' in plan && plan.refused).toMatchObject([{ code: 'ContinuationMissing', path: UNIT, at }]);
    expect(await h.refusals(null)).toEqual(['ContinuationMissing']);
    expect(h.disk.snapshot()).toEqual(untouched);
  });

  it('names the first lost argument and how many follow it', async () => {
    const plan = await hostWith(inUnit(WRITTEN)).plan(revision());
    const [finding] = 'refused' in plan ? plan.refused : [];
    expect(finding?.message).toContain('--audit-log-path');
    expect(finding?.message).toContain('2 more');
  });

  it('mended is patched: its audit flags are taken over in place, every other byte stays, and removal gives all back', async () => {
    const h = hostWith(inUnit(MENDED));
    const untouched = h.disk.snapshot();
    const to = revision({ logDir: '/var/log', logName: 'k8-audit.log' });
    const plan = await h.bring(to);
    expect(plan.findings.map((f) => `${f.code} ${f.path}`)).toEqual([
      'FlagAdopted --audit-log-path',
      'FlagAdopted --audit-policy-file',
      'FlagAdopted --audit-log-maxage',
    ]);
    const policy = `/etc/kubernetes/auditconfig/revisions/${to.digest.slice(0, 16)}/policy.yaml`;
    const added = ['compress=false', 'format=json', 'maxbackup=10', 'maxsize=100', 'mode=blocking'];
    expect(h.disk.text(UNIT)).toBe(
      inUnit(MENDED)
        .replace('/etc/kubernetes/audit-policy.yaml', policy)
        .replace('maxage=30\n', `maxage=30${added.map((f) => ` \\\n    --audit-log-${f}`).join('')}\n`),
    );
    expect(await h.drift(to)).toEqual([]);
    await h.bring(null);
    expect(h.disk.snapshot()).toEqual(untouched);
  });
});
