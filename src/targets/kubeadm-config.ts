/**
 * `kubeadmConfig: Sync`: keeps the ConfigMap kube-system/kubeadm-config in step with a revision, so that `kubeadm upgrade`
 * and `kubeadm join` render our flags and mounts (docs/decisions/0007). Only audit flags and two volumes of apiServer are
 * edited, and removal gives back what was there, byte for byte if nobody wrote since. What it must remember for that
 * stands in an annotation of the same ConfigMap. Pure; called by the controller.
 */
import { z } from 'zod';
import { hasErrors } from '../api/findings.ts';
import type { Finding } from '../api/findings.ts';
import type { Revision } from '../render/types.ts';
import { sameValue } from './audit-flags.ts';
import { isWithin, resolveFlags, sha256, tidyPath } from './host-layout.ts';
import type { HostLayout } from './host-layout.ts';
import { editClusterConfiguration, readClusterConfiguration } from './kubeadm-config/document.ts';
import type { ClusterConfiguration, ExtraArg, ExtraVolume, Wanted } from './kubeadm-config/document.ts';
import { refusal } from './refusal.ts';
import { at, textOf } from './static-pod/manifest.ts';
import type { Read } from './static-pod/manifest.ts';
import { missingMounts, OWN_VOLUMES, REVISIONS_VOLUME } from './static-pod/mounts.ts';
import type { Mount, Need } from './static-pod/mounts.ts';

export const KUBEADM_CONFIG = { namespace: 'kube-system', name: 'kubeadm-config' } as const;
export const KUBEADM_CONFIG_KEY = 'ClusterConfiguration';
/** kubeadm keeps annotations when it writes the ConfigMap anew (upload-config, upgrade). */
export const KUBEADM_ANNOTATION = 'auditconfig.dev/kubeadm-config';

/** kubeadm writes its manifests there, whatever it is told. */
const MANIFESTS_DIR = '/etc/kubernetes/manifests';

/** The AuditConfig that kubeadm-config follows. */
export type KubeadmOwner = { readonly namespace: string; readonly name: string; readonly uid: string };

const recordSchema = z.object({
  version: z.literal(1),
  owner: z.object({ namespace: z.string().max(63), name: z.string().max(253), uid: z.string().max(128) }),
  /** The revision that kubeadm-config names: its files must be on every node. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  /** The ClusterConfiguration without our edit, and the hash of the one with it. */
  before: z.string(),
  after: z.string().regex(/^[0-9a-f]{64}$/),
});
export type KubeadmRecord = Readonly<z.infer<typeof recordSchema>>;

/** What of ours is in the ConfigMap; `Unreadable` where the annotation is no record of this program. */
export function kubeadmRecord(annotation: string | undefined): KubeadmRecord | 'None' | 'Unreadable' {
  if (annotation === undefined) return 'None';
  try {
    return recordSchema.parse(JSON.parse(annotation));
  } catch {
    return 'Unreadable';
  }
}

export type KubeadmConfig = {
  /** data.ClusterConfiguration */
  readonly text: string | undefined;
  readonly annotation: string | undefined;
};

export type KubeadmPlan =
  | { readonly kind: 'Same' }
  /** `annotation` null: it goes. `text` may be what is there already. */
  | {
      readonly kind: 'Write';
      readonly text: string;
      readonly annotation: string | null;
      readonly findings: readonly Finding[];
    }
  | { readonly kind: 'Refused'; readonly findings: readonly Finding[] };

const hash = (text: string): string => sha256(new TextEncoder().encode(text));
const no = (findings: readonly Finding[]): KubeadmPlan => ({ kind: 'Refused', findings });

/** kube-apiserver takes `_` for `-` in names. */
const nameOf = (a: ExtraArg): string => a.name.replaceAll('_', '-');
const isAudit = (a: ExtraArg): boolean => nameOf(a).startsWith('audit-');
const auditArgs = (c: ClusterConfiguration): readonly ExtraArg[] => c.args.filter(isAudit);

/** Our edit, or a part of it, is in there. */
const isOurs = (c: ClusterConfiguration, layout: HostLayout): boolean =>
  c.args.some((a) => isAudit(a) && isWithin(a.value, layout.revisionsDir)) ||
  c.volumes.some((v) => v.name === REVISIONS_VOLUME && v['hostPath'] === layout.revisionsDir);

/** Where an audit flag stands already it keeps its place; those that are not wanted go, the rest comes behind. */
function withAuditArgs(args: readonly ExtraArg[], audit: readonly ExtraArg[]): readonly ExtraArg[] {
  const left = [...audit];
  const kept = args.flatMap((a): ExtraArg[] => {
    if (!isAudit(a)) return [a];
    const i = left.findIndex((w) => nameOf(w) === nameOf(a));
    const found = i < 0 ? undefined : left.splice(i, 1)[0];
    return found === undefined ? [] : [{ name: a.name, value: found.value }];
  });
  return [...kept, ...left];
}

/** The configuration as it would be without us. */
function withoutUs(
  now: ClusterConfiguration,
  record: KubeadmRecord | null,
  layout: HostLayout,
): Read<ClusterConfiguration> {
  const was = record === null ? null : readClusterConfiguration(record.before);
  if (record !== null && was !== null && 'ok' in was && record.after === hash(now.text)) return was;
  if (!isOurs(now, layout)) return { ok: now };
  const before = was !== null && 'ok' in was ? was.ok : null;
  const had = (key: string): boolean => before !== null && at(before.data, 'apiServer', key) !== undefined;
  const prune: Wanted['prune'] = [
    ...(had('extraArgs') ? [] : (['extraArgs'] as const)),
    ...(had('extraVolumes') ? [] : (['extraVolumes'] as const)),
    ...(before !== null && at(before.data, 'apiServer') === undefined ? (['apiServer'] as const) : []),
  ];
  const wanted: Wanted = {
    args: withAuditArgs(now.args, before === null ? [] : auditArgs(before)),
    volumes: now.volumes.filter((v) => !OWN_VOLUMES.includes(v.name)),
    prune,
  };
  const text = editClusterConfiguration(now, wanted);
  return text === null ? { refused: [refusal('KubeadmConfigNotExact', NOT_EXACT)] } : readClusterConfiguration(text);
}

const NOT_EXACT = 'kubeadm-config is laid out so that the edit would change more than it should.';

const mountsIn = (c: ClusterConfiguration): readonly Mount[] =>
  c.volumes.map((v) => ({
    path: tidyPath(textOf(v['mountPath']) ?? ''),
    volume: v.name,
    readOnly: v['readOnly'] === true,
    hostPath: tidyPath(textOf(v['hostPath']) ?? ''),
  }));

/** In kubeadm's order of fields. */
const volumeOf = (n: Need): ExtraVolume => ({
  hostPath: n.dir,
  mountPath: n.dir,
  name: n.volume,
  pathType: 'DirectoryOrCreate',
  ...(n.writable ? {} : { readOnly: true }),
});

const flagsOf = (to: Revision, layout: HostLayout): readonly ExtraArg[] =>
  resolveFlags(to, layout).map((f) => ({ name: f.name.replace(/^--/, ''), value: f.value }));

/** What kubeadm would render from it already does what the revision says; the last of several flags wins. */
function isInEffect(c: ClusterConfiguration, wanted: readonly ExtraArg[], missing: readonly Need[]): boolean {
  const now = new Map(auditArgs(c).map((a) => [nameOf(a), a.value]));
  const same = (a: ExtraArg): boolean => {
    const is = now.get(a.name);
    return is !== undefined && sameValue(`--${a.name}`, is, a.value);
  };
  return missing.length === 0 && now.size === wanted.length && wanted.every(same);
}

export type KubeadmInput = {
  readonly now: KubeadmConfig;
  readonly owner: KubeadmOwner;
  readonly layout: HostLayout;
};

const missingIn = (c: ClusterConfiguration, to: Revision, layout: HostLayout): ReturnType<typeof missingMounts> =>
  missingMounts({ mounts: mountsIn(c), names: c.volumes.map((v) => v.name) }, to, layout, MANIFESTS_DIR);

function install(
  to: Revision,
  now: ClusterConfiguration,
  record: KubeadmRecord | null,
  input: KubeadmInput,
): KubeadmPlan {
  const { owner, layout } = input;
  const flags = flagsOf(to, layout);
  const base = withoutUs(now, record, layout);
  if ('refused' in base) return no(base.refused);
  const inEffect = isInEffect(now, flags, missingIn(now, to, layout).missing);
  const isMine = record !== null && record.owner.uid === owner.uid && record.digest === to.digest;
  if (inEffect && isMine) return { kind: 'Same' };
  const mounts = missingIn(base.ok, to, layout);
  if (hasErrors(mounts.findings)) return no(mounts.findings);
  const wanted: Wanted = {
    args: withAuditArgs(base.ok.args, flags),
    volumes: [...base.ok.volumes, ...mounts.missing.map(volumeOf)],
    prune: [],
  };
  const text = inEffect ? now.text : editClusterConfiguration(base.ok, wanted);
  if (text === null) return no([refusal('KubeadmConfigNotExact', NOT_EXACT)]);
  const next: KubeadmRecord = { version: 1, owner, digest: to.digest, before: base.ok.text, after: hash(text) };
  return { kind: 'Write', text, annotation: JSON.stringify(next), findings: adopted(base.ok) };
}

/** What somebody had set in kubeadm-config by hand: removal gives it back. */
const adopted = (base: ClusterConfiguration): readonly Finding[] =>
  auditArgs(base).map((a) => ({
    severity: 'info',
    code: 'FlagAdopted',
    message: `${a.name} was set in kubeadm-config by hand: it is given back at removal.`,
    path: 'apiServer.extraArgs',
  }));

function remove(now: ClusterConfiguration, record: KubeadmRecord | null, input: KubeadmInput): KubeadmPlan {
  const base = withoutUs(now, record, input.layout);
  if ('refused' in base) return no(base.refused);
  return { kind: 'Write', text: base.ok.text, annotation: null, findings: [] };
}

/**
 * What to write into the ConfigMap so that kubeadm renders `to`; null takes ours out. Of a ConfigMap without our
 * annotation nothing is ever taken out. Codes of refusals: KubeadmConfigUnreadable, KubeadmConfigVersion,
 * KubeadmConfigNotExact, and those of mounts (VolumeNameTaken, LogFolderReadOnly, FolderMountedElsewhere ...).
 */
export function planKubeadmConfig(to: Revision | null, input: KubeadmInput): KubeadmPlan {
  const { text, annotation } = input.now;
  if (to === null && annotation === undefined) return { kind: 'Same' };
  if (text === undefined)
    return no([refusal('KubeadmConfigUnreadable', `kubeadm-config has no key ${KUBEADM_CONFIG_KEY}.`)]);
  const read = readClusterConfiguration(text);
  if ('refused' in read) return no(read.refused);
  const found = kubeadmRecord(annotation);
  // What cannot be read was not written by us like this; our flags are known by the folder that they name.
  const record = typeof found === 'string' ? null : found;
  return to === null ? remove(read.ok, record, input) : install(to, read.ok, record, input);
}
