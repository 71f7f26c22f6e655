/**
 * The Kubernetes version of a node that has no API to ask: what the image of its kube-apiserver's manifest says. Called
 * by `patch`, `diff` and `prestage`.
 */
import type { Finding } from '../api/findings.ts';
import { isTested, NEWEST, OLDEST, parseMinor } from '../api/versions.ts';
import type { Minor } from '../api/versions.ts';
import { serverView } from '../targets/static-pod/server.ts';

/** Undefined where there is no manifest, and where its image's tag is no version. */
export function versionOfManifest(manifest: Uint8Array | null): Minor | undefined {
  const image = manifest === null ? '' : (serverView(manifest)?.image ?? '');
  return parseMinor(/:(v?1\.[^@/:]+)(?:@.*)?$/.exec(image)?.[1] ?? '');
}

/** A guess is better than nothing here, where the flag would refuse: the manifest says what runs, whether we like it or not. */
export const untested = (version: Minor): readonly Finding[] =>
  isTested(version)
    ? []
    : [
        {
          severity: 'warning',
          code: 'KubernetesVersionUntested',
          message: `The image is Kubernetes ${version}, and this program knows ${OLDEST} to ${NEWEST}: policy and flags are judged by the nearest of these.`,
          path: '',
        },
      ];
