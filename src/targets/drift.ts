/** Differences that every host target knows: of the audit flags in effect, and of the revision's files. */
import type { Finding } from '../api/findings.ts';
import type { Revision } from '../render/types.ts';
import { sameValue } from './audit-flags.ts';
import { filesOf, resolveFlags, sha256 } from './host-layout.ts';
import type { HostLayout } from './host-layout.ts';
import { refusal } from './refusal.ts';
import type { HostObserved } from './types.ts';

export function flagDrift(now: ReadonlyMap<string, string>, to: Revision, layout: HostLayout): readonly Finding[] {
  const want = new Map(resolveFlags(to, layout).map((f) => [f.name, f.value]));
  const differing = [...want].flatMap(([name, value]): Finding[] => {
    const is = now.get(name);
    if (is !== undefined && sameValue(name, is, value)) return [];
    return [refusal('FlagDrift', `${name} is ${is ?? 'not set'}; the revision has ${value}.`, name)];
  });
  const extra = [...now.keys()].filter((n) => !want.has(n));
  return [...differing, ...extra.map((n) => refusal('FlagDrift', `${n} is set; the revision does not have it.`, n))];
}

export function fileDrift(to: Revision, seen: HostObserved, layout: HostLayout): readonly Finding[] {
  return filesOf(to, layout).flatMap(({ path, bytes, isCredential }): Finding[] => {
    const file = seen.files.get(path) ?? null;
    if (file !== null && sha256(file.bytes) === sha256(bytes)) return [];
    const what = `${path} is ${file === null ? 'not there' : 'not what the revision holds'}.`;
    return [isCredential ? refusal('CredentialsDrift', what, path) : refusal('FileDrift', what, path)];
  });
}
