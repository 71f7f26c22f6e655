// The loader behind typescript.mjs: one file at a time through esbuild, nothing resolved, nothing cached.
import { transform } from 'esbuild';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

export async function load(url, context, next) {
  if (!url.startsWith('file:') || !/\.(ts|yaml)$/.test(url)) return next(url, context);
  const text = await readFile(fileURLToPath(url), 'utf8');
  if (url.endsWith('.yaml'))
    return { format: 'module', shortCircuit: true, source: `export default ${JSON.stringify(text)};` };
  const { code } = await transform(text, {
    loader: 'ts',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    sourcefile: fileURLToPath(url),
    define: { __VERSION__: '"0.0.0-test"' },
  });
  return { format: 'module', shortCircuit: true, source: code };
}
