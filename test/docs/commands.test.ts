/** Every `auditconfig ...` that README, docs and the commands' own examples name: the command is there, and so are its flags. */
import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { COMMANDS, runCli } from '../../src/cli/index.ts';
import { IO } from '../cli/node-folder.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const PAGES = ['README.md', ...readdirSync(join(ROOT, 'docs')).flatMap((f) => (f.endsWith('.md') ? [`docs/${f}`] : []))];
await Promise.all(COMMANDS.map((c) => c.load()));

const helps = new Map<string, string>();
for (const { name } of COMMANDS) helps.set(name, (await runCli([name, '--help'], IO)).stdout ?? '');

type Named = { readonly where: string; readonly command: string; readonly flags: readonly string[] };

/** Command lines only: text between backquotes, lines of blocks and examples. A comment or a pipe ends one. */
function namedIn(where: string, text: string): readonly Named[] {
  const joined = text.replaceAll('\\\n', ' ');
  const spans = [...joined.matchAll(/`([^`\n]+)`/g)].map((m) => m[1] ?? '');
  const lines = joined.split('\n').filter((l) => /^(?:\s+|\$ )(?:.*\| )?auditconfig /.test(l));
  return [...spans, ...lines].flatMap((span) =>
    [...span.matchAll(/(?:^|[\s|])auditconfig ([a-z-]+)([^|#]*)/g)].map(([, command = '', rest = '']) => ({
      ...{ where, command },
      flags: rest.split(/\s+/).flatMap((w) => /^(--?[a-z][a-z-]*)/.exec(w)?.slice(1, 2) ?? []),
    })),
  );
}

const pages = PAGES.flatMap((p) => namedIn(p, readFileSync(join(ROOT, p), 'utf8')));
const examples = [...helps].flatMap(([name, help]) => namedIn(`${name} --help`, help));

describe('a command line that is named', () => {
  it('in README and docs is one that there is, with flags that it takes', () => {
    const isProse = ({ command }: Named): boolean => ['controller', 'agent', 'guard'].includes(command);
    const wrong = pages.filter(
      ({ command, flags }) => !helps.has(command) || flags.some((f) => !helps.get(command)?.includes(f)),
    );
    expect(pages.length).toBeGreaterThan(20);
    expect(wrong.filter((n) => !isProse(n))).toEqual([]);
  });

  it("in a command's own examples is one that there is, with flags that it takes", () => {
    expect(examples.length).toBeGreaterThan(20);
    expect(
      examples.filter(({ command, flags }) => flags.some((f) => !(helps.get(command) ?? '').includes(f))),
    ).toEqual([]);
  });
});
