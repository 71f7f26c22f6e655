/**
 * Three projects: `unit` needs nothing but Node; `plane` (`*.plane.test.ts`) starts real kube-apiservers and runs after it,
 * when their binaries have been built or fetched in the background (test/house/vitest.mjs). `node` (`*.node.test.ts`)
 * starts whole clusters, with kubelets, and has a command of its own: `npm run test:node`.
 */
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import type { Plugin } from 'vitest/config';

/** YAML files are text, as in the bundle (test/house/build.mjs). */
const yamlAsText: Plugin = {
  name: 'yaml-as-text',
  enforce: 'pre',
  transform(code, id) {
    return id.endsWith('.yaml') ? { code: `export default ${JSON.stringify(code)};`, map: null } : undefined;
  },
};

const cores = availableParallelism();

export default defineConfig({
  plugins: [yamlAsText],
  define: { __VERSION__: JSON.stringify('0.0.0-test') },
  test: {
    reporters: ['default'],
    setupFiles: ['test/house/seed.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.plane.test.ts', 'test/**/*.node.test.ts', 'node_modules/**'],
          pool: 'threads',
          isolate: false,
          // Vitest's own default leaves one core idle, which is half of a machine with two.
          maxWorkers: cores,
          sequence: { groupOrder: 0 },
          testTimeout: 20_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'plane',
          include: ['test/**/*.plane.test.ts'],
          pool: 'forks',
          // A kube-apiserver takes two cores for three seconds to start, and 300 MB.
          maxWorkers: Math.max(2, Math.min(4, Math.floor(cores / 2))),
          sequence: { groupOrder: 1 },
          testTimeout: 180_000,
          // A hook that starts a plane may wait for a build from nothing, of both versions.
          hookTimeout: 1_200_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'node',
          include: ['test/**/*.node.test.ts'],
          pool: 'forks',
          // Three nodes take all of a machine with two cores.
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
          // One restart of an API server takes up to 46 s; a test has several, and waits of its own that say what for.
          testTimeout: 600_000,
          hookTimeout: 1_200_000,
        },
      },
    ],
  },
});
