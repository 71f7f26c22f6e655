/** deploy/ as files: images of this very version, no file that nothing installs, and kustomize reads it as tests do. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { ROOT, kustomized } from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';
import { OWN } from '../../src/targets/hosted/volumes.ts';

const DEPLOY = join(ROOT, 'deploy');
const OBJECTS = kustomized(DEPLOY);
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
/** What builds a kustomization, the kubectl of old that does not know folders as resources left out. */
const KUSTOMIZE = [
  ['kubectl', 'kustomize'],
  ['kustomize', 'build'],
].find(([program = '', ...args]) => spawnSync(program, [...args, DEPLOY], { stdio: 'ignore' }).status === 0);

/** Every value of a key, at any depth. */
function valuesOf(key: string, value: unknown): unknown[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries<unknown>({ ...value }).flatMap(([k, v]) => [...(k === key ? [v] : []), ...valuesOf(key, v)]);
}
const byName = (all: readonly Manifest[]): Record<string, Manifest> =>
  Object.fromEntries(all.map((o) => [`${o.kind} ${o.metadata.namespace ?? ''}/${o.metadata.name}`, o]));

describe('deploy/', () => {
  it('starts Node with the same options as a service as in the image', () => {
    const optionsOf = (file: string): string | undefined =>
      /NODE_OPTIONS=(\S+)/.exec(readFileSync(join(ROOT, file), 'utf8'))?.[1];
    expect(optionsOf('Dockerfile')).toBe('--max-semi-space-size=1');
    expect(optionsOf('deploy/systemd/auditconfig-agent.service')).toBe(optionsOf('Dockerfile'));
  });

  it('gives the controller alone more room for young objects', () => {
    const env = OBJECTS.flatMap((o) => (valuesOf('env', o).flat() as { name: string; value?: string }[]).map((e) => ({ ...e, kind: o.kind })));
    const options = env.filter((e) => e.name === 'NODE_OPTIONS').map((e) => [e.kind, e.value]);
    expect(options).toEqual([['Deployment', '--max-semi-space-size=4']]);
  });

  it('runs images of the version in package.json', () => {
    const workloads = OBJECTS.filter(({ kind }) => kind === 'Deployment' || kind === 'DaemonSet');
    expect(workloads.map((o) => [o.kind, valuesOf('image', o)])).toEqual([
      ['Deployment', [`auditconfig:${version}`]],
      ['DaemonSet', [`auditconfig:${version}`]],
    ]);
  });

  it('starts the guard from the image that the agent runs from', () => {
    const env = OBJECTS.flatMap((o) => valuesOf('env', o)).flat() as { name: string; value?: string }[];
    expect(env.find((e) => e.name === 'GUARD_IMAGE')?.value).toBe(`auditconfig:${version}`);
  });

  it('holds no file but samples that nothing installs', () => {
    const files = readdirSync(DEPLOY, { recursive: true, withFileTypes: true })
      .filter((e) => e.isFile() && e.name.endsWith('.yaml'))
      .map((e) => relative(DEPLOY, join(e.parentPath, e.name)));
    const installed = (dir: string): string[] => {
      const { resources } = parse(readFileSync(join(DEPLOY, dir, 'kustomization.yaml'), 'utf8')) as {
        resources: string[];
      };
      const own = resources.flatMap((r) => (r.endsWith('.yaml') ? [join(dir, r)] : installed(join(dir, r))));
      return [join(dir, 'kustomization.yaml'), ...own];
    };
    const named = installed('.').filter((f) => !f.startsWith('..'));
    // Opt-in: Kubernetes before 1.36 does not know its kinds.
    const optIn = (f: string): boolean => f.startsWith('samples/') || f.startsWith('hosted-reinjection/') || f.startsWith('owners/');
    expect(files.filter((f) => !optIn(f)).sort()).toEqual(named.sort());
  });

  it('puts back every volume of ours that somebody took out, since containers that come back mount them', () => {
    const all = kustomized(join(DEPLOY, 'hosted-reinjection'));
    const variables = all.flatMap((o) => valuesOf('variables', o)).flat() as { name: string; expression: string }[];
    const ours = variables.find((v) => v.name === 'ours')?.expression ?? '';
    expect([...ours.matchAll(/'([^']+)'/g)].map((m) => m[1]).sort()).toEqual([...OWN].sort());
  });

  it('names each object once', () => {
    expect(Object.keys(byName(OBJECTS))).toHaveLength(OBJECTS.length);
  });

  it.runIf(KUSTOMIZE !== undefined || process.env['CI'] === 'true')('is read by kustomize as by these tests', () => {
    if (KUSTOMIZE === undefined) throw new Error('neither `kubectl kustomize` nor `kustomize build` builds deploy/');
    const [program = '', ...args] = KUSTOMIZE;
    const text = execFileSync(program, [...args, DEPLOY], { encoding: 'utf8' });
    const built = parseAllDocuments(text).map((d) => d.toJS() as Manifest);
    expect(byName(built)).toEqual(byName(OBJECTS));
  });
});
