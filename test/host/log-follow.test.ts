/** Following a log that somebody else writes, on real files: rotation, deletion, torn and endless lines, bounds. */
import { appendFile, mkdtemp, rename, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { firstLines, listFiles } from '../../src/host/log-files.ts';
import { LineCutter, LogFollower, MAX_LINE, statLog } from '../../src/host/log-follow.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'log-follow-'));
});
afterEach(() => rm(root, { recursive: true }));
const PATH = '/audit.log';
const at = (name: string): string => join(root, name);
const yes = (): boolean => true;

async function following(act: (f: LogFollower) => Promise<void>, maxBytes = 1 << 20): Promise<void> {
  const f = await LogFollower.at(root, PATH, maxBytes);
  try {
    await act(f);
  } finally {
    await f.close();
  }
}

describe('following a log', () => {
  it('finds a new line, and not one that was there before', async () => {
    await writeFile(at('audit.log'), 'old id\n');
    await following(async (f) => {
      expect(await f.poll('id', yes)).toEqual({ log: 'Present' });
      await appendFile(at('audit.log'), 'other\nnew id\n');
      expect(await f.poll('id', yes)).toEqual({ line: 'new id', log: 'Present' });
      expect(f.bytesRead).toBe(13);
    });
  });

  it('waits for the end of a torn line', async () => {
    await writeFile(at('audit.log'), '');
    await following(async (f) => {
      await appendFile(at('audit.log'), 'half i');
      expect((await f.poll('id', yes)).line).toBeUndefined();
      await appendFile(at('audit.log'), 'd end\n');
      expect((await f.poll('id', yes)).line).toBe('half id end');
    });
  });

  it('finds what was written just before a rotation, and just after it', async () => {
    for (const [before, after] of [
      ['x id\n', 'y\n'],
      ['x\n', 'y id\n'],
    ] as const) {
      await writeFile(at('audit.log'), 'first\n');
      await following(async (f) => {
        await appendFile(at('audit.log'), before);
        await rename(at('audit.log'), at('audit-2026-01-01T00-00-00.000.log'));
        await writeFile(at('audit.log'), after);
        expect((await f.poll('id', yes)).line).toMatch(/^[xy] id$/);
      });
    }
  });

  it('begins at the beginning of a log that was not there yet', async () => {
    await following(async (f) => {
      expect(await f.poll('id', yes)).toEqual({ log: 'Absent' });
      await writeFile(at('audit.log'), 'first id\n');
      expect((await f.poll('id', yes)).line).toBe('first id');
    });
  });

  it('goes on from the beginning where the log was cut off in place', async () => {
    await writeFile(at('audit.log'), 'a long line before\n');
    await following(async (f) => {
      await truncate(at('audit.log'));
      await appendFile(at('audit.log'), 'id\n');
      expect((await f.poll('id', yes)).line).toBe('id');
    });
  });

  it('does not count what is written into a deleted file (kubernetes#111208)', async () => {
    await writeFile(at('audit.log'), '');
    const { open } = await import('node:fs/promises');
    const writer = await open(at('audit.log'), 'a');
    await following(async (f) => {
      await unlink(at('audit.log'));
      await writer.write('id\n');
      expect(await f.poll('id', yes)).toEqual({ log: 'Absent' });
    });
    await writer.close();
  });

  it('passes over lines that hold the bytes and are not meant', async () => {
    await writeFile(at('audit.log'), '');
    await following(async (f) => {
      await appendFile(at('audit.log'), 'id no\nid yes\n');
      expect((await f.poll('id', (l) => l.endsWith('yes'))).line).toBe('id yes');
    });
  });

  it('reads no more than it may, and says so', async () => {
    await writeFile(at('audit.log'), '');
    await following(async (f) => {
      await appendFile(at('audit.log'), `${'x'.repeat(300_000)}\nid\n`);
      expect(await f.poll('id', yes)).toEqual({ log: 'TooBusy' });
      expect(f.bytesRead).toBeLessThanOrEqual(100_000 + 64 * 1024);
    }, 100_000);
  });

  it('leaves no file open', async () => {
    await writeFile(at('audit.log'), '');
    const { readdir } = await import('node:fs/promises');
    const before = (await readdir('/proc/self/fd')).length;
    for (let i = 0; i < 50; i++)
      await following(async (f) => {
        await rename(at('audit.log'), at(`audit-${i}.log`));
        await writeFile(at('audit.log'), '');
        await f.poll('id', yes);
      });
    expect((await readdir('/proc/self/fd')).length - before).toBeLessThan(10);
  });

  it('tells which file it is, and that none is there', async () => {
    expect(await statLog(root, PATH)).toBeNull();
    await writeFile(at('audit.log'), '12345');
    expect((await statLog(root, PATH))?.size).toBe(5n);
  });
});

describe('cutting bytes into lines', () => {
  const cut = (chunks: readonly string[], max?: number): string[] => {
    const cutter = new LineCutter(max);
    return chunks.flatMap((c) => cutter.push(Buffer.from(c)).map(String));
  };
  it.each([
    [['a\nb\n'], ['a', 'b']],
    [['a', 'b', '\nc'], ['ab']],
    [['\n\n'], ['', '']],
    [['12345', '6\nok\n'], ['ok']],
    [['123456\nok\n'], ['ok']],
    [['12345678', '9\n', 'ok\n'], ['ok']],
    [['12345\n'], ['12345']],
  ])('%j', (chunks, lines) => {
    expect(cut(chunks, 5)).toEqual(lines);
  });
  it('holds no more than one line', () => {
    const cutter = new LineCutter();
    for (let i = 0; i < 10; i++) {
      cutter.push(Buffer.alloc(MAX_LINE, 'x'));
      expect(cutter.held).toBeLessThanOrEqual(MAX_LINE);
    }
    expect(cutter.push(Buffer.from('\nok\n')).map(String)).toEqual(['ok']);
  });
});

describe('the files of a log', () => {
  it('are listed with their sizes; folders and links are not', async () => {
    await writeFile(at('audit.log'), '123');
    const { mkdir, symlink } = await import('node:fs/promises');
    await mkdir(at('dir'));
    await symlink(at('audit.log'), at('link'));
    expect(await listFiles(root, '/')).toEqual([{ name: 'audit.log', bytes: 3 }]);
    expect(await listFiles(root, '/nowhere')).toEqual([]);
  });

  it('give their first lines, compressed or not, without being read to the end', async () => {
    const lines = Array.from({ length: 100_000 }, (_, i) => `line ${i} ${Math.sin(i)}`);
    const text = `${lines.join('\n')}\n`;
    await writeFile(at('plain.log'), text);
    await writeFile(at('packed.log.gz'), gzipSync(text));
    for (const [name, gzip] of [
      ['plain.log', false],
      ['packed.log.gz', true],
    ] as const) {
      const first = await firstLines(root, `/${name}`, gzip);
      expect(first[0]).toBe(lines[0]);
      expect(first.length).toBeLessThan(20_000);
    }
  });

  it('give nothing where they cannot be read', async () => {
    await writeFile(at('bad.gz'), 'no gzip');
    await writeFile(at('bomb.gz'), gzipSync(Buffer.alloc(64 << 20)));
    expect(await firstLines(root, '/bad.gz', true)).toEqual([]);
    expect(await firstLines(root, '/bomb.gz', true)).toEqual([]);
    expect(await firstLines(root, '/nowhere', false)).toEqual([]);
  });
});
