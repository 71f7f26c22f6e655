/**
 * Container images without a registry: a docker-archive with one layer, for static programs and for Node. Written anew
 * for each cluster, which takes seconds; nothing is pulled.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { run } from '../control-plane/sources/run.ts';

export type Image = {
  /** As manifests name it; without a registry's name it is docker.io's, and without a path library's. */
  readonly name: string;
  /** File or folder of this machine, by its path in the image. */
  readonly files: Readonly<Record<string, string>>;
  readonly entrypoint?: readonly string[];
  readonly env?: readonly string[];
  readonly user?: string;
};

/** The name that containerd knows an image by. */
export function fullName(name: string): string {
  const [first = ''] = name.split('/');
  if (name.includes('/') && (first === 'localhost' || first.includes('.') || first.includes(':'))) return name;
  return `docker.io/${name.includes('/') ? name : `library/${name}`}`;
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

async function tar(archive: string, folder: string): Promise<void> {
  const args = [
    '-C',
    folder,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--hard-dereference',
    '--sort=name',
    '-hcf',
    archive,
    '.',
  ];
  const { code, stderr } = await run('tar', args);
  if (code !== 0) throw new Error(`tar: ${stderr}`);
}

/**
 * A symbolic link, which tar follows: these are hundreds of megabytes, and a hard link would change the file under
 * another cluster that packs it too.
 */
async function place(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true, mode: 0o755 });
  await symlink(from, to);
}

/** Writes the archive. `scratch` is a folder that this may fill, and empties. */
export async function writeImage(image: Image, archive: string, scratch: string): Promise<void> {
  const root = join(scratch, 'root');
  const parts = join(scratch, 'parts');
  await mkdir(root, { recursive: true });
  // mkdir's mode is less the umask; a container's user must get in.
  await chmod(root, 0o755);
  await mkdir(join(root, 'tmp'));
  await chmod(join(root, 'tmp'), 0o1777);
  for (const [path, from] of Object.entries(image.files)) await place(await realpath(from), join(root, path));
  await mkdir(parts);
  await tar(join(parts, 'layer.tar'), root);
  const diff = await sha256Of(join(parts, 'layer.tar'));
  const config = JSON.stringify({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: {
      Env: ['PATH=/usr/local/bin:/usr/bin:/bin', ...(image.env ?? [])],
      ...(image.entrypoint === undefined ? {} : { Entrypoint: image.entrypoint }),
      ...(image.user === undefined ? {} : { User: image.user }),
    },
    rootfs: { type: 'layers', diff_ids: [`sha256:${diff}`] },
  });
  const configName = `${createHash('sha256').update(config).digest('hex')}.json`;
  await writeFile(join(parts, configName), config);
  const manifest = [{ Config: configName, RepoTags: [fullName(image.name)], Layers: ['layer.tar'] }];
  await writeFile(join(parts, 'manifest.json'), JSON.stringify(manifest));
  await tar(archive, parts);
  await rm(scratch, { recursive: true, force: true });
}

/** What a dynamically linked program needs to run, by path, from `ldd`. */
async function librariesOf(program: string): Promise<readonly string[]> {
  const { code, stdout, stderr } = await run('ldd', [program]);
  if (code !== 0) throw new Error(`ldd: ${stderr}`);
  return [...stdout.matchAll(/(?:=>\s+|^\s*)(\/\S+)\s+\(0x/gm)].map((m) => m[1] ?? '');
}

/** The operator's image as the Dockerfile lays it out: Node and the bundle, for the user that it names. */
export async function operatorImage(name: string, root: string): Promise<Image> {
  const libraries = await librariesOf(process.execPath);
  return {
    name,
    files: {
      '/nodejs/bin/node': process.execPath,
      ...Object.fromEntries(libraries.map((l) => [l, l])),
      '/app/dist': join(root, 'dist'),
      '/app/package.json': join(root, 'package.json'),
    },
    entrypoint: ['/nodejs/bin/node', '/app/dist/auditconfig.js'],
    env: ['NODE_ENV=production'],
    user: '65532:65532',
  };
}

/** An image that holds one dynamically linked program; its libraries are where every loader looks. */
export async function linkedImage(name: string, program: string, path: string): Promise<Image> {
  const libraries = await librariesOf(program);
  const place = (l: string): string => (basename(l).startsWith('ld-') ? l : `/usr/lib/${basename(l)}`);
  return {
    name,
    files: { [path]: program, ...Object.fromEntries(libraries.map((l) => [place(l), l])) },
    entrypoint: [path],
  };
}

/** An image that holds one static program. */
export const programImage = (name: string, program: string, path: string): Image => ({
  name,
  files: { [path]: program },
  entrypoint: [path],
});
