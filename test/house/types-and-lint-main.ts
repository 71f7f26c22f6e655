/** `types-and-lint-main.ts TSCONFIG [--without TSCONFIG]`: one half of `npm run check` (check.mjs). Exit code 1 for problems. */
import { join, resolve } from 'node:path';
import { typesAndLint } from './types-and-lint.ts';

const root = resolve(import.meta.dirname, '../..');
const [tsconfig = 'tsconfig.json', flag, without] = process.argv.slice(2);
const { problems, looked } = await typesAndLint({
  root,
  tsconfig: join(root, tsconfig),
  ...(flag === '--without' && without !== undefined ? { without: join(root, without) } : {}),
  cache: join(root, 'node_modules/.cache/check', `${tsconfig.replaceAll('/', '-')}`),
  decisive: ['tsconfig.json', 'eslint.config.js', 'package.json', 'package-lock.json'].map((f) => join(root, f)),
});
for (const problem of problems) console.log(problem);
console.log(`looked at ${looked} files`);
process.exitCode = problems.length === 0 ? 0 : 1;
