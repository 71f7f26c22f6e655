// `node --import ./test/house/typescript.mjs file.ts`: runs TypeScript and imports YAML as text, as the bundle does, on
// every Node that we support. For the parts of tests that are processes of their own: provisioning, demo, bench, fuzz.
import { register } from 'node:module';

register('./typescript-hooks.mjs', import.meta.url);
