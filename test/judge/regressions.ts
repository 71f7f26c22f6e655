/**
 * Disagreements of earlier fuzz runs, minimized: asked again on every run, of both versions. A file is a list of
 * {why, policy}; a policy's characters are its bytes.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Generated } from './policies.ts';

const FOLDER = join(import.meta.dirname, 'regressions');

type Case = { readonly why: string; readonly policy: string };

export function regressions(): readonly Generated[] {
  const files = readdirSync(FOLDER).filter((f) => f.endsWith('.json'));
  const cases = files.sort().flatMap((f) => JSON.parse(readFileSync(join(FOLDER, f), 'utf8')) as Case[]);
  return cases.map((c) => ({ origin: 'regression', text: c.policy }));
}
