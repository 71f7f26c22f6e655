/**
 * What V8 is told by a process that waits most of its life: its heap grows by a third before it is looked through, and not
 * to its double. Measured by `npm run bench:idle` and `npm run bench:fleet`. Told here, once for
 * image and service: NODE_OPTIONS cannot say it. Called by runController and runAgent.
 */
import { setFlagsFromString } from 'node:v8';

export const HEAP_FLAG = '--heap-growing-percent=30';

/** At any time; V8 reads it at the end of each collection. */
export function keepHeapSmall(): void {
  setFlagsFromString(HEAP_FLAG);
}
