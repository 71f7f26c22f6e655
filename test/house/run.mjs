// One plain-Node script without dependencies behind every npm command: install what is missing, build what is stale,
// then run. It is what makes `npm test` and `npm run demo` work alone on a fresh clone.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildIfStale } from './bundle.mjs';
import { installDependencies, isNodeAtLeast } from './install.mjs';
import { stopOnSignals } from './stop.mjs';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Verbs that are programs in TypeScript: each exports `main(args, signal)`, which gives the exit code. */
const PROGRAMS = {
  bench: 'test/bench/main.ts',
  'bench:cost': 'test/cost/main.ts',
  'bench:fleet': 'test/bench/fleet/main.ts',
  'bench:idle': 'test/bench/idle.ts',
  campaign: 'test/campaign/main.ts',
  demo: 'test/demo/main.ts',
  fuzz: 'test/judge/fuzz.ts',
};

async function program(verb, args) {
  await import('./typescript.mjs');
  const { main } = await import(join(root, PROGRAMS[verb]));
  const signal = stopOnSignals(process);
  const code = await main(args, signal).catch((error) => {
    if (!signal.aborted) throw error;
    console.error(`${verb} was stopped from outside`);
    return 1;
  });
  // What was being started when it was stopped may still hold the event loop; nothing outlives this process.
  if (signal.aborted) process.exit(code);
  return code;
}

async function run(verb, args) {
  switch (verb) {
    case 'prepare':
    case 'build':
      return (await buildIfStale(root, verb === 'build')) ? 0 : 1;
    case 'check':
      return (await import('./check.mjs')).check(root);
    case 'generate':
      await import('./typescript.mjs');
      (await import('./generate.ts')).generate(root);
      return 0;
    case 'unit':
      if (!(await buildIfStale(root))) return 1;
      return (await import('./vitest.mjs')).vitest(root, ['--project', 'unit', ...args], { planes: false });
    case 'test':
      if (!(await buildIfStale(root))) return 1;
      return (await import('./vitest.mjs')).vitest(root, ['--project', '!node', ...args], { planes: true });
    case 'node':
      if (!(await buildIfStale(root))) return 1;
      return (await import('./vitest.mjs')).vitest(root, ['--project', 'node', ...args], { planes: false });
    case 'bench':
    case 'bench:cost':
    case 'bench:fleet':
    case 'bench:idle':
    case 'campaign':
    case 'demo':
    case 'fuzz':
      if (!(await buildIfStale(root))) return 1;
      return program(verb, args);
    default:
      console.error(`unknown command ${verb}`);
      return 2;
  }
}

if (!isNodeAtLeast('20.19')) {
  console.error(`auditconfig needs Node 20.19 or newer; this is ${process.versions.node}`);
  process.exit(2);
}
const [verb, ...args] = process.argv.slice(2);
// npm runs `prepare` of a package that it installs from git too; without esbuild there is nothing to build with.
if (verb === 'prepare' && !existsSync(join(root, 'node_modules', 'esbuild'))) process.exit(0);
const installed = verb === 'prepare' ? 0 : installDependencies(root);
process.exitCode = installed === 0 ? await run(verb, args) : installed;
