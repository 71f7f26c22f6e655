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

export default defineConfig({
  plugins: [yamlAsText],
  define: { __VERSION__: JSON.stringify('0.0.0-test') },
  test: {
    reporters: ['default'],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.plane.test.ts', 'test/**/*.node.test.ts', 'node_modules/**'],
          pool: 'threads',
          isolate: false,
          testTimeout: 20_000,
        },
      },
      {
        // Against a real kube-apiserver and etcd: test/control-plane.
        extends: true,
        test: {
          name: 'plane',
          include: ['test/**/*.plane.test.ts'],
          pool: 'forks',
          maxWorkers: 2,
          testTimeout: 180_000,
          hookTimeout: 1_200_000,
        },
      },
    ],
  },
});
