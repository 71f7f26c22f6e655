// `npm run check`: types, lint and imports, side by side. What passes says one word; what fails says it all.
//
// Two programs that take about as long, one for each of two CPUs: the tests, and what they test (types-and-lint-main.ts).
// Format is a check of its own, `npm run format:check`.
import { spawn } from 'node:child_process';

// Half of the time of a compiler is garbage collection, where it gets as little room for young objects as a server.
const TYPES_AND_LINT = [
  '--max-semi-space-size=128',
  '--import',
  './test/house/typescript.mjs',
  'test/house/types-and-lint-main.ts',
];
const VITEST = 'node_modules/vitest/vitest.mjs';

const JOBS = [
  ['types and lint of the tests', [...TYPES_AND_LINT, 'tests']],
  ['types and lint of the sources', [...TYPES_AND_LINT, 'core', 'sources']],
  ['imports', [VITEST, 'run', '--project', 'unit', 'test/house/imports.test.ts', '--reporter=dot']],
];

function job(root, [name, args]) {
  return new Promise((resolve) => {
    const options = { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] };
    const child = spawn(process.execPath, args, options);
    let out = '';
    child.stdout.on('data', (d) => (out += d));
    child.stderr.on('data', (d) => (out += d));
    child.on('error', (error) => (out += error.message));
    child.on('close', (code) => {
      console.log(`${code === 0 ? 'ok  ' : 'FAIL'} ${name}`);
      if (code !== 0) process.stdout.write(out);
      resolve(code === 0);
    });
  });
}

/** Exit code. */
export async function check(root) {
  const passed = await Promise.all(JOBS.map((j) => job(root, j)));
  return passed.every(Boolean) ? 0 : 1;
}
