/** Inputs of the renderer's tests. */
import type { LayerSpec } from '../../src/api/auditconfig.ts';
import { NEWEST, OLDEST } from '../../src/api/versions.ts';
import type { Minor } from '../../src/api/versions.ts';
import { effectiveOf } from '../../src/config/merge.ts';
import type { Reference } from '../../src/render/references.ts';
import { buildRevision } from '../../src/render/revision.ts';
import type { Rendered } from '../../src/render/revision.ts';
import type { Revision } from '../../src/render/types.ts';
import { Secret } from '../../src/render/types.ts';

export const BOTH: readonly Minor[] = [OLDEST, NEWEST];

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (data: Uint8Array | undefined): string => new TextDecoder().decode(data);

export const holding = (data: Readonly<Record<string, string>>): Reference => ({
  found: true,
  data: new Secret(Object.fromEntries(Object.entries(data).map(([k, v]) => [k, bytes(v)]))),
});

export const WEBHOOK = `apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "https://audit.example.org"}}]
users: [{name: a, user: {token: CANARY-token}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
current-context: a
`;

type Options = { policy?: Reference; webhook?: Reference; versions?: readonly Minor[] };

export function render(spec: LayerSpec, { policy, webhook, versions = BOTH }: Options = {}): Rendered {
  const references = { ...(policy && { policy }), ...(webhook && { webhook }) };
  return buildRevision({ effective: effectiveOf(spec), references, versions });
}

/** A revision, or the findings that prevented it as the reason why the test fails. */
export function revisionOf(rendered: {
  readonly revision?: Revision;
  readonly findings: readonly unknown[];
}): Revision {
  if (rendered.revision === undefined) throw new Error(JSON.stringify(rendered.findings));
  return rendered.revision;
}
