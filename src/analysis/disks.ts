/**
 * Do two folders of a host lie on one disk? Read from its mount table, so that the folders themselves need not be seen:
 * nobody wants to mount etcd's data into an agent to learn where it lies. Pure; src/agent/proof.ts asks.
 */

type Mount = { readonly at: string; readonly device: string };

/** As /proc/PID/mountinfo writes them: blanks and backslashes in octal (proc(5)). */
const unescaped = (path: string): string =>
  path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

const mountsIn = (mountinfo: string): readonly Mount[] =>
  mountinfo.split('\n').flatMap((line) => {
    const [, , device, , at] = line.split(' ');
    return device === undefined || at === undefined ? [] : [{ device, at: unescaped(at) }];
  });

/** major:minor of what holds `path`; undefined where the table does not say. The later of two mounts at a place wins. */
export function deviceAt(mountinfo: string, path: string): string | undefined {
  let best: Mount | undefined;
  for (const m of mountsIn(mountinfo)) {
    const holds = m.at === '/' || path === m.at || path.startsWith(`${m.at}/`);
    if (holds && (best === undefined || m.at.length >= best.at.length)) best = m;
  }
  return best?.device;
}

export function shareDisk(mountinfo: string, a: string, b: string): boolean | undefined {
  const [x, y] = [deviceAt(mountinfo, a), deviceAt(mountinfo, b)];
  return x === undefined || y === undefined ? undefined : x === y;
}
