// `npm run check`: types and lint in one native program (.oxlintrc.json); beside it the rule of imports, and whether
// generated files are what the sources make. What passes says one word; what fails says it all. Format is a check of its
// own, `npm run format:check`.
import { spawn } from 'node:child_process';

const JOBS = [
  ['types and lint', ['node_modules/oxlint/bin/oxlint', '--report-unused-disable-directives']],
  ['imports and generated files', ['node_modules/vitest/vitest.mjs', 'run', '--project', 'unit', 'test/house/imports.test.ts', 'test/house/committed.test.ts', '--reporter=dot']], // prettier-ignore
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
