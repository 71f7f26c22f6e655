import { describe, expect, it } from 'vitest';
import { adaptedManifest, flagsOnHost } from './fixture-manifest.ts';

describe('the manifest of a test’s API server', () => {
  it.each([
    [22_379, 22_103],
    [23_790, 26_443],
    [26_443, 22_379],
  ])('has the ports %i and etcd’s %i, whatever digits are in them', async (port, etcdPort) => {
    const manifest = await adaptedManifest({ host: '127.0.0.7', port, etcdPort, kubernetes: 'v1.36.3' });
    const flags = flagsOnHost(manifest, '/root');
    expect(flags).toContain(`--secure-port=${port}`);
    expect(flags).toContain(`--etcd-servers=https://127.0.0.1:${etcdPort}`);
    expect(flags).toContain('--advertise-address=127.0.0.7');
    expect(manifest).toContain(`containerPort: ${port}\n`);
  });
});
