/** Kubernetes minor versions, as far as auditing differs between them. */
export type Minor = `1.${number}`;

/** Oldest and newest minor whose audit code this project was held against. */
export const OLDEST: Minor = '1.26';
export const NEWEST: Minor = '1.36';

/** `1.36`, `v1.36.3` and `1.36.3+k3s1` give `1.36`; anything else gives undefined. */
export function parseMinor(version: string): Minor | undefined {
  const m = /^v?1\.(\d{1,3})(?:[.+-].*)?$/.exec(version);
  return m === null ? undefined : `1.${Number(m[1])}`;
}

export const minorNumber = (m: Minor): number => Number(m.slice(2));

export const isTested = (m: Minor): boolean =>
  minorNumber(m) >= minorNumber(OLDEST) && minorNumber(m) <= minorNumber(NEWEST);

/** From 1.36 `group: "*"` is valid and matches every group; before, it fails validation. */
export const allowsGroupWildcard = (m: Minor): boolean => minorNumber(m) >= 36;
