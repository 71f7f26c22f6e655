/** versions.ts and the wrapper modules say the same. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { GO_FOLDER } from './sources/go-toolchain.ts';
import { PINNED, PLANE_VERSIONS, planeVersionOf } from './versions.ts';

describe.each(PLANE_VERSIONS)('the wrapper module of %s', (version) => {
  it('builds the pinned Kubernetes, with every staging module of the same release', async () => {
    const { kubernetes, modfile } = PINNED[version];
    const text = await readFile(join(GO_FOLDER, modfile.name), 'utf8');
    expect(text).toContain(`k8s.io/kubernetes ${kubernetes}\n`);
    const staging = [...text.matchAll(/^\s*(?:replace )?(k8s\.io\/[\w-]+) => \1 (\S+)/gm)].map((m) => m[2]);
    expect(staging.length).toBeGreaterThan(25);
    expect(new Set(staging)).toEqual(new Set([kubernetes.replace(/^v1/, 'v0')]));
  });
});

describe('a version as programs print it', () => {
  it.each([
    ['Kubernetes v1.36.3', '1.36'],
    ['v1.35.0-alpha.1', '1.35'],
    ['1.36.3+k3s1', '1.36'],
    ['Kubernetes v1.3.6', undefined],
    ['v11.36.1', undefined],
    ['', undefined],
  ])('%s is %s', (text, version) => {
    expect(planeVersionOf(text)).toBe(version);
  });
});
