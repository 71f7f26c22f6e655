/** A node with nothing but a manifest, in memory: plans are made from it and applied to it. */
import { gather } from '../../src/node/gather.ts';
import { applyAll } from '../../src/node/apply.ts';
import { hasErrors } from '../../src/api/findings.ts';
import type { Revision } from '../../src/render/types.ts';
import { DEFAULT_LAYOUT } from '../../src/targets/host-layout.ts';
import { staticPod } from '../../src/targets/static-pod.ts';
import { staticPodPlace } from '../../src/node/place.ts';
import type { Place } from '../../src/node/place.ts';
import type { HostChange, Plan } from '../../src/targets/types.ts';
import { MemoryDisk } from '../host/memory-disk.ts';

export const MANIFEST = '/etc/kubernetes/manifests/kube-apiserver.yaml';
export const SPEC: Place = staticPodPlace({ manifest: MANIFEST, layout: DEFAULT_LAYOUT });

export const nodeWith = (manifest: string | Uint8Array, files: Readonly<Record<string, string>> = {}): MemoryDisk =>
  new MemoryDisk({ [MANIFEST]: manifest, ...files });

export async function planOn(disk: MemoryDisk, to: Revision | null): Promise<Plan<HostChange>> {
  return staticPod.plan(to, await gather(disk, staticPod, to, SPEC), SPEC);
}

/** The codes of a refusal, or `[]` for a plan. */
export async function refusalsOn(disk: MemoryDisk, to: Revision | null): Promise<readonly string[]> {
  const plan = await planOn(disk, to);
  return 'refused' in plan ? plan.refused.map((f) => f.code) : [];
}

/** Plans and does it; throws where the plan is refused. */
export async function bring(
  disk: MemoryDisk,
  to: Revision | null,
): Promise<Extract<Plan<HostChange>, { changes: unknown }>> {
  const plan = await planOn(disk, to);
  if ('refused' in plan) throw new Error(`refused: ${plan.refused.map((f) => `${f.code} ${f.message}`).join('; ')}`);
  if (hasErrors(plan.findings)) throw new Error('a plan with errors');
  const guarded = await applyAll(disk, plan.changes);
  if (guarded !== null) throw new Error(`guarded: ${guarded.path}`);
  return plan;
}

export async function driftOn(disk: MemoryDisk, to: Revision | null): Promise<readonly string[]> {
  const findings = staticPod.verify(to, await gather(disk, staticPod, to, SPEC), SPEC);
  return findings.map((f) => `${f.code} ${f.path}`);
}
