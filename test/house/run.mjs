// One plain-Node script without dependencies behind every npm command: install what is missing, build what is stale,
// then run. It is what makes `npm test` and `npm run demo` work alone on a fresh clone.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`auditconfig needs Node 20.19 or newer; this is ${process.versions.node}`);
  process.exit(2);
}

function run(command, args, options = {}) {
  const r = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  return r.status ?? 1;
}
const bin = (name) => join(root, 'node_modules', '.bin', name);

function installDependencies() {
  const stamp = join(root, 'node_modules', '.auditconfig-stamp');
  const want = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .update(`${major} ${process.platform} ${process.arch}`)
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === want) return;
  console.error('installing dependencies (npm ci)');
  const npm = process.env.npm_execpath;
  const args = ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund'];
  const code = npm === undefined ? run('npm', args) : run(process.execPath, [npm, ...args]);
  if (code !== 0) process.exit(code);
  writeFileSync(stamp, want);
}

function hashTree(hash, dir) {
  for (const entry of readdirSync(dir, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) hashTree(hash, path);
    else hash.update(path.slice(root.length)).update('\0').update(readFileSync(path));
  }
}

async function buildIfStale(force = false) {
  const hash = createHash('sha256');
  hashTree(hash, join(root, 'src'));
  for (const f of ['package-lock.json', 'package.json', 'test/house/build.mjs'])
    hash.update(readFileSync(join(root, f)));
  const want = hash.digest('hex');
  const stamp = join(root, 'dist', '.stamp');
  if (!force && existsSync(stamp) && readFileSync(stamp, 'utf8') === want) return;
  const { bundle } = await import('./build.mjs');
  await bundle(root);
  mkdirSync(join(root, 'dist'), { recursive: true });
  writeFileSync(stamp, want);
}

/** Types, lint, format and imports; the slow ones side by side. */
async function check() {
  const { spawn } = await import('node:child_process');
  const jobs = [
    ['types', bin('tsc'), ['-p', 'tsconfig.json']],
    ['core types', bin('tsc'), ['-p', 'src/tsconfig.json']],
    ['lint', bin('eslint'), ['--cache', '--cache-location', 'node_modules/.cache/eslint/', '--max-warnings', '0', '.']],
    ['format', bin('prettier'), ['--check', '--cache', '--log-level', 'warn', '.']],
    ['imports', bin('vitest'), ['run', '--project', 'unit', 'test/house/imports.test.ts', '--reporter=dot']],
  ];
  const codes = await Promise.all(
    jobs.map(
      ([name, command, args]) =>
        new Promise((resolve) => {
          const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
          let out = '';
          child.stdout.on('data', (d) => (out += d));
          child.stderr.on('data', (d) => (out += d));
          child.on('close', (code) => {
            console.log(`${code === 0 ? 'ok  ' : 'FAIL'} ${name}`);
            if (code !== 0) process.stdout.write(out);
            resolve(code);
          });
        }),
    ),
  );
  return codes.every((c) => c === 0) ? 0 : 1;
}

/** Node 20 runs no TypeScript: bundle, then run. */
async function generate() {
  const { build } = await import('esbuild');
  const outfile = join(root, 'node_modules', '.cache', 'generate.mjs');
  const entryPoints = [join(root, 'test', 'house', 'generate.ts')];
  await build({ entryPoints, outfile, bundle: true, packages: 'external', format: 'esm', platform: 'node' });
  (await import(outfile)).generate(root);
}

const [verb, ...rest] = process.argv.slice(2);
if (verb === 'prepare' && !existsSync(join(root, 'node_modules', 'esbuild'))) process.exit(0);
if (verb !== 'prepare') installDependencies();

switch (verb) {
  case 'prepare':
    await buildIfStale();
    break;
  case 'build':
    await buildIfStale(true);
    break;
  case 'check':
    process.exitCode = await check();
    break;
  case 'generate':
    await generate();
    break;
  case 'unit':
    process.exitCode = run(bin('vitest'), ['run', '--project', 'unit', ...rest]);
    break;
  case 'test':
    await buildIfStale();
    process.exitCode = run(bin('vitest'), ['run', ...rest]);
    break;
  default:
    console.error(`unknown command ${verb}`);
    process.exitCode = 2;
}
