// Bundles src/main.ts to dist/auditconfig.js. Commands are split into chunks that are loaded when they are asked for:
// `lint` and `evaluate` must start fast, so they may not load zod, undici, pino or prom-client. All of these are in the
// bundle, and so package.json has them for development only: who installs the package downloads nothing else.
import { build } from 'esbuild';
import { chmodSync, readFileSync, rmSync } from 'node:fs';

/** The version is read, not taken from npm's environment: the image is built without npm. */
export function definesOf(root) {
  const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));
  return { __VERSION__: JSON.stringify(version) };
}

// The official client names `Headers` of this package, which brings along a `punycode` that Node 24 warns of at every
// start. Nothing here makes requests by it (src/kube/transport.ts does), and Node has had both for long.
const nodesOwnFetch = {
  name: 'nodes-own-fetch',
  setup(build) {
    build.onResolve({ filter: /^node-fetch$/ }, () => ({ path: 'node-fetch', namespace: 'nodes-own' }));
    build.onLoad({ filter: /.*/, namespace: 'nodes-own' }, () => ({
      contents: 'export const { Headers, fetch: default_ } = globalThis; export { default_ as default };',
    }));
  },
};

// What packages load and nothing here uses: a process would hold its code for as long as it lives. The reader of kubeconfigs
// names the generated client of every API group, for a method that makes one of its clients; zod speaks forty languages.
const LEFT_OUT = {
  '@kubernetes/client-node/dist/gen/index.js':
    'export class ServerConfiguration {} export const createConfiguration = undefined;',
  'zod/v4/locales/index.js': 'export {};',
};
const leftOut = {
  name: 'left-out',
  setup(build) {
    for (const [file, contents] of Object.entries(LEFT_OUT))
      build.onLoad({ filter: new RegExp(`/node_modules/${file.replaceAll('.', '\\.')}$`) }, () => ({ contents }));
  },
};

export async function bundle(root) {
  rmSync(`${root}/dist`, { recursive: true, force: true });
  await build({
    absWorkingDir: root,
    entryPoints: [{ in: 'src/main.ts', out: 'auditconfig' }],
    outdir: 'dist',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'linked',
    chunkNames: 'chunks/[name]-[hash]',
    loader: { '.yaml': 'text' },
    define: definesOf(root),
    plugins: [nodesOwnFetch, leftOut],
    // CommonJS dependencies ask for Node's own modules by require.
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    logLevel: 'warning',
  });
  chmodSync(`${root}/dist/auditconfig.js`, 0o755);
}
