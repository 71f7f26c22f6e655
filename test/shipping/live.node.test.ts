/**
 * What is rendered, read and run by a real fluent-bit: its own check, Kubermatic's example to a fluentd's port, hostile values
 * as values, and a log that is rotated, interrupted and has lines of any length, of which nothing is lost or comes twice.
 */
import { appendFile, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { correctedGrep } from '../../src/render/shipping/check.ts';
import { FILTERS, keysOf, LEFT_OUT, OUTPUTS, RESTRICTED } from '../../src/render/shipping/plugins.ts';
import { fluentBitConfig } from '../../src/render/shipping/config.ts';
import { codes, configOf } from '../render/shipping/spec.ts';
import { goldenConfig, HERE, Lab, missing } from './fluent-bit.ts';
import type { Running } from './fluent-bit.ts';
import { certificateFor, forwardReceiver, httpReceiver } from './receivers.ts';
import type { Receiver } from './receivers.ts';

const event = (auditID: string, username = 'user@example.com', more: object = {}): string =>
  `${JSON.stringify({ kind: 'Event', auditID, verb: 'get', user: { username }, stageTimestamp: '2026-11-21T18:00:01.654321Z', ...more })}\n`;

async function until(what: string, holds: () => boolean, running?: Running): Promise<void> {
  const end = Date.now() + 60_000;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`${what} did not come true\n${running?.said().slice(-4_000) ?? ''}`);
    await sleep(100);
  }
}

describe.skipIf(missing !== undefined)(`a real fluent-bit (needs ${missing ?? 'nothing more'})`, () => {
  let lab: Lab;
  const open: (Pick<Receiver, 'close'> | Running)[] = [];
  beforeEach(async () => {
    lab = await Lab.make();
    await writeFile(lab.log(), '');
  });
  afterEach(async () => {
    for (const o of open.splice(0).reverse()) await ('stop' in o ? o.stop() : o.close());
    await lab.remove();
  });
  const opened = <T extends Pick<Receiver, 'close'> | Running>(o: T): T => {
    open.push(o);
    return o;
  };

  it('takes every golden configuration', async () => {
    const files = await readdir(join(import.meta.dirname, '../render/shipping/golden'));
    const names = files.filter((f) => f.endsWith('.fluent-bit.yaml')).map((f) => f.replace('.fluent-bit.yaml', ''));
    expect(names.length).toBeGreaterThan(2);
    const { cert, key, ca } = certificateFor('collector');
    for (const [name, text] of Object.entries({ 'ca.crt': ca, 'client.crt': cert, 'client.key': key }))
      await writeFile(lab.file(name), text);
    for (const name of names) {
      const { code, said } = await lab.dryRun(await goldenConfig(name), { TOKEN: 't', REGION: 'eu' });
      expect([name, code, code === 0 ? '' : said]).toEqual([name, 0, '']);
    }
  });

  it('has no plugin that we do not know or leave out by name, and of those that we know every key', async () => {
    type Option = { readonly name: string };
    type Plugin = { readonly name: string; readonly properties: Readonly<Record<string, readonly Option[]>> };
    const schema = (await lab.schema()) as Readonly<Record<'filters' | 'outputs', readonly Plugin[]>>;
    // It says them nowhere, and takes them all the same.
    const UNSAID = ['name', 'ipv6', 'storage.total_limit_size', 'rdkafka.', 'workers', 'match_regex'];
    const wrong = (['filters', 'outputs'] as const).flatMap((kind) =>
      schema[kind].flatMap(({ name, properties }) => {
        if (!Object.hasOwn(kind === 'filters' ? FILTERS : OUTPUTS, name)) return [];
        const has = new Set(Object.values(properties).flatMap((all) => all.map((o) => o.name.toLowerCase())));
        const own = keysOf(kind, name).filter((k) => !/^(net|tls)(\.|$)/.test(k) && k !== 'host' && k !== 'port');
        return own.filter((k) => !has.has(k) && !UNSAID.includes(k)).map((k) => `${name} ${k}`);
      }),
    );
    expect(wrong).toEqual([]);
    const unheard = (['filters', 'outputs'] as const).flatMap((kind) => {
      const named = [kind === 'filters' ? FILTERS : OUTPUTS, LEFT_OUT[kind]].flatMap((t) => Object.keys(t));
      const known: readonly string[] = [...named, ...RESTRICTED[kind]];
      return schema[kind].filter((p) => !known.includes(p.name)).map((p) => `${kind} ${p.name}`);
    });
    expect(unheard).toEqual([]);
  });

  it("ships Kubermatic's example to a fluentd: the events of that user, with the cluster's name and where they come from", async () => {
    const to = opened(await forwardReceiver());
    const golden = await goldenConfig('kubermatic');
    const text = golden
      .replace(/"host": .*/, `"host": "${HERE}"\n      "port": "${to.port}"`)
      .replace('"flush": "10"', '"flush": "1"');
    await writeFile(
      lab.log(),
      event('mine-1') + event('other-1', 'userXexample.com') + event('other-2', 'system:admin') + event('mine-2'),
    );
    const fluentBit = opened(await lab.start(text, { ports: [to.port] }));
    await until('two events', () => to.text().includes('mine-2'), fluentBit);
    expect(to.text()).toContain('mine-1');
    expect(to.text()).not.toContain('other-');
    for (const word of ['cluster_id', 'e9s4w7jk6t', 'node', 'cp-1', 'cluster']) expect(to.text()).toContain(word);
  });

  it("ends at its start with Kubermatic's own Regex, which its check lets pass; the form that we tell works", async () => {
    const regex = 'user@example.com';
    expect(codes({ filters: [{ Name: 'grep', Match: '*', Regex: regex }] })).toEqual([
      'ShippingGrepForm filters[0].Regex',
    ]);
    const text = fluentBitConfig({ filters: [{ Name: 'grep', Match: '*', Regex: regex }] }, 'audit.log');
    expect((await lab.dryRun(text)).code).toBe(0);
    const broken = opened(await lab.start(text));
    await until('its end', () => broken.ended(), broken);
    expect(broken.said()).toContain('expected field and regular expression');

    const to = opened(await httpReceiver());
    const told = correctedGrep('Regex', regex).replace('Regex: ', '');
    const output = { Name: 'http', Host: HERE, Port: to.port, Uri: '/', Format: 'json_lines' };
    await writeFile(lab.log(), event('other', 'userXexample.com') + event('mine'));
    const fluentBit = opened(
      await lab.start(configOf({ filters: [{ Name: 'grep', Match: '*', Regex: told }], outputs: [output] }), {
        ports: [to.port],
      }),
    );
    await until('the event', () => to.at('/').length > 0, fluentBit);
    expect(to.at('/').map((r) => r['auditID'])).toEqual(['mine']);
  });

  it('reads hostile values as the values that they are', async () => {
    const hostile = [
      '*', '&a', '!x', '- a', '# c', 'a # c', 'a: b', '{a: b}', '[OUTPUT]', '@INCLUDE /x', '%YAML 1.2', '---', '"', "'", '\\',
      '\\n', '\\x41', "it's", '<<', 'null', 'yes', '| a', '> a', '`id`', '$(id)', '}', 'é', '😀', 'a"b\\c', 'a\u200bb', 'x\ufeffy',
    ]; // prettier-ignore
    const to = opened(await httpReceiver());
    const outputs = hostile.map((v, i) => ({
      Name: 'http', Host: HERE, Port: to.port, Uri: `/${i}`, Format: 'json_lines', Json_Date_Key: v,
    })); // prettier-ignore
    expect(codes({ outputs })).toEqual([]);
    await writeFile(lab.log(), event('one'));
    const fluentBit = opened(await lab.start(configOf({ outputs }), { ports: [to.port] }));
    await until('all outputs', () => hostile.every((_, i) => to.at(`/${i}`).length > 0), fluentBit);
    // The first key of a record is the date's.
    expect(hostile.map((_, i) => Object.keys(to.at(`/${i}`)[0] ?? {})[0])).toEqual(hostile);
  });

  it('loses nothing and repeats nothing: over its own restart, a rotation meanwhile, a receiver that is down', async () => {
    const to = opened(await httpReceiver());
    const text = configOf({ outputs: [{ Name: 'http', Host: HERE, Port: to.port, Uri: '/', Format: 'json_lines' }] });
    const ids = (): unknown[] => to.at('/').map((r) => r['auditID']);
    await appendFile(lab.log(), event('a') + event('b'));
    const first = opened(await lab.start(text, { ports: [to.port] }));
    await until('the first two', () => ids().length === 2, first);
    await appendFile(lab.log(), event('c'));
    await until('the third', () => ids().length === 3, first);
    await first.stop();
    // As kube-apiserver rotates: renamed, and a new one.
    await appendFile(lab.log(), event('d'));
    await rename(lab.log(), lab.log('audit-2026-11-21T18-00-00.000.log'));
    await writeFile(lab.log(), event('e'));
    const second = opened(await lab.start(text, { ports: [to.port] }));
    await until('what was written meanwhile', () => ids().includes('d') && ids().includes('e'), second);
    to.up = false;
    await appendFile(lab.log(), event('f'));
    await sleep(3_000);
    // What waits is on disk: it survives the shipper.
    await second.stop();
    to.up = true;
    const third = opened(await lab.start(text, { ports: [to.port] }));
    await until('what could not be sent', () => ids().includes('f'), third);
    await rename(lab.log(), lab.log('audit-2026-11-21T19-00-00.000.log'));
    await writeFile(lab.log(), event('g'));
    await until('what came after a rotation that it saw', () => ids().includes('g'), third);
    await sleep(6_000);
    expect(ids().sort()).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g']);
    expect(to.at('/')[0]).toMatchObject({
      cluster_id: 'e9s4w7jk6t',
      node: 'cp-1',
      stageTimestamp: '2026-11-21T18:00:01.654321Z',
    });
  });

  it('sends to a collector with a certificate of a private CA, which is a file that it names, and not without that', async () => {
    const { cert, key, ca } = certificateFor(HERE);
    const to = opened(await httpReceiver({ cert, key }));
    await writeFile(lab.file('ca.crt'), ca);
    const output = { Name: 'http', Host: HERE, Port: to.port, Uri: '/', Format: 'json_lines', TLS: true };
    const files = [{ name: 'ca.crt', secretKeyRef: { name: 's', key: 'k' } }];
    await writeFile(lab.log(), event('one'));
    const without = opened(await lab.start(configOf({ outputs: [output] }), { ports: [to.port] }));
    await until(
      'a refusal',
      () => /certificate verify failed|self-signed|unable to get/i.test(without.said()),
      without,
    );
    await without.stop();
    expect(to.at('/')).toEqual([]);
    const text = configOf({ files, outputs: [{ ...output, 'tls.ca_file': 'ca.crt' }] });
    const withCa = opened(await lab.start(text, { ports: [to.port] }));
    await until('the event', () => to.at('/').length > 0, withCa);
    expect(to.at('/').map((r) => r['auditID'])).toEqual(['one']);
  });

  it('ships long lines, and of one that is too long only that one is lost', async () => {
    const to = opened(await httpReceiver());
    const text = configOf({ outputs: [{ Name: 'http', Host: HERE, Port: to.port, Uri: '/', Format: 'json_lines' }] });
    const long = (id: string, bytes: number): string => event(id, 'u', { responseObject: { x: 'x'.repeat(bytes) } });
    await appendFile(
      lab.log(),
      event('a') + long('b', 40_000) + long('c', 1_500_000) + long('d', 11_000_000) + event('e'),
    );
    const fluentBit = opened(await lab.start(text, { ports: [to.port] }));
    const ids = (): unknown[] => to.at('/').map((r) => r['auditID']);
    await until('the last', () => ids().includes('e'), fluentBit);
    expect(ids().sort()).toEqual(['a', 'b', 'c', 'e']);
  });
});
