/**
 * What an API server's answer to one request says about whether it serves, or keeps requests waiting: of the node's own for the
 * agent, and of a hosted one for the controller.
 */
import type { KubeError, Result } from './errors.ts';

/**
 * `Waits`: no answer in time. `Fails`: an answer that nothing could be done (5xx). `Away`: nobody is there, or not for us; a
 * webhook has no part in that.
 */
export type Serving =
  | { readonly is: 'Serves'; readonly value: unknown }
  | { readonly is: 'Waits' | 'Fails' | 'Away'; readonly why: string };

/** `why` is a code, never a server's own words. */
export function servingOf(result: Result<unknown>): Serving {
  return result.ok ? { is: 'Serves', value: result.value } : failed(result.error);
}

function failed({ code: why, status }: KubeError): Serving {
  // Before the status: an API server that gives up says 504.
  if (why === 'Timeout') return { is: 'Waits', why };
  if (status === undefined) return { is: 'Away', why };
  return status >= 500 ? { is: 'Fails', why } : { is: 'Serves', value: undefined };
}
