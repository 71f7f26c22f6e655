/**
 * Resolves a host's name for one connection, and refuses what it must not lead to. Node connects to exactly what comes back
 * from here, so that there is no time between the check and its use in which a name could come to mean something else. One
 * refused address among several refuses them all: whoever names it did not mean the others. Literal addresses are never
 * looked up, and are for the caller to judge. Called by src/controllers/hosted/api-server.ts.
 */
import { lookup as systemLookup } from 'node:dns';
import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';

export type ResolveHost = (host: string) => Promise<readonly LookupAddress[]>;

const bySystem: ResolveHost = (host) =>
  new Promise((resolve, reject) =>
    systemLookup(host, { all: true }, (error, found) => (error === null ? resolve(found) : reject(error))),
  );

const REFUSED = Object.assign(new Error('the name leads to an address that is refused'), { code: 'EHOSTUNREACH' });
const NOTHING = Object.assign(new Error('the name has no address'), { code: 'ENOTFOUND' });

/** `refused` is told of each name that was refused. */
export function guardedLookup(
  isRefused: (address: string) => boolean,
  refused: () => void,
  resolve: ResolveHost = bySystem,
): LookupFunction {
  return (host, options, done) => {
    const answer = (found: readonly LookupAddress[]): void => {
      const [first] = found;
      if (first === undefined) return done(NOTHING, '', 0);
      if (found.some(({ address }) => isRefused(address))) {
        refused();
        return done(REFUSED, '', 0);
      }
      return options.all === true ? done(null, [...found]) : done(null, first.address, first.family);
    };
    resolve(host).then(answer, (error: NodeJS.ErrnoException) => done(error, '', 0));
  };
}
