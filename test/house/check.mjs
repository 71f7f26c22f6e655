// `npm run check`: types, lint, format and imports, side by side. What passes says one word; what fails says it all.
import { spawn } from 'node:child_process';
import { join } from 'node:path';

const JOBS = [
  ['types', 'tsc', ['-p', 'tsconfig.json']],
  ['core types', 'tsc', ['-p', 'src/tsconfig.json']],
  ['lint', 'eslint', ['--cache', '--cache-location', 'node_modules/.cache/eslint/', '--max-warnings', '0', '.']],
  ['format', 'prettier', ['--check', '--cache', '--log-level', 'warn', '.']],
  ['imports', 'vitest', ['run', '--project', 'unit', 'test/house/imports.test.ts', '--reporter=dot']],
];

function job(root, [name, command, args]) {
  return new Promise((resolve) => {
    const options = { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] };
    const child = spawn(join(root, 'node_modules', '.bin', command), args, options);
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
