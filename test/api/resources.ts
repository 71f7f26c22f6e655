/** The tables of right and wrong resources: a file each; a wrong one begins with `# expect: PART OF THE MESSAGE`. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

export type Case = { readonly name: string; readonly expect: string; readonly object: Record<string, unknown> };

export function casesOf(
  folder: 'refused' | 'accepted' | 'datacenter-refused' | 'datacenter-accepted',
): readonly Case[] {
  const dir = join(import.meta.dirname, folder);
  return readdirSync(dir)
    .sort()
    .map((file) => {
      const source = readFileSync(join(dir, file), 'utf8');
      const expect = /^# expect: (.+)$/m.exec(source)?.[1] ?? '';
      return { name: file.replace(/\.yaml$/, ''), expect, object: parse(source) as Record<string, unknown> };
    });
}
