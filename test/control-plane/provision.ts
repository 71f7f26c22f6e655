/** placeholder until the other sources are here */
import { cache } from './sources/cache.ts';
import type { Ask, Binaries } from './sources/types.ts';

export async function provide(ask: Ask): Promise<Binaries> {
  const answer = await cache.get(ask);
  if ('binaries' in answer) return answer.binaries;
  throw new Error(answer.unavailable);
}
