/**
 * A real fluent-bit for tests: the program that AUDITCONFIG_FLUENT_BIT names, the one on the PATH, or the image that is shipped
 * with, where a Docker daemon answers. Folders of the container are folders of a test; a program sees them by their real paths,
 * which are put into its configuration. For *.node.test.ts here.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GenericContainer, TestContainers } from 'testcontainers';
import { DEFAULT_IMAGE } from '../../src/render/shipping.ts';
import { BUFFER_MOUNT, CONFIG_FILE, CONFIG_MOUNT, FILES_MOUNT, LOG_MOUNT } from '../../src/render/shipping/config.ts';
import { noDockerHere } from '../cluster/k3s.ts';
import { spawnReaped } from '../control-plane/reaper.ts';
import { run } from '../control-plane/sources/run.ts';

const IN_IMAGE = '/fluent-bit/bin/fluent-bit';
export const IDENTITY = { AUDITCONFIG_CLUSTER_ID: 'e9s4w7jk6t', AUDITCONFIG_NODE: 'cp-1' };

export type Running = {
  readonly ended: () => boolean;
  readonly said: () => string;
  readonly stop: () => Promise<void>;
};
type Ended = { readonly code: number | null; readonly said: string };

async function programHere(): Promise<string | undefined> {
  const names = [process.env['AUDITCONFIG_FLUENT_BIT'], 'fluent-bit'];
  for (const name of names)
    if (name !== undefined && (await run(name, ['--version'], { timeoutMs: 10_000 })).code === 0) return name;
  return undefined;
}

/** On this machine; undefined where there is none, or only an image. */
export const program = await programHere();
const noDocker = program === undefined ? await noDockerHere() : undefined;
/** What is missing here; undefined where it can run. */
export const missing = noDocker === undefined ? undefined : `a fluent-bit, or ${noDocker}`;
/** How a test's own receiver is called from it. */
export const HERE = program === undefined ? 'host.testcontainers.internal' : '127.0.0.1';

/** Files that it makes are the test's own to remove. */
const AS = `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;

export class Lab {
  readonly root: string;
  private constructor(root: string) {
    this.root = root;
  }

  static async make(): Promise<Lab> {
    const root = await mkdtemp(join(tmpdir(), 'auditconfig-shipping-'));
    for (const dir of ['logs', 'buffer', 'config', 'files']) await mkdir(join(root, dir));
    return new Lab(root);
  }
  remove(): Promise<void> {
    return rm(this.root, { recursive: true, force: true });
  }
  /** One of `files`. */
  file(name: string): string {
    return join(this.root, 'files', name);
  }
  log(name = 'audit.log'): string {
    return join(this.root, 'logs', name);
  }

  async #configure(text: string): Promise<string> {
    const path = join(this.root, 'config', CONFIG_FILE);
    const here = text
      .replaceAll(`${LOG_MOUNT}/`, `${this.root}/logs/`)
      .replaceAll(`${FILES_MOUNT}/`, `${this.root}/files/`)
      .replaceAll(`${BUFFER_MOUNT}/`, `${this.root}/buffer/`);
    await writeFile(path, program === undefined ? text : here);
    return path;
  }
  #mounts(): { source: string; target: string; mode: 'ro' | 'rw' }[] {
    return [
      { source: join(this.root, 'logs'), target: LOG_MOUNT, mode: 'ro' },
      { source: join(this.root, 'buffer'), target: BUFFER_MOUNT, mode: 'rw' },
      { source: join(this.root, 'config'), target: CONFIG_MOUNT, mode: 'ro' },
      { source: join(this.root, 'files'), target: FILES_MOUNT, mode: 'ro' },
    ];
  }
  #container(env: Readonly<Record<string, string>>): GenericContainer {
    return new GenericContainer(DEFAULT_IMAGE)
      .withEntrypoint([IN_IMAGE])
      .withCommand(['--config', `${CONFIG_MOUNT}/${CONFIG_FILE}`])
      .withEnvironment({ ...IDENTITY, ...env })
      .withUser(AS)
      .withBindMounts(this.#mounts());
  }

  /** `fluent-bit --dry-run`. */
  async dryRun(text: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    const config = await this.#configure(text);
    if (program !== undefined) {
      const options = { env: { ...process.env, ...IDENTITY, ...env }, timeoutMs: 60_000 };
      const ran = await run(program, ['--dry-run', '--config', config], options);
      return { code: ran.code, said: ran.stdout + ran.stderr };
    }
    const mounts = this.#mounts().flatMap((m) => ['--volume', `${m.source}:${m.target}:${m.mode}`]);
    const vars = Object.entries({ ...IDENTITY, ...env }).flatMap(([k, v]) => ['--env', `${k}=${v}`]);
    const args = ['run', '--rm', '--user', AS, ...mounts, ...vars, '--entrypoint', IN_IMAGE, DEFAULT_IMAGE];
    const inside = ['--dry-run', '--config', `${CONFIG_MOUNT}/${CONFIG_FILE}`];
    const ran = await run('docker', [...args, ...inside], { timeoutMs: 300_000 });
    return { code: ran.code, said: ran.stdout + ran.stderr };
  }

  /** `ports`: of receivers of this process. */
  async start(
    text: string,
    o: { env?: Readonly<Record<string, string>>; ports?: readonly number[] } = {},
  ): Promise<Running> {
    const config = await this.#configure(text);
    let said = '';
    if (program === undefined) {
      await TestContainers.exposeHostPorts(...(o.ports ?? []));
      const container = this.#container(o.env ?? {}).withLogConsumer(
        (s) => void s.on('data', (c: Buffer) => (said += c.toString())),
      );
      const started = await container.start();
      return {
        ended: () => said.includes('filter initialization failed'),
        said: () => said,
        stop: async () => void (await started.stop()),
      };
    }
    const env = { ...process.env, ...IDENTITY, ...o.env };
    const child = spawnReaped(program, ['--config', config], { stdio: ['ignore', 'pipe', 'pipe'], env });
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (c: string) => (said += c));
    let over = false;
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve((over = true) as never)));
    const stop = async (): Promise<void> => {
      child.kill('SIGTERM');
      await closed;
    };
    return { ended: () => over, said: () => said, stop };
  }

  /** What the program says of its own plugins and their keys. */
  async schema(): Promise<unknown> {
    if (program !== undefined) return JSON.parse((await run(program, ['-J'], { timeoutMs: 60_000 })).stdout);
    const { stdout } = await run('docker', ['run', '--rm', '--entrypoint', IN_IMAGE, DEFAULT_IMAGE, '-J'], {
      timeoutMs: 300_000,
    });
    return JSON.parse(stdout);
  }
}

export const goldenConfig = (name: string): Promise<string> =>
  readFile(join(import.meta.dirname, '../render/shipping/golden', `${name}.fluent-bit.yaml`), 'utf8');
