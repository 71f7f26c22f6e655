/**
 * The presets before the API server's own code, of both versions: they load without a warning, and every row of the
 * golden tables and every request of the detections is decided as our engine decides it. Without a Go toolchain it is
 * skipped, but not where CI is set.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RequestAttributes } from '../../../src/api/audit.ts';
import { DETECTIONS } from '../../../src/analysis/detections.ts';
import { compilePolicy } from '../../../src/policy/evaluate.ts';
import { PRESET_NAMES, presetPolicy, presetSource } from '../../../src/policy/presets.ts';
import { PLANE_VERSIONS } from '../../control-plane/versions.ts';
import { judgeBinary } from '../../judge/binary.ts';
import { Judge } from '../../judge/judge.ts';
import type { RequestLine } from '../../judge/requests.ts';
import { goldenRows, requestOf } from './golden.ts';

function lineOf(r: RequestAttributes): RequestLine {
  const who = { ...(r.user === undefined ? {} : { user: r.user }), groups: r.groups };
  if (r.kind === 'NonResource') return { ...who, nonResourceAttributes: { path: r.path, verb: r.verb } };
  const { verb, group, version, resource, subresource, namespace, name } = r;
  return { ...who, resourceAttributes: { verb, group, version, resource, subresource, namespace, name } };
}

describe.each(PLANE_VERSIONS)('an API server %s', (version) => {
  let judge: Judge | undefined;
  let unavailable = '';

  beforeAll(async () => {
    const answer = await judgeBinary(version, 'cover');
    if ('binary' in answer) judge = new Judge(answer.binary);
    else unavailable = answer.unavailable;
    if (judge === undefined && process.env['CI'] !== undefined) throw new Error(`no judge: ${unavailable}`);
  });
  afterAll(() => judge?.close());

  it.for(PRESET_NAMES)('loads the preset %s without a word and decides as our engine does', async (name, context) => {
    if (judge === undefined) return context.skip(unavailable);
    const requests = [
      ...goldenRows(name).map(requestOf),
      ...DETECTIONS.flatMap((d) => d.variants.map((v) => v.request)),
    ];
    const verdict = await judge.ask(new TextEncoder().encode(presetSource(name)), requests.map(lineOf));
    expect(verdict.error).toBeUndefined();
    expect(verdict.warnings ?? []).toEqual([]);
    expect(requests.length).toBeGreaterThan(100);
    expect(verdict.decisions).toEqual(requests.map(compilePolicy(presetPolicy(name)).decide));
  });
});
