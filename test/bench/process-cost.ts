/** What a process of another has cost so far, from Linux' /proc. Used by the benchmarks. */
import { readFileSync } from 'node:fs';

/** Linux counts processor time in hundredths of a second (getconf CLK_TCK) everywhere that Node runs. */
const TICK_MS = 10;

/** User and system time in ms. Throws for a process that is not there. */
export function cpuMs(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

const status = (pid: number | undefined, field: string): number =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

/** Resident memory in MiB, now. */
export const rssMiB = (pid: number | undefined): number => status(pid, 'VmRSS');
/** Its own part of that: the rest is the program of Node, which all processes of a node's image share. */
export const ownMiB = (pid: number | undefined): number => status(pid, 'RssAnon');
/** The most that was ever resident. */
export const peakMiB = (pid: number | undefined): number => status(pid, 'VmHWM');
