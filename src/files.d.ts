// YAML files are bundled as text (esbuild's text loader; vitest.config.ts does the same).
declare module '*.yaml' {
  const text: string;
  export default text;
}
