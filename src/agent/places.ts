/**
 * Which kind of place this agent looks after: its options, and the hands that each kind needs. Where systemd starts the API
 * server the agent is a service of the host itself (deploy/systemd): it needs no API server to be started, so after a
 * reboot it is its own guard. Called by agent.ts.
 */
import { DEFAULT_UNIT, isNodeTarget, NODE_TARGETS, TARGET_TYPES, unitName } from '../api/auditconfig-target.ts';
import type { NodeTargetType } from '../api/auditconfig-target.ts';
import { adminFiles } from '../host/admin-files.ts';
import { systemdUnits } from '../host/systemd.ts';
import { realHost } from '../node/host.ts';
import type { NodeHost } from '../node/host.ts';
import { MANIFEST, rancherPlace, staticPodPlace, systemdPlace } from '../node/place.ts';
import type { Place } from '../node/place.ts';
import { DEFAULT_LAYOUT } from '../targets/host-layout.ts';

export type PlaceOptions = {
  readonly kind: NodeTargetType;
  readonly manifest: string;
  readonly unit: string;
  readonly dataDir: string;
};

type Values = Readonly<Partial<Record<'target' | 'manifest' | 'unit' | 'data-dir', string>>>;

const DATA_DIRS: Readonly<Record<NodeTargetType, string>> = {
  StaticPod: '',
  Systemd: '',
  K3s: '/var/lib/rancher/k3s',
  RKE2: '/var/lib/rancher/rke2',
};

/** The options, or a message about wrong usage. */
export function parsePlace(values: Values): PlaceOptions | { readonly usage: string } {
  const asked = (values.target ?? 'StaticPod').toLowerCase();
  const kind = TARGET_TYPES.find((t) => t.toLowerCase() === asked);
  if (kind === undefined || !isNodeTarget(kind)) return { usage: `--target must be one of ${NODE_TARGETS.join(', ')}` };
  const manifest = values.manifest ?? MANIFEST;
  if (!manifest.startsWith('/')) return { usage: '--manifest must be an absolute path, as the host sees it' };
  const unit = values.unit ?? DEFAULT_UNIT;
  if (!unitName.safeParse(unit).success) return { usage: '--unit must be the name of a service: NAME.service' };
  return { kind, manifest, unit, dataDir: values['data-dir'] ?? DATA_DIRS[kind] };
}

export function placeFrom({ kind, manifest, unit }: PlaceOptions): Place {
  switch (kind) {
    case 'StaticPod':
      return staticPodPlace({ manifest, layout: DEFAULT_LAYOUT });
    case 'Systemd':
      return systemdPlace(unit, DEFAULT_LAYOUT);
    case 'K3s':
    case 'RKE2':
      return rancherPlace(kind, DEFAULT_LAYOUT);
  }
}

/** What the agent does things with there: only where systemd starts the API server may it restart units. */
export function hostFor(o: PlaceOptions, where: { readonly root: string; readonly proc: string }): NodeHost {
  const units = o.kind === 'StaticPod' ? {} : { units: systemdUnits(where.proc) };
  const credentials = o.dataDir === '' ? {} : { credentials: () => adminFiles(where.root, o.dataDir) };
  return realHost({ ...where, ...units, ...credentials });
}
