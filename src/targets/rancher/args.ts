/**
 * Arguments that K3s and RKE2 hand to their kube-apiserver: `kube-apiserver-arg` of the configuration, then of the unit's
 * command line (k3s pkg/daemons/config/types.go, GetArgs: of a flag given several times the order is kept, and so the last
 * one wins), and what RKE2 puts in front (rke2 pkg/executor/staticpod). Called by ../rancher.ts.
 */
import type { Argument } from '../systemd/environment.ts';
import { valuesOf } from './config.ts';
import type { ConfigFile } from './config.ts';

export const ARG = 'kube-apiserver-arg';

/** `audit-log-maxage=7`, with or without dashes; `name+=` and `name-=` only say where a default goes, and few have one. */
export function flagWord(arg: string): string {
  const [name = '', ...rest] = arg.replace(/^--/, '').split('=');
  return `--${name.replace(/[-+]+$/, '')}=${rest.length === 0 ? 'true' : rest.join('=')}`;
}

/** Values of an option on the command line: `--NAME=value` or `--NAME value`. */
export function optionValues(args: readonly Argument[], name: string): readonly string[] {
  const texts = args.map((a) => a.text);
  return texts.flatMap((t, i) => {
    if (t === `--${name}`) return texts[i + 1] === undefined ? [] : [texts[i + 1] ?? ''];
    return t.startsWith(`--${name}=`) ? [t.slice(name.length + 3)] : [];
  });
}

/** The last of several counts; undefined where it is not set. */
export const lastOption = (files: readonly ConfigFile[], args: readonly Argument[], name: string): string | undefined =>
  [...valuesOf(files, name), ...optionValues(args, name)].at(-1);

/** Flags from files, in order. */
export const fileFlags = (files: readonly ConfigFile[]): readonly string[] => valuesOf(files, ARG).map(flagWord);

/** Flags from the command line: they come behind all files. */
export const commandFlags = (args: readonly Argument[]): readonly string[] => optionValues(args, ARG).map(flagWord);

/** What RKE2 puts in front of the user's, once it audits at all. */
export function rke2Defaults(
  files: readonly ConfigFile[],
  args: readonly Argument[],
  dataDir: string,
): readonly string[] {
  const profile = lastOption(files, args, 'profile') ?? '';
  const named = lastOption(files, args, 'audit-policy-file') ?? '';
  const policy = named === '' && profile.startsWith('cis') ? '/etc/rancher/rke2/audit-policy.yaml' : named;
  if (policy === '') return [];
  return [
    `--audit-policy-file=${policy}`,
    '--audit-log-maxage=30',
    '--audit-log-maxbackup=10',
    '--audit-log-maxsize=100',
    `--audit-log-path=${dataDir}/server/logs/audit.log`,
  ];
}
