/** `$(NAME)` in a manifest's words: the kubelet puts in what the manifest itself may not tell, such as the node's name. */
import { describe, expect, it } from 'vitest';
import { serverView } from '../../src/targets/static-pod/server.ts';
import { CHECKS } from '../../src/node/checks.ts';
import { readState } from '../../src/node/state-file.ts';
import { A, apply, applyUnguarded, BROKEN, MANIFEST, SPEC, worldWith } from './fixture.ts';
import type { World } from './world.ts';

const manifest = (...flags: readonly string[]): string => `apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver, namespace: kube-system}
spec:
  hostNetwork: true
  containers:
  - name: kube-apiserver
    env:
    - {name: PORT, value: "7443"}
    - {name: LISTEN, value: "127.0.0.1"}
    - {name: LOGS, value: /var/log/$(PORT)}
    - {name: HOST_IP, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    command:
    - kube-apiserver
${flags.map((f) => `    - ${f}\n`).join('')}`;

const VALUES = { PORT: '7443', LISTEN: '127.0.0.1', LOGS: '/var/log/7443', HOST_IP: '10.0.0.7', NODE: 'cp-1' };

const BY_HAND = manifest(
  '--audit-log-path=$(LOGS)/$(NODE)/audit.log',
  '--audit-policy-file=/etc/policy-$$.yaml',
  '--advertise-address=$(HOST_IP)',
);

function world(text: string): World {
  const w = worldWith(text);
  w.variables = VALUES;
  // What was started before has another environment.
  w.crash();
  w.settle();
  return w;
}

const viewOf = (text: string): ReturnType<typeof serverView> => serverView(new TextEncoder().encode(text));

describe('of an API server whose words hold variables', () => {
  it('a broken revision is blamed for the crash, once what was set by hand runs again', async () => {
    const w = world(BY_HAND.replace('-$$', ''));
    const outcome = await applyUnguarded(w, BROKEN);
    expect(outcome).toMatchObject({ kind: 'RolledBack', failure: { reason: 'CrashLoop', digest: BROKEN.digest } });
    expect((await readState(w.disk, SPEC.layout.stateDir))?.state).toMatchObject({ refused: BROKEN.digest });
  });

  it('a removal gives back what was set by hand, and stays', async () => {
    const text = BY_HAND.replace('-$$', '');
    const w = world(text);
    expect(await apply(w, A)).toMatchObject({ kind: 'Settled', current: A.digest });
    expect(await apply(w, null)).toMatchObject({ kind: 'Settled', current: null, restarted: true });
    expect(w.disk.text(MANIFEST)).toBe(text);
  });

  it('values that the manifest tells are those of the process, and the others are told to nobody', () => {
    const view = viewOf(BY_HAND);
    expect(view?.auditFlags.get('--audit-log-path')).toBe('/var/log/7443/$(NODE)/audit.log');
    expect(view?.auditFlags.get('--audit-policy-file')).toBe('/etc/policy-$.yaml');
    expect(view?.advertised).toBeNull();
    const told = viewOf(manifest('--bind-address=$(LISTEN)', '--secure-port=$(PORT)', '--advertise-address=$(NONE)'));
    expect(told).toMatchObject({ address: { host: '127.0.0.1', port: 7443 }, advertised: null });
  });

  it.each([['--bind-address=$(HOST_IP)'], ['--secure-port=$(NODE)'], ['--secure-port=0']])(
    'nothing is changed where %s hides where it listens: nobody would see it become ready',
    async (flag) => {
      const w = world(manifest(flag));
      const before = [w.disk.text(MANIFEST), w.starts];
      const outcome = await applyUnguarded(w, A, { checks: CHECKS });
      expect(outcome.kind === 'Refused' && outcome.findings.map((f) => f.code)).toContain('AddressUnknown');
      expect([w.disk.text(MANIFEST), w.starts]).toEqual(before);
    },
  );
});
