/**
 * What `auditconfig patch --target k3s` writes, read by a real K3s: ours is appended to what the user's files say, wins over
 * them, and is gone after `--remove`. What K3s says of its kube-apiserver's arguments is held against what the target
 * reads from the same files: so the reading that all else here rests on is K3s's own.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run as patch } from '../../src/cli/patch.ts';
import { realDisk } from '../../src/host/disk.ts';
import { rancherPlace } from '../../src/node/place.ts';
import { auditFlagsOf } from '../../src/targets/audit-flags.ts';
import { DEFAULT_LAYOUT } from '../../src/targets/host-layout.ts';
import { IO, NodeFolder } from '../cli/node-folder.ts';
import { KUBERNETES, apiServerWords, noDockerHere, withK3s } from './k3s.ts';
import { until } from './lab.ts';

const missing = await noDockerHere();

const FILES = {
  '/etc/systemd/system/k3s.service': '[Service]\nType=notify\nExecStart=/usr/local/bin/k3s \\\n    server \\\n\n',
  '/etc/rancher/k3s/config.yaml': 'kube-apiserver-arg:\n  - event-ttl=2h\n  - audit-log-maxage=3\n',
  '/etc/rancher/k3s/config.yaml.d/10-site.yaml': 'kube-apiserver-arg+:\n  - profiling=false\n',
};
const CONFIG = `apiVersion: auditconfig.dev/v1alpha1
kind: AuditConfig
metadata: {name: here, namespace: audit}
spec:
  target: {type: K3s}
  policy: {preset: metadata}
  log: {mode: Blocking}
`;
const LOG = '/var/log/kube-audit/audit.log';

describe('K3s’s own words', () => {
  it('are told from its log: the last command line counts', () => {
    const line = (args: string): string =>
      `time="2026-11-21T00:00:00Z" level=info msg="Running kube-apiserver ${args}"\n`;
    expect(apiServerWords('time="x" level=info msg="Starting k3s"\n')).toBeNull();
    expect(apiServerWords(`${line('--a=1')}x\n${line('--a=2 --b=\\"c\\"')}y\n`)).toEqual(['--a=2', '--b="c"']);
  });
});

describe.skipIf(missing !== undefined)(`a real K3s (needs ${missing ?? 'nothing more'})`, () => {
  let node: NodeFolder;
  beforeEach(async () => {
    node = await NodeFolder.make(FILES, CONFIG);
  });
  afterEach(() => node.remove());

  const patched = async (...args: string[]): Promise<void> => {
    const where = ['--target', 'k3s', '--root', node.root, '--kubernetes-version', KUBERNETES];
    expect(await patch([...where, ...args], IO)).toMatchObject({ code: 0 });
  };
  const flagsFromFiles = async (): Promise<ReadonlyMap<string, string> | undefined> =>
    (await rancherPlace('K3s', DEFAULT_LAYOUT).now(realDisk(node.root)))?.auditFlags;

  it('takes our drop-in last, keeps what the user says besides, and audits', async () => {
    await patched('-f', node.config);
    await withK3s(node.at('/etc'), async ({ words, exec }) => {
      expect(auditFlagsOf(words)).toEqual(await flagsFromFiles());
      expect(auditFlagsOf(words).get('--audit-log-path')).toBe(LOG);
      expect(words).toEqual(expect.arrayContaining(['--event-ttl=2h', '--profiling=false']));
      await exec('kubectl', 'get', 'secret', 'nobody', '--namespace', 'default');
      const seen = async (): Promise<true | undefined> =>
        (await exec('cat', LOG)).includes('/secrets/nobody') ? true : undefined;
      await until('the event', seen, { ms: 30_000 });
    });
  });

  it('has the user’s arguments alone again after a removal', async () => {
    const before = await node.tree();
    await patched('-f', node.config);
    await patched('--remove');
    expect(await node.tree()).toEqual(before);
    await withK3s(node.at('/etc'), async ({ words }) => {
      expect(auditFlagsOf(words)).toEqual(await flagsFromFiles());
      expect(auditFlagsOf(words)).toEqual(new Map([['--audit-log-maxage', '3']]));
      expect(words).toEqual(expect.arrayContaining(['--event-ttl=2h', '--profiling=false']));
    });
  });
});
