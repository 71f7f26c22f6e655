/** Bundles: what is published, and that an agent which reads one trusts nothing but the digest it asked for. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toBase64 } from '../../src/render/base64.ts';
import { bundleName, credentialsName, webhookName } from '../../src/render/bundle/names.ts';
import { fromBundle } from '../../src/render/bundle/read.ts';
import { toBundle } from '../../src/render/bundle/write.ts';
import type { BundleObject } from '../../src/render/bundle/write.ts';
import { digestOf } from '../../src/render/digest.ts';
import type { AuditFlag, FlagValue, Revision } from '../../src/render/types.ts';
import { Secret } from '../../src/render/types.ts';
import { credentialFiles, credentialsDigest, salted } from '../../src/render/webhook/credentials.ts';
import { decodeBase64 } from '../../src/yaml/base64.ts';
import { bytes, holding, render, revisionOf, text, WEBHOOK } from './inputs.ts';

const POLICY = 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata, users: [CANARY-user]}]\n';
const plain = revisionOf(render({ policy: { preset: 'recommended' } }));
const hooked = revisionOf(
  render({ webhook: { secretRef: { name: 'w' } } }, { webhook: holding({ 'webhook.yaml': WEBHOOK }) }),
);
const secret = revisionOf(
  render({ policy: { secretRef: { name: 'p' } } }, { policy: holding({ 'policy.yaml': POLICY }) }),
);

const versions = ['1.36'] as const;
const read = (revision: Revision, objects = toBundle(revision, 'n')) =>
  fromBundle({
    bundle: objects[0],
    webhook: objects[1],
    credentials: objects[2],
    digest: revision.digest,
    versions,
  });
const codes = (r: { findings: readonly { code: string }[] }): string[] => r.findings.map((f) => f.code);

/** A revision as a forger would publish it: any content, with the digest that belongs to it. */
function forged(base: Revision, changes: Partial<Revision>): Revision {
  const content = { ...base, ...changes };
  return { ...content, digest: digestOf(content) };
}
const withFlag = (name: string, value: FlagValue): Revision =>
  forged(plain, {
    flags: [...plain.flags.filter((f) => f.name !== name), { name: name as AuditFlag, value }],
  });

describe('what is published', () => {
  it('is one immutable ConfigMap, named and labelled by the digest', () => {
    const objects = toBundle(plain, 'auditconfig-bundles');
    expect(objects).toHaveLength(1);
    expect(objects[0]).toMatchObject({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      immutable: true,
      metadata: {
        name: bundleName(plain.digest),
        namespace: 'auditconfig-bundles',
        labels: {
          'app.kubernetes.io/managed-by': 'auditconfig',
          'auditconfig.dev/revision': plain.digest.slice(0, 16),
        },
      },
    });
    expect(objects[0]?.data['policy.yaml']).toBe(text(plain.policy));
  });

  it('is an immutable Secret where the policy came from one', () => {
    const [object] = toBundle(secret, 'n');
    expect(object).toMatchObject({ kind: 'Secret', type: 'Opaque', immutable: true });
    expect(JSON.stringify(object)).not.toContain('CANARY');
  });

  it('keeps the kubeconfig of a webhook in a Secret of its own', () => {
    const [policy, webhook, credentials, ...more] = toBundle(hooked, 'n');
    expect(more).toEqual([]);
    expect(policy?.kind).toBe('ConfigMap');
    expect(webhook).toMatchObject({ kind: 'Secret', immutable: true, metadata: { name: webhookName(hooked.digest) } });
    const name = credentialsName(hooked.digest, credentialsDigest(hooked.credentials?.reveal() ?? {}));
    expect(credentials).toMatchObject({ kind: 'Secret', immutable: true, metadata: { name } });
    expect(credentials?.data).toEqual({ token: toBase64(bytes('CANARY-token')) });
    expect(JSON.stringify(policy)).not.toContain('CANARY');
    expect(text(hooked.webhook?.reveal())).not.toContain('CANARY');
  });

  it.each([
    ['a ConfigMap', plain],
    ['a webhook', hooked],
    ['a Secret', secret],
  ])('comes back as it was: %s', (_name, revision) => {
    const { revision: again, findings } = read(revision);
    expect(findings).toEqual([]);
    expect(again).toEqual({ ...revision, versions });
    expect(text(again?.webhook?.reveal())).toBe(text(revision.webhook?.reveal()));
    expect(again?.confidential).toBe(revision.confidential);
  });
});

describe('what an agent reads', () => {
  const [object] = toBundle(plain, 'n');
  const tampered = (data: Record<string, string>): BundleObject[] =>
    object === undefined ? [] : [{ ...object, data: { ...object.data, ...data } }];

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['a string', 'x'],
    ['another kind', { ...object, kind: 'Pod' }],
    ['no data', { ...object, data: undefined }],
    ['no policy', { ...object, data: { 'revision.json': object?.data['revision.json'] } }],
    ['no flags', { ...object, data: { 'policy.yaml': '' } }],
    ['flags that are no JSON', { ...object, data: { ...object?.data, 'revision.json': '{' } }],
    ['a Secret that is no base64', { ...object, kind: 'Secret' }],
  ])('is refused when it is %s', (_name, bundle) => {
    expect(codes(fromBundle({ bundle, digest: plain.digest, versions }))).toEqual(['BundleMalformed']);
  });

  it('is refused when its content does not hash to the digest that was asked for', () => {
    expect(codes(read(plain, tampered({ 'policy.yaml': `${text(plain.policy)} ` })))).toEqual(['BundleDigest']);
    const json = object?.data['revision.json'] ?? '';
    expect(codes(read(plain, tampered({ 'revision.json': json.replace('"30"', '"31"') })))).toEqual(['BundleDigest']);
    expect(codes(fromBundle({ bundle: object, digest: secret.digest, versions }))).toEqual(['BundleDigest']);
  });

  it('is refused without the webhook that it speaks of, or with another one', () => {
    const [policy, webhook] = toBundle(hooked, 'n');
    expect(codes(fromBundle({ bundle: policy, digest: hooked.digest, versions }))).toEqual(['BundleWebhookMissing']);
    const other = { ...webhook, data: { 'webhook.yaml': toBase64(bytes('{}')) } };
    expect(codes(fromBundle({ bundle: policy, webhook: other, digest: hooked.digest, versions }))).toEqual([
      'BundleDigest',
    ]);
  });

  it.each<[string, Revision]>([
    ['a flag that is not about auditing', withFlag('--authorization-mode', 'AlwaysAllow')],
    ['an audit flag that is not rendered here', withFlag('--audit-webhook-batch-initial-backoff', '1s')],
    ['a value that breaks out of its flag', withFlag('--audit-log-maxage', '30\n- --anonymous-auth=true')],
    ['a file by a path of its own', withFlag('--audit-policy-file', '/etc/shadow')],
    ['the wrong file', withFlag('--audit-policy-file', { file: 'webhook' })],
    ['a log by a path of its own', withFlag('--audit-log-path', '/etc/kubernetes/manifests/x')],
    ['a log name that climbs', withFlag('--audit-log-path', { dir: 'log', name: '../../etc/x' })],
    ['a log name with a slash', withFlag('--audit-log-path', { dir: 'log', name: 'a/b' })],
    ['a webhook without its kubeconfig', withFlag('--audit-webhook-config-file', { file: 'webhook' })],
    ['a flag twice', forged(plain, { flags: [...plain.flags, ...plain.flags.slice(0, 1)] })],
    ['no policy file', forged(plain, { flags: plain.flags.filter((f) => f.name !== '--audit-policy-file') })],
    ['a log folder that belongs to others', forged(plain, { logDir: '/etc/kubernetes/manifests' })],
    [
      'a log folder without a log',
      forged(plain, { flags: plain.flags.map((f) => (f.name === '--audit-log-path' ? { ...f, value: '-' } : f)) }),
    ],
    ['a name of an object of JavaScript', withFlag('__proto__', 'x')],
  ])('is refused, in spite of a digest that fits, when it holds %s', (_name, revision) => {
    const r = read(revision);
    expect(r.revision).toBeUndefined();
    expect(
      codes(r).every((c) => ['BundleFlag', 'LogFolderForbidden', 'LogPathInvalid'].includes(c)),
      codes(r).join(),
    ).toBe(true);
    expect(r.findings.length).toBeGreaterThan(0);
  });

  it('is refused when the policy does not load on the running version', () => {
    const wide = forged(plain, {
      policy: bytes('apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None, resources: [{group: "*"}]}]\n'),
    });
    const [bundle] = toBundle(wide, 'n');
    expect(codes(fromBundle({ bundle, digest: wide.digest, versions: ['1.35'] }))).toEqual(['InvalidPolicy']);
    expect(codes(fromBundle({ bundle, digest: wide.digest, versions: ['1.36'] }))).toEqual([]);
  });

  it('is refused when the kubeconfig was not rendered here, whatever it would do', () => {
    const kubeconfig = text(hooked.webhook?.reveal()).replace('"token"', '"/etc/shadow"');
    const r = read(forged(hooked, { webhook: new Secret(bytes(kubeconfig)) }));
    expect(codes(r)).toEqual(['BundleWebhook']);
  });

  it('is refused without the credentials that its kubeconfig names, and with others than were asked for', () => {
    const [bundle, webhook, credentials] = toBundle(hooked, 'n');
    const digest = hooked.digest;
    const asked = credentialsDigest(hooked.credentials?.reveal() ?? {});
    expect(codes(fromBundle({ bundle, webhook, digest, versions }))).toEqual(['BundleCredentials']);
    expect(codes(fromBundle({ bundle, webhook, digest, versions, credentialsDigest: asked }))).toEqual([
      'BundleCredentials',
    ]);
    const all = { bundle, webhook, credentials, digest, versions };
    expect(codes(fromBundle({ ...all, credentialsDigest: asked }))).toEqual([]);
    const other = { ...credentials, data: { token: toBase64(bytes('CANARY-other')) } };
    const r = fromBundle({ ...all, credentials: other, credentialsDigest: asked });
    expect(codes(r)).toEqual(['BundleCredentials']);
    expect(JSON.stringify(r)).not.toContain('CANARY');
    const broken = { ...credentials, data: { token: toBase64(bytes('a\nb')) } };
    expect(codes(fromBundle({ ...all, credentials: broken }))).toEqual(['BundleWebhook']);
    const more = { ...credentials, data: { ...credentials?.data, 'client.pem': toBase64(bytes('x')) } };
    expect(codes(fromBundle({ ...all, credentials: more }))).toEqual(['BundleWebhook']);
  });

  it('tells no content of a confidential policy', () => {
    const broken = forged(secret, {
      policy: bytes('apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: CANARY}]\n'),
    });
    const r = read(broken);
    expect(codes(r)).toEqual(['InvalidPolicy']);
    expect(JSON.stringify(r.findings)).not.toContain('CANARY');
  });
});

describe('base64', () => {
  it('is what Node writes, and comes back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (data) => {
        expect(toBase64(data)).toBe(Buffer.from(data).toString('base64'));
        expect(decodeBase64(toBase64(data))).toEqual(data);
      }),
    );
  });
});

describe('the digest of credentials, which AuditNodes and statuses show', () => {
  const files = { token: bytes('hunter2') };
  const by = (key: string, of: string) => ({ key: bytes(key), of: bytes(of) });

  it('is not what anybody can compute from a token that he tries', () => {
    const plain = credentialsDigest(files);
    const shown = credentialsDigest(salted(files, by('key', 'kubeconfig')));
    expect(shown).not.toBe(plain);
    expect(credentialsDigest(salted(files, by('key', 'kubeconfig')))).toBe(shown);
    expect(credentialsDigest(salted(files, by('other', 'kubeconfig')))).not.toBe(shown);
    expect(credentialsDigest(salted(files, by('key', 'another')))).not.toBe(shown);
    expect(credentialsDigest(salted({ token: bytes('hunter3') }, by('key', 'kubeconfig')))).not.toBe(shown);
  });

  it('is told from what is published, salt and all, and no salt reaches a node’s disk', () => {
    const revision = {
      ...hooked,
      credentials: new Secret(salted(hooked.credentials?.reveal() ?? {}, by('key', 'kubeconfig'))),
    };
    const asked = credentialsDigest(revision.credentials.reveal());
    const [bundle, webhook, credentials] = toBundle(revision, 'b');
    expect(credentials?.metadata.name).toBe(credentialsName(hooked.digest, asked));
    expect(Object.keys(credentials?.data ?? {})).toContain('salt');
    const { digest, versions } = hooked;
    const read = fromBundle({ bundle, webhook, credentials, digest, versions, credentialsDigest: asked });
    expect(read.findings).toEqual([]);
    expect(credentialFiles(read.revision?.credentials?.reveal() ?? {}).map((f) => f.name)).not.toContain('salt');
    const { salt: _salt, ...unsalted } = credentials?.data ?? {};
    const bare = fromBundle({ bundle, webhook, credentials: { ...credentials, data: unsalted }, digest, versions, credentialsDigest: asked }); // prettier-ignore
    expect(bare.findings.map((f) => f.code)).toEqual(['BundleCredentials']);
  });
});
