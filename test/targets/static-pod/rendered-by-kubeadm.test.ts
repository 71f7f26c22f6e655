/**
 * A manifest that kubeadm wrote with our flags in it (kubeadmConfig: Sync): after a join or an upgrade the agent finds all
 * in place, whatever the order, writes down what it must remember, and restarts nothing.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { revision } from '../revisions.ts';
import { bring, driftOn, MANIFEST, nodeWith, planOn } from '../static-pod-host.ts';

const BEFORE = readFileSync(join(import.meta.dirname, 'golden/kubeadm-1.36/before.yaml'), 'utf8');
const TO = revision();

type Named = { readonly name: string };
type Pod = { spec: { volumes: Named[]; containers: { image: string; volumeMounts: Named[] }[] } };
const byName = (a: Named, b: Named): number => (a.name < b.name ? -1 : 1);

/** As kubeadm has it: volumes by name, so that ours come first. */
function byKubeadm(text: string, image?: string): string {
  const pod = parse(text) as Pod;
  pod.spec.volumes.sort(byName);
  for (const c of pod.spec.containers) {
    c.volumeMounts.sort(byName);
    c.image = image ?? c.image;
  }
  return stringify(pod, { indentSeq: false });
}

async function rendered(image?: string): Promise<string> {
  const disk = nodeWith(BEFORE);
  await bring(disk, TO);
  return byKubeadm(disk.text(MANIFEST) ?? '', image);
}

/** The files that prestage put there, and nothing that an agent remembers. */
async function joined(): Promise<ReturnType<typeof nodeWith>> {
  const other = nodeWith(BEFORE);
  await bring(other, TO);
  const dir = `/etc/kubernetes/auditconfig/revisions/${TO.digest.slice(0, 16)}/policy.yaml`;
  return nodeWith(await rendered(), { [dir]: new TextDecoder().decode(TO.policy) });
}

it('a node that joined: nothing restarts, the manifest stays, and a record is made', async () => {
  const disk = await joined();
  const text = disk.text(MANIFEST);
  const plan = await bring(disk, TO);
  expect(plan.restarts).toBe(false);
  expect(disk.text(MANIFEST)).toBe(text);
  expect(await driftOn(disk, TO)).toEqual([]);
  expect((await bring(disk, TO)).changes).toEqual([]);
});

it('a node that joined: removal takes all of ours out', async () => {
  const disk = await joined();
  await bring(disk, TO);
  await bring(disk, null);
  expect(parse(disk.text(MANIFEST) ?? '')).toEqual(parse(byKubeadm(BEFORE)));
});

it('a node that was upgraded: nothing restarts, and removal gives back the new manifest without us', async () => {
  const disk = nodeWith(BEFORE);
  await bring(disk, TO);
  disk.put(MANIFEST, await rendered('localhost/kube-apiserver:v1.37.0'));
  expect((await bring(disk, TO)).restarts).toBe(false);
  await bring(disk, null);
  expect(parse(disk.text(MANIFEST) ?? '')).toEqual(parse(byKubeadm(BEFORE, 'localhost/kube-apiserver:v1.37.0')));
});

it('an upgrade that left one flag out: it is put in again', async () => {
  const disk = nodeWith(BEFORE);
  await bring(disk, TO);
  disk.put(MANIFEST, (await rendered()).replace(/ +- --audit-log-maxage=.*\n/, ''));
  expect(await planOn(disk, TO)).toMatchObject({ restarts: true });
  await bring(disk, TO);
  expect(await driftOn(disk, TO)).toEqual([]);
});
