/** Which manifests the kubelet would take, and when two are the same pod. */
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { FIXTURE_MANIFEST } from './fixture-manifest.ts';
import { decodeStaticPod } from './static-pod.ts';
import type { StaticPod } from './static-pod.ts';

const fixture = await readFile(FIXTURE_MANIFEST, 'utf8');
const decode = (text: string, file = 'f') => decodeStaticPod(Buffer.from(text), file);
function podOf(text: string, file = 'f'): StaticPod {
  const decoded = decode(text, file);
  if ('invalid' in decoded) throw new Error(decoded.invalid);
  return decoded.pod;
}
const invalid = (text: string): string => {
  const decoded = decode(text);
  return 'invalid' in decoded ? decoded.invalid : 'valid';
};

describe('a static pod', () => {
  it('is what kubeadm writes', () => {
    const pod = podOf(fixture);
    expect(pod.key).toBe('kube-system/kube-apiserver');
    expect(pod.gracePeriodMs).toBe(30_000);
    expect(pod.volumes).toHaveLength(5);
    expect(pod.containers[0]?.argv[0]).toBe('kube-apiserver');
    expect(pod.containers[0]?.mounts.every((m) => m.readOnly)).toBe(true);
  });

  it.each([
    ['a comment', fixture.replace('spec:', 'spec: # why')],
    [
      'an empty map that was not there',
      fixture.replace('  hostNetwork: true', '  hostNetwork: true\n  nodeSelector: {}'),
    ],
    ['quotes', fixture.replace('name: kube-apiserver\n  namespace', 'name: "kube-apiserver"\n  namespace')],
    ['a second document', `${fixture}---\nkind: Nothing\n`],
  ])('stays the same for %s', (_what, text) => {
    expect(text).not.toBe(fixture);
    expect(podOf(text).uid).toBe(podOf(fixture).uid);
  });

  it.each([
    ['a flag', fixture.replace('--secure-port=6443', '--secure-port=6444')],
    ['the order of flags', fixture.replace(/(.*--allow-privileged.*\n)(.*--anonymous-auth.*\n)/, '$2$1')],
    ['an annotation', fixture.replace('  annotations:', '  annotations:\n    a: b')],
  ])('is another one for %s', (_what, text) => {
    expect(text).not.toBe(fixture);
    expect(podOf(text).uid).not.toBe(podOf(fixture).uid);
  });

  it('is another one in another file', () => {
    expect(podOf(fixture, 'a').uid).not.toBe(podOf(fixture, 'b').uid);
  });

  it.each([
    ['a tab', fixture.replace('spec:', '\tspec:'), /tab/i],
    ['another kind', fixture.replace('kind: Pod', 'kind: Deployment'), /not a v1 Pod/],
    ['no name', fixture.replace('  name: kube-apiserver\n  namespace', '  namespace'), /metadata.name: Required/],
    ['a number as argument', fixture.replace('    - --allow-privileged=true', '    - 1'), /command\[2\]: 1 is not a string/],
    ['a number as annotation', fixture.replace('  annotations:', '  annotations:\n    a: 1'), /annotations\[a\]/],
    ['a mount without its volume', fixture.replace('      name: k8s-certs', '      name: k8s-cert'), /volumeMounts\[2\].name: Not found/],
    ['two mounts at one path', fixture.replace('mountPath: /etc/ca-certificates', 'mountPath: /etc/ssl/certs'), /must be unique/],
    ['two volumes of one name', fixture.replace('    name: etc-ca-certificates\n  - hostPath', '    name: ca-certs\n  - hostPath'), /Duplicate value: "ca-certs"/],
    ['a host path with ..', fixture.replace('path: /etc/ssl/certs', 'path: /etc/../ssl'), /must not contain '..'/],
    ['an unknown host path type', fixture.replace('type: DirectoryOrCreate', 'type: Dir'), /Unsupported value: "Dir"/],
    ['a volume name with a dot', fixture.replaceAll('name: ca-certs', 'name: ca.certs'), /volumes\[0\].name: Invalid/],
    ['no container', 'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}', /containers: Required/],
    ['nothing', '', /no document/],
  ])('is refused with %s', (_what, text, why) => {
    expect(invalid(text)).toMatch(why);
  }); // prettier-ignore

  it('takes the last of two equal keys, as the kubelet does', () => {
    expect(podOf(fixture.replace('  hostNetwork: true', '  terminationGracePeriodSeconds: 1\n  terminationGracePeriodSeconds: 2')).gracePeriodMs).toBe(2_000); // prettier-ignore
  });
});
