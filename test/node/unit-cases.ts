/** The kinds of places where systemd starts the API server, as tests of the node room and the agent play them. */
import { rancherPlace, systemdPlace } from '../../src/node/place.ts';
import type { Place } from '../../src/node/place.ts';
import { DEFAULT_LAYOUT } from '../../src/targets/host-layout.ts';
import type { Files } from '../targets/contract/fixture.ts';
import { fixtures as rancher } from '../targets/contract/rancher.ts';
import { fixture as systemd, UNIT } from '../targets/contract/systemd.ts';
import type { Kind } from './unit-world.ts';
import type { Behaviour } from './world.ts';

export const behaves = (args: readonly string[]): Behaviour =>
  args.includes('--audit-log-mode=broken') ? 'crashes' : args.includes('--audit-log-mode=hanging') ? 'hangs' : 'good';

/** `file` is the one that is edited. */
export type Case = { readonly kind: Kind; readonly place: Place; readonly files: Files; readonly file: string };

export const CASES: readonly Case[] = [
  { kind: 'Systemd', place: systemdPlace('kube-apiserver.service', DEFAULT_LAYOUT), files: systemd.bare, file: UNIT },
  ...rancher.map((f): Case => {
    const kind = f.name === 'K3s' ? 'K3s' : 'RKE2';
    const place = rancherPlace(kind, DEFAULT_LAYOUT);
    return { kind, place, files: f.bare, file: place.manifest };
  }),
];
