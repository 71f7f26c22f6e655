/**
 * Policies that were rendered before. Thousands of control planes of a datacenter have the same one, and each is decided
 * about several times in a rollout; a policy of thousands of rules takes half a second each time. Rendering is a pure
 * function, so that whoever has this sees no difference but time. Made once a process by the controller and handed in
 * with the settings; commands render once and have none.
 */
import { createHash } from 'node:crypto';
import { renderPolicy } from './policy.ts';
import type { PolicyInput, RenderedPolicy } from './policy.ts';
import type { Reference } from './references.ts';

export type RenderPolicy = (input: PolicyInput) => RenderedPolicy;

/** Four of the largest that there can be, or hundreds of the usual ones. */
const MAX_BYTES = 4_000_000;
/** Of a small result, with its key. */
const OVERHEAD_BYTES = 1_000;

/** What a reference holds may be secret: only a hash of it is kept. Lengths, since names and bytes follow each other. */
function keyOf({ spec, versions, reference }: PolicyInput): string {
  const hash = createHash('sha256').update(JSON.stringify([spec, versions, toldOf(reference)]));
  const data = reference?.found === true ? reference.data.reveal() : {};
  for (const [name, bytes] of Object.entries(data))
    hash.update(`\n${name.length} ${bytes.length} ${name}`).update(bytes);
  return hash.digest('hex');
}

const toldOf = (reference: Reference | undefined): unknown =>
  reference === undefined ? 'None' : reference.found ? 'Found' : reference.why;

const sizeOf = ({ bytes, findings }: RenderedPolicy): number =>
  findings.reduce((n, f) => n + 2 * (f.message.length + f.path.length) + 200, OVERHEAD_BYTES + (bytes?.length ?? 0));

/** Keeps results up to `maxBytes` in all, those that were asked for last. */
export function rememberPolicies(render: RenderPolicy = renderPolicy, maxBytes: number = MAX_BYTES): RenderPolicy {
  const known = new Map<string, RenderedPolicy>();
  let held = 0;
  const drop = (key: string, rendered: RenderedPolicy): void => {
    known.delete(key);
    held -= sizeOf(rendered);
  };
  const keep = (key: string, rendered: RenderedPolicy): void => {
    known.set(key, rendered);
    held += sizeOf(rendered);
    for (const [oldest, its] of known) {
      if (held <= maxBytes) break;
      drop(oldest, its);
    }
  };
  return (input) => {
    const key = keyOf(input);
    const before = known.get(key);
    if (before !== undefined) drop(key, before);
    const rendered = before ?? render(input);
    keep(key, rendered);
    return rendered;
  };
}
