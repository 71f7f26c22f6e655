/** Builds both programs from their Go modules. Cold: two to four minutes on two cores, after the modules are there. */
import { GO_FOLDER, goFlags, goVersion } from './go-toolchain.ts';
import { addEntry, entryFolder } from './cache.ts';
import { run } from './run.ts';
import { PINNED } from '../versions.ts';
import type { Ask, Source } from './types.ts';

const PACKAGES = ['k8s.io/kubernetes/cmd/kube-apiserver', './etcd'];

/** How many packages a build from nothing compiles; downloads the modules, which is why it is told apart. */
async function countPackages(ask: Ask): Promise<number | string> {
  const { modfile } = PINNED[ask.version];
  const args = ['list', ...modfile.args, '-deps', ...PACKAGES];
  const { code, stdout, stderr } = await run('go', args, { cwd: GO_FOLDER, env: goEnv(ask), signal: ask.signal });
  return code === 0 ? stdout.trim().split('\n').length : lastLines(stderr);
}

const goEnv = (ask: Ask): Ask['env'] => ({ ...ask.env, CGO_ENABLED: '0' });
const lastLines = (text: string): string => text.trim().split('\n').slice(-3).join('\n');

async function build(folder: string, ask: Ask): Promise<string | undefined> {
  const { kubernetes } = PINNED[ask.version];
  ask.progress(`${kubernetes}: modules`);
  const total = await countPackages(ask);
  if (typeof total === 'string') return `go list: ${total}`;
  let compiled = 0;
  let told = 0;
  const count = (line: string): void => {
    // `go build -v` names each package that it compiles; what is in Go's own cache it does not.
    if (/^[\w.~/-]+$/.test(line)) compiled++;
    const percent = Math.floor((compiled / total) * 100);
    if (percent >= told + 10)
      ask.progress(`${kubernetes}: ${(told = percent - (percent % 10))} % of ${total} packages`);
  };
  ask.progress(`${kubernetes}: building kube-apiserver and etcd; a build from nothing takes minutes`);
  const started = Date.now();
  const args = ['build', '-v', ...goFlags(ask.version), '-o', `${folder}/`, ...PACKAGES];
  const built = await run('go', args, { cwd: GO_FOLDER, env: goEnv(ask), signal: ask.signal, onStderrLine: count });
  if (built.code !== 0) return `go build: ${lastLines(built.stderr)}`;
  ask.progress(`${kubernetes}: built in ${Math.round((Date.now() - started) / 1_000)} s`);
  return undefined;
}

export const goBuild: Source = {
  name: 'Go toolchain',
  async get(ask) {
    if ((await goVersion(ask)) === undefined) return { unavailable: 'no `go` that runs' };
    const entry = await entryFolder('go', ask);
    return addEntry(entry, ask.version, (folder) => build(folder, ask));
  },
};
