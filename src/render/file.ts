/**
 * AuditConfigs without a cluster: a file holds an AuditConfig and, as further documents, the ConfigMaps and Secrets
 * that it refers to. Gives the same verdicts as API server and controller, with line and column. Called by `render`,
 * `patch`, `diff` and `lint`.
 */
import { shipsInPod } from '../api/auditconfig-target.ts';
import { API_VERSION } from '../api/auditconfig.ts';
import type { AuditConfig, AuditConfigSpec } from '../api/auditconfig.ts';
import { unsupportedByHand } from '../api/auditconfig-unsupported.ts';
import { hasErrors } from '../api/findings.ts';
import type { Finding, Position } from '../api/findings.ts';
import type { Minor } from '../api/versions.ts';
import { effectiveOf } from '../config/merge.ts';
import { parseAuditConfig } from '../config/parse.ts';
import type { EffectiveConfig } from '../config/types.ts';
import { decodeBase64 } from '../yaml/base64.ts';
import { readDocuments } from './documents.ts';
import type { FileDocument } from './documents.ts';
import type { RenderFinding, Source } from './findings.ts';
import type { Reference, References } from './references.ts';
import { buildRevision } from './revision.ts';
import { Secret } from './types.ts';
import type { Revision, Shipping } from './types.ts';

export type AuditConfigDocument = {
  readonly config: AuditConfig;
  /** What the file's other documents hold of what `config` refers to; what is not there is NotFound. */
  readonly references: References;
  /** The place of a path such as `spec.policy.rules[0].level`, or of its nearest ancestor that is there. */
  readonly locate: (path: string) => Position;
  /** The place in the file of a place in a referenced object's text. */
  readonly locateIn: (source: Source, at: Position) => Position | undefined;
};

export type AuditConfigFile = {
  readonly documents: readonly AuditConfigDocument[];
  /** All that can be said without a Kubernetes version; paths begin with `spec` or `metadata`. */
  readonly findings: readonly Finding[];
};

/** Reads every document of the file. An AuditConfig with findings of severity error is not among `documents`. */
export function loadAuditConfigFile(bytes: Uint8Array): AuditConfigFile {
  const { documents, findings } = readDocuments(bytes);
  const found: Finding[] = [...findings];
  const configs: AuditConfigDocument[] = [];
  for (const doc of documents) {
    if (REFERABLE.has(String(doc.value['kind']))) continue;
    if (doc.value['kind'] !== 'AuditConfig') {
      found.push(ignored(doc));
      continue;
    }
    const parsed = parseAuditConfig(doc.value);
    const unsupported = parsed.config === undefined ? [] : unsupportedByHand(parsed.config.spec);
    const problems = [...parsed.findings, ...unsupported].map((f) => ({ ...f, at: doc.locate(f.path) }));
    found.push(...problems);
    if (parsed.config !== undefined && !hasErrors(problems)) configs.push(documentOf(parsed.config, doc, documents));
  }
  if (configs.length === 0 && !hasErrors(found)) found.push(noConfig);
  return { documents: configs, findings: found };
}

const REFERABLE: ReadonlySet<string> = new Set(['ConfigMap', 'Secret']);

const noConfig: Finding = {
  severity: 'error',
  code: 'NoAuditConfig',
  path: '',
  message: `the file holds no AuditConfig (apiVersion: ${API_VERSION}, kind: AuditConfig)`,
};

const ignored = ({ value, locate }: FileDocument): Finding => ({
  severity: 'info',
  code: 'DocumentIgnored',
  path: 'kind',
  message: `a document of kind ${typeof value['kind'] === 'string' ? value['kind'] : 'unknown'} is not looked at`,
  at: locate('kind'),
});

type Named = { readonly kind: 'ConfigMap' | 'Secret'; readonly name: string };

function documentOf(config: AuditConfig, doc: FileDocument, all: readonly FileDocument[]): AuditConfigDocument {
  const namespace = config.metadata.namespace ?? '';
  const find = ({ kind, name }: Named): FileDocument | undefined =>
    all.find((d) => d.value['kind'] === kind && sameName(d.value['metadata'], name, namespace));
  const [policy, webhook] = wantedBy(config.spec);
  return {
    config,
    references: {
      ...(policy === undefined ? {} : { policy: referenceOf(find(policy)) }),
      ...(webhook === undefined ? {} : { webhook: referenceOf(find(webhook)) }),
    },
    locate: doc.locate,
    locateIn: (source, at) => {
      const object = find(source);
      if (object === undefined) return undefined;
      const field = ['stringData', 'data'].find((f) => keyed(object.value[f], source.key) !== undefined) ?? 'data';
      // What stands in base64 has no lines.
      const plain = source.kind === 'ConfigMap' || field === 'stringData';
      const path = `${field}[${source.key}]`;
      return plain ? object.inside(path, at) : object.locate(path);
    },
  };
}

function wantedBy({ policy, webhook }: AuditConfigSpec): readonly [Named | undefined, Named | undefined] {
  const ofPolicy =
    policy?.secretRef !== undefined
      ? ({ kind: 'Secret', name: policy.secretRef.name } as const)
      : policy?.configMapRef !== undefined
        ? ({ kind: 'ConfigMap', name: policy.configMapRef.name } as const)
        : undefined;
  return [ofPolicy, webhook === undefined ? undefined : { kind: 'Secret', name: webhook.secretRef.name }];
}

const isMap = (v: unknown): v is Readonly<Record<string, unknown>> =>
  typeof v === 'object' && v !== null && !Array.isArray(v);
const keyed = (data: unknown, key: string): unknown =>
  isMap(data) && Object.hasOwn(data, key) ? data[key] : undefined;

/** The same namespace; a file that names none means the same for all its documents. */
const sameName = (metadata: unknown, name: string, namespace: string): boolean =>
  isMap(metadata) && metadata['name'] === name && (metadata['namespace'] ?? '') === namespace;

/** As an API server would store it: stringData wins over data. */
export function referenceOf(doc: Pick<FileDocument, 'value'> | undefined): Reference {
  if (doc === undefined) return { found: false, why: 'NotFound' };
  const data: Record<string, Uint8Array> = {};
  const isSecret = doc.value['kind'] === 'Secret';
  for (const field of isSecret ? ['data', 'stringData'] : ['data', 'binaryData']) {
    const inBase64 = field === 'binaryData' || (isSecret && field === 'data');
    for (const [key, value] of Object.entries(isMap(doc.value[field]) ? doc.value[field] : {})) {
      const bytes =
        typeof value !== 'string' ? undefined : inBase64 ? decodeBase64(value) : new TextEncoder().encode(value);
      if (bytes === undefined) return { found: false, why: 'Unreadable' };
      data[key] = bytes;
    }
  }
  return { found: true, data: new Secret(data) };
}

export type RenderedFile = {
  readonly config?: AuditConfig;
  readonly effective?: EffectiveConfig;
  /** Absent where a finding is an error, and where state is Disabled. */
  readonly revision?: Revision;
  readonly shipping?: Shipping;
  /** As AuditConfigDocument.locate. */
  readonly locate?: (path: string) => Position;
  readonly findings: readonly Finding[];
};

/** The whole way from a file with exactly one AuditConfig to its revision; findings are placed in the file. */
export function renderFile(bytes: Uint8Array, versions: readonly Minor[]): RenderedFile {
  const { documents, findings } = loadAuditConfigFile(bytes);
  const [document, second] = documents;
  if (document === undefined || hasErrors(findings)) return { findings };
  if (second !== undefined) return { findings: [...findings, several] };
  const rendered = renderDocument(document, versions);
  return { ...rendered, findings: [...findings, ...rendered.findings] };
}

/** What is to be said about each AuditConfig of a file, however many it holds. */
export function lintFile(bytes: Uint8Array, versions: readonly Minor[]): readonly Finding[] {
  const { documents, findings } = loadAuditConfigFile(bytes);
  return [...findings, ...documents.flatMap((d) => renderDocument(d, versions).findings)];
}

function renderDocument(document: AuditConfigDocument, versions: readonly Minor[]): RenderedFile {
  const { config, references } = document;
  const effective = effectiveOf(config.spec);
  const shipper = shipsInPod(config.spec.target.type) ? ({ shipper: 'InPod' } as const) : {};
  const { revision, shipping, findings: rendered } = buildRevision({ effective, references, versions, ...shipper });
  return {
    config,
    effective,
    ...(revision === undefined ? {} : { revision }),
    ...(shipping === undefined ? {} : { shipping }),
    locate: document.locate,
    findings: rendered.map((f) => inFile(f, document)),
  };
}

const several: Finding = {
  severity: 'error',
  code: 'SeveralAuditConfigs',
  path: '',
  message: 'the file holds more than one AuditConfig: give one at a time',
};

/** A place in a referenced object becomes one in the file; every other finding stands where its field does. */
function inFile(finding: RenderFinding, document: AuditConfigDocument): Finding {
  const { source, at, ...rest } = finding;
  const inObject = source !== undefined && at !== undefined ? document.locateIn(source, at) : undefined;
  return { ...rest, at: inObject ?? document.locate(finding.path) };
}
