/** `types-and-lint-main.ts PART...`, where a part is core, sources or tests: a job of `npm run check` (check.mjs). Exit code 1 for problems. */
import { join, resolve, sep } from 'node:path';
import { typesAndLint } from './types-and-lint.ts';

const root = resolve(import.meta.dirname, '../..');
const inSources = (file: string): boolean => file.startsWith(join(root, 'src') + sep);
const rest = { tsconfig: join(root, 'tsconfig.json'), without: join(root, 'src/tsconfig.json') };

/** The core is compiled without Node's types; no part compiles what another answers for. */
const PARTS = {
  core: { tsconfig: join(root, 'src/tsconfig.json') },
  sources: { ...rest, only: inSources },
  tests: { ...rest, only: (file: string): boolean => !inSources(file) },
};
const isPart = (name: string): name is keyof typeof PARTS => Object.hasOwn(PARTS, name);

for (const name of process.argv.slice(2)) {
  if (!isPart(name)) throw new Error(`no part is named ${name}`);
  const { problems, looked } = await typesAndLint({
    root,
    ...PARTS[name],
    cache: join(root, 'node_modules/.cache/check', `${name}.json`),
    decisive: ['tsconfig.json', 'eslint.config.js', 'package.json', 'package-lock.json'].map((f) => join(root, f)),
  });
  for (const problem of problems) console.log(problem);
  console.log(`looked at ${looked} files`);
  if (problems.length > 0) process.exitCode = 1;
}
