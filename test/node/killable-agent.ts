/**
 * `node --import ./test/house/typescript.mjs test/node/killable-agent.ts ROOT good|bad [kill]`: the agent's part on a
 * node, without an API: takes its claim, installs a revision with a guard beside it, past all checks. With `kill` it dies
 * by SIGKILL right after the manifest's rename. For guard.plane.test.ts.
 */
import { join } from 'node:path';
import { applyRevision } from '../../src/node/apply-revision.ts';
import { staticPodPlace } from '../../src/node/place.ts';
import { takeClaim } from '../../src/node/claim.ts';
import { realHost } from '../../src/node/host.ts';
import { DEFAULT_LAYOUT } from '../../src/targets/host-layout.ts';
import { GUARD, MANIFEST, revisionFor } from './guarded-revisions.ts';

const [root = '', kind = '', end = ''] = process.argv.slice(2);
const real = realHost({ root, proc: join(root, 'proc') });
const rename: typeof real.disk.rename = async (from, to) => {
  await real.disk.rename(from, to);
  if (to === MANIFEST && end === 'kill') process.kill(process.pid, 'SIGKILL');
};
const host = { ...real, disk: { ...real.disk, rename } };
const claim = await takeClaim(host, DEFAULT_LAYOUT.stateDir, 'agent');
if ('busy' in claim) throw new Error('somebody else is at work');
const outcome = await applyRevision({
  host,
  spec: staticPodPlace({ manifest: MANIFEST, layout: DEFAULT_LAYOUT }),
  to: revisionFor(kind),
  version: null,
  checks: [],
  guard: GUARD,
  signal: AbortSignal.timeout(120_000),
});
await claim.taken();
console.log(JSON.stringify({ kind: outcome.kind }));
