/** What of the cluster fixture can be seen to be right without a cluster. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PINNED } from '../control-plane/versions.ts';
import { overlaps } from './failover.ts';
import { fullName, programImage, writeImage } from './images.ts';
import { until } from './lab.ts';
import { withAnnotation } from './restarts.ts';

it('the wrapper module builds the version that versions.ts names', () => {
  const text = readFileSync(join(import.meta.dirname, 'go/go.mod'), 'utf8');
  const { kubernetes } = PINNED['1.36'];
  expect(/k8s\.io\/kubernetes (v\S+)/.exec(text)?.[1]).toBe(kubernetes);
  const staging = new Set([...text.matchAll(/=> k8s\.io\/\S+ (v\S+)/g)].map((m) => m[1]));
  expect([...staging]).toEqual([kubernetes.replace('v1.', 'v0.')]);
});

it('images have the names that containerd gives them', () => {
  expect(fullName('auditconfig:0.1.0')).toBe('docker.io/library/auditconfig:0.1.0');
  expect(fullName('someone/auditconfig:1')).toBe('docker.io/someone/auditconfig:1');
  expect(fullName('localhost/pause:1')).toBe('localhost/pause:1');
});

describe('an image', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'auditconfig-image-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('is a docker-archive whose config names its layer by the hash of its bytes', async () => {
    await writeFile(join(folder, 'program'), 'not really', { mode: 0o755 });
    const archive = join(folder, 'image.tar');
    await writeImage(
      programImage('localhost/program:1', join(folder, 'program'), '/bin/program'),
      archive,
      join(folder, 'scratch'),
    );
    const read = (name: string): Buffer => execFileSync('tar', ['-xOf', archive, name]);
    const [manifest] = JSON.parse(read('./manifest.json').toString()) as [{ Config: string; RepoTags: string[] }];
    expect(manifest.RepoTags).toEqual(['localhost/program:1']);
    const config = JSON.parse(read(`./${manifest.Config}`).toString()) as { rootfs: { diff_ids: string[] } };
    const layer = read('./layer.tar');
    expect(config.rootfs.diff_ids).toEqual([`sha256:${createHash('sha256').update(layer).digest('hex')}`]);
    const listed = execFileSync('tar', ['-tf', '-'], { input: layer }).toString();
    expect(listed).toContain('./bin/program\n');
  });
});

it('two nodes that are down at once are seen, and those that follow each other are not', () => {
  const down = (node: string, from: number, to: number) => ({ node, from, to });
  expect(overlaps([down('a', 0, 10), down('b', 10, 20), down('a', 20, 30)])).toEqual([]);
  expect(overlaps([down('a', 0, 10), down('b', 9, 20)])).toHaveLength(1);
  expect(overlaps([down('b', 0, 10), down('a', 9, 20)])).toHaveLength(1);
});

it('the manifest of the floor differs in one line', () => {
  const text = 'metadata:\n  annotations:\n    a: b\n';
  expect(withAnnotation(text, '1')).toBe('metadata:\n  annotations:\n    test.auditconfig.dev/floor: "1"\n    a: b\n');
});

it('a wait that is in vain says what for, and what went wrong last', async () => {
  const ask = (): Promise<undefined> => Promise.reject(new Error('refused'));
  await expect(until('a miracle', ask, { ms: 20, everyMs: 5 })).rejects.toThrow(/a miracle: refused/);
});
