/**
 * A kind of place as the node room needs it: one small record in which target and spec are bound together. Everything that
 * differs between a static pod, a unit, K3s and RKE2 is behind it; what installs, follows, rolls back and watches is the
 * same for all. Made by the agent, the guard and tests.
 */
import { DEFAULT_UNIT } from '../api/auditconfig-target.ts';
import type { NodeTargetType } from '../api/auditconfig-target.ts';
import type { AuditNodeSpec } from '../api/auditnode.ts';
import type { Finding } from '../api/findings.ts';
import type { Disk } from '../host/types.ts';
import type { Revision } from '../render/types.ts';
import { withText } from '../targets/bookkeeping.ts';
import { baseOf } from '../targets/host-layout.ts';
import type { HostLayout } from '../targets/host-layout.ts';
import { k3s, rke2 } from '../targets/rancher.ts';
import type { ServerView } from '../targets/server.ts';
import { serverView } from '../targets/static-pod/server.ts';
import { namedBy, staticPod } from '../targets/static-pod.ts';
import type { StaticPodSpec } from '../targets/static-pod.ts';
import { systemd } from '../targets/systemd.ts';
import type { Changed, HostChange, HostObserved, HostPath, HostTarget, Image, Plan } from '../targets/types.ts';
import { gather } from './gather.ts';
import { sourcesFrom } from './sources.ts';
import type { Sources } from './sources.ts';

/** What a text of the edited file would mean, beside the other files as they were read. */
export type View = (text: string | null) => ServerView | null;

export type Place = {
  readonly kind: NodeTargetType;
  /** The place's name on this host: a static pod's manifest, a unit's file, our drop-in. Records are kept under it. */
  readonly manifest: HostPath;
  readonly layout: HostLayout;
  readonly gather: (disk: Disk, to: Revision | null) => Promise<HostObserved>;
  /** `adopts` false: what was set by hand is taken over with a restart, though it looks right. */
  readonly plan: (to: Revision | null, seen: HostObserved, adopts?: boolean) => Plan<HostChange>;
  readonly verify: (to: Revision | null, seen: HostObserved) => readonly Finding[];
  readonly edited: (seen: HostObserved) => HostPath | null;
  readonly server: (seen: HostObserved) => ServerView | null;
  readonly named: (seen: HostObserved) => readonly HostPath[];
  readonly changed: (before: string | null, seen: HostObserved) => Changed;
  /** What says how the API server is started, as it is now. */
  readonly sources: (disk: Disk) => Promise<Sources>;
  /** What the files of this host say about its API server now; null where they cannot be read. */
  readonly now: (disk: Disk) => Promise<ServerView | null>;
  /** One edit of ours taken out of a text that somebody changed since; undefined where that is not safe. */
  readonly revert: (disk: Disk, current: string, image: Image) => Promise<string | null | undefined>;
  /** Reads what stands around the file now; a static pod's manifest says all by itself. */
  readonly view: (disk: Disk, file: HostPath) => Promise<View>;
};

type Bound<S> = { readonly kind: NodeTargetType; readonly manifest: HostPath; readonly spec: S };

function bind<S extends { readonly layout: HostLayout; readonly adopts?: boolean }>(
  target: HostTarget<S>,
  { kind, manifest, spec }: Bound<S>,
): Place {
  const read = (disk: Disk, to: Revision | null): Promise<HostObserved> => gather(disk, target, to, spec);
  return {
    kind,
    manifest,
    layout: spec.layout,
    gather: read,
    plan: (to, seen, adopts) => target.plan(to, seen, adopts === undefined ? spec : { ...spec, adopts }),
    verify: (to, seen) => target.verify(to, seen, spec),
    edited: (seen) => target.edited(seen, spec),
    server: (seen) => target.server(seen, spec),
    named: (seen) => target.named(seen, spec),
    changed: (before, seen) => target.changed(before, seen, spec),
    sources: async (disk) => {
      const seen = await read(disk, null);
      const [reads, edited] = [target.sources(seen, spec), target.edited(seen, spec)];
      return sourcesFrom({
        reads,
        named: target.named(seen, spec),
        edited,
        server: target.server(seen, spec),
        files: seen.files,
      });
    },
    now: async (disk) => target.server(await read(disk, null), spec),
    revert: async (disk, current, image) => target.revert(current, image, await read(disk, null), spec),
    view: async (disk, file) => {
      const seen = await read(disk, null);
      return (text) => target.server(withText(seen, file, text), spec);
    },
  };
}

/** Where kubeadm has it. */
export const MANIFEST = '/etc/kubernetes/manifests/kube-apiserver.yaml';

/** Its manifest says all by itself: nothing else is read for it, and it is read often. */
export const staticPodPlace = (spec: StaticPodSpec): Place => ({
  ...bind(staticPod, { kind: 'StaticPod', manifest: spec.manifest, spec }),
  sources: async (disk) => {
    const bytes = await disk.read(spec.manifest);
    const named = namedBy(bytes);
    const files = new Map([[spec.manifest, bytes === null ? null : { bytes }]]);
    for (const path of named) {
      const file = await disk.read(path);
      files.set(path, file === null ? null : { bytes: file });
    }
    const reads = [{ read: 'File', path: spec.manifest }] as const;
    const server = bytes === null ? null : serverView(bytes);
    return sourcesFrom({ reads, named, edited: spec.manifest, server, files });
  },
  now: async (disk) => {
    const bytes = await disk.read(spec.manifest);
    return bytes === null ? null : serverView(bytes);
  },
  view: async () => (text) => (text === null ? null : serverView(new TextEncoder().encode(text))),
});

/** `dir`: where a copy of the unit lies that somebody works on. */
export const systemdPlace = (unit: string, layout: HostLayout, dir?: HostPath): Place =>
  bind(systemd, {
    kind: 'Systemd',
    manifest: `${dir ?? '/etc/systemd/system'}/${unit}`,
    spec: { unit, layout, ...(dir === undefined ? {} : { dir }) },
  });

export const rancherPlace = (kind: 'K3s' | 'RKE2', layout: HostLayout): Place => {
  const [target, name] = kind === 'K3s' ? ([k3s, 'k3s'] as const) : ([rke2, 'rke2'] as const);
  return bind(target, { kind, manifest: `/etc/rancher/${name}/config.yaml.d/99-auditconfig.yaml`, spec: { layout } });
};

/** The AuditConfig speaks of another kind of place than this one: with it nothing here is touched. */
export function mismatch(target: AuditNodeSpec['target'], { kind, manifest }: Place): Finding | undefined {
  const asked = target ?? { type: 'StaticPod' as const };
  const unit = asked.type === 'Systemd' ? (asked.unit ?? DEFAULT_UNIT) : undefined;
  if (asked.type === kind && (unit === undefined || unit === baseOf(manifest))) return undefined;
  const [theirs, ours] = [unit ?? asked.type, kind === 'Systemd' ? baseOf(manifest) : kind];
  const message = `The AuditConfig is for ${theirs}, and this is ${ours}: change spec.target, or --target and --unit.`;
  return { severity: 'error', code: 'TargetMismatch', message, path: 'spec.target' };
}
