/**
 * A disk in memory behind the seam of src/host/types.ts. It can stop at its n-th operation (a kill), fail there (full,
 * read-only, broken), be full from there on (what takes space fails, renames do not), and lose what was not synced (a power cut). Content is durable when `create` returns, names only
 * after `syncDir`: so the seam promises it, and no more.
 */
import type { Disk, DiskStat } from '../../src/host/types.ts';

type Entry = Omit<DiskStat, 'size'> & { readonly bytes: Uint8Array };
type Tree = Map<string, Entry>;
/** A change of names in a folder that is not durable yet. */
type Pending = { readonly dir: string; readonly apply: (tree: Tree) => void };

export class Killed extends Error {}

/** Stop or fail at operation number `at` (from 0) that changes something. `after`: the operation itself still happens. */
export type Fault =
  | { readonly kind: 'kill'; readonly at: number; readonly after: boolean }
  | { readonly kind: 'error'; readonly at: number; readonly code: string; readonly lasting: boolean }
  | { readonly kind: 'full'; readonly at: number; readonly killAt?: number };

const parentOf = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf('/')));
const errno = (code: string, path: string): Error => Object.assign(new Error(`${code}: ${path}`), { code });
const ROOT: Entry = { kind: 'dir', mode: 0o755, owner: { uid: 0, gid: 0 }, bytes: new Uint8Array() };

export class MemoryDisk implements Disk {
  live: Tree;
  #durable: Tree;
  #pending: Pending[] = [];
  #killed = false;
  fault: Fault | null = null;
  /** Where given, files have the time of their last change. */
  clock: (() => number) | null = null;
  /** Of files that are said to be larger than what is kept of them here. */
  readonly sizes = new Map<string, number>();
  /** Changing operations so far, named. */
  operations: string[] = [];
  /** Someone else's hands, just before an operation. */
  onOperation: (name: string) => void = () => undefined;

  constructor(files: Readonly<Record<string, string | Uint8Array>> = {}) {
    this.live = new Map([['/', ROOT]]);
    for (const [path, content] of Object.entries(files)) this.put(path, content);
    this.#durable = new Map(this.live);
  }

  /** Straight into both trees: the world's doing, not the program's. */
  put(path: string, content: string | Uint8Array, mode = 0o600): void {
    this.#folders(parentOf(path));
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    this.live.set(path, { kind: 'file', mode, owner: { uid: 0, gid: 0 }, bytes, ...this.#changed });
    this.#durable = new Map(this.live);
  }

  get #changed(): Pick<DiskStat, 'changedAt'> {
    return this.clock === null ? {} : { changedAt: this.clock() };
  }

  folder(path: string): void {
    this.#folders(path);
    this.#durable = new Map(this.live);
  }

  #folders(path: string): void {
    if (path !== '/') this.#folders(parentOf(path));
    if (!this.live.has(path)) this.live.set(path, ROOT);
  }

  text(path: string): string | null {
    const e = this.live.get(path);
    return e === undefined || e.kind !== 'file' ? null : new TextDecoder('utf-8', { ignoreBOM: true }).decode(e.bytes);
  }

  /** Every path, with content for files: what two disks are compared by. */
  snapshot(): Record<string, string> {
    return Object.fromEntries(
      [...this.live]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([p, e]) => [p, e.kind === 'dir' ? '<dir>' : (this.text(p) ?? '<other>')]),
    );
  }

  /** The disk after a power cut: of the changes of names that were not synced, those for which `keep` is true. */
  afterPowerCut(keep: (index: number) => boolean): MemoryDisk {
    const disk = new MemoryDisk();
    const tree = new Map(this.#durable);
    for (const [i, p] of this.#pending.entries()) if (keep(i)) p.apply(tree);
    // A name whose folder did not survive is gone with it.
    for (const path of [...tree.keys()].sort()) if (path !== '/' && !tree.has(parentOf(path))) tree.delete(path);
    disk.live = tree;
    disk.#durable = new Map(tree);
    return disk;
  }

  get pendingCount(): number {
    return this.#pending.length;
  }

  /** The same disk, as the next process finds it. */
  reopened(): MemoryDisk {
    const disk = new MemoryDisk();
    disk.live = new Map(this.live);
    disk.#durable = new Map(this.live);
    return disk;
  }

  #change(name: string, dir: string, apply: (tree: Tree) => void): void {
    if (this.#killed) throw new Killed();
    const index = this.operations.length;
    this.operations.push(name);
    this.onOperation(name);
    const f = this.fault;
    if (f?.kind === 'error' && (f.at === index || (f.lasting && index > f.at))) throw errno(f.code, name);
    if (f?.kind === 'full' && index >= f.at && /^(create|makeDir) /.test(name)) throw errno('ENOSPC', name);
    if (f?.kind === 'full' && f.killAt === index) this.#kill();
    if (f?.kind === 'kill' && f.at === index && !f.after) this.#kill();
    apply(this.live);
    this.#pending.push({ dir, apply });
    if (f?.kind === 'kill' && f.at === index) this.#kill();
  }

  #kill(): never {
    this.#killed = true;
    throw new Killed();
  }

  #alive(): void {
    if (this.#killed) throw new Killed();
  }

  stat = async (path: string): Promise<DiskStat | null> => {
    this.#alive();
    const e = this.live.get(path);
    if (e === undefined) return null;
    const { kind, mode, owner, changedAt } = e;
    const size = kind === 'file' ? { size: this.sizes.get(path) ?? e.bytes.length } : {};
    return { kind, mode, owner, ...size, ...(changedAt === undefined ? {} : { changedAt }) };
  };

  read = async (path: string): Promise<Uint8Array | null> => {
    this.#alive();
    const e = this.live.get(path);
    return e?.kind === 'file' ? e.bytes : null;
  };

  readEnd = async (path: string, bytes: number): Promise<Uint8Array | null> =>
    (await this.read(path))?.slice(-bytes) ?? null;

  list = async (path: string): Promise<readonly string[] | null> => {
    this.#alive();
    if (this.live.get(path)?.kind !== 'dir') return null;
    const prefix = path === '/' ? '/' : `${path}/`;
    return [...this.live.keys()]
      .filter((p) => p !== '/' && p.startsWith(prefix) && !p.slice(prefix.length).includes('/'))
      .map((p) => p.slice(prefix.length))
      .sort();
  };

  makeDir = async (path: string, mode: number, owner: DiskStat['owner'] | null): Promise<void> => {
    if (!this.live.has(parentOf(path))) throw errno('ENOENT', path);
    if (this.live.has(path)) throw errno('EEXIST', path);
    const entry: Entry = { ...ROOT, mode, owner: owner ?? ROOT.owner };
    this.#change(`makeDir ${path}`, parentOf(path), (tree) => tree.set(path, entry));
  };

  create = async (path: string, bytes: Uint8Array, { size: _, ...as }: DiskStat): Promise<void> => {
    if (!this.live.has(parentOf(path))) throw errno('ENOENT', path);
    if (this.live.has(path)) throw errno('EEXIST', path);
    const entry: Entry = { ...as, bytes: bytes.slice(), ...this.#changed };
    // A kill in the middle of a write leaves a part of it.
    const f = this.fault;
    if (f?.kind === 'kill' && f.at === this.operations.length && !f.after)
      this.live.set(path, { ...entry, bytes: bytes.slice(0, bytes.length >> 1) });
    this.#change(`create ${path}`, parentOf(path), (tree) => tree.set(path, entry));
  };

  give = async (path: string, owner: DiskStat['owner']): Promise<void> => {
    this.#alive();
    const is = this.live.get(path);
    if (is === undefined) return;
    this.#change(`give ${path}`, parentOf(path), (tree) => {
      const entry = tree.get(path);
      if (entry !== undefined) tree.set(path, { ...entry, owner, ...this.#changed });
    });
  };

  link = async (from: string, to: string): Promise<void> => {
    this.#alive();
    const entry = this.live.get(from);
    if (entry?.kind !== 'file') throw errno('ENOENT', from);
    if (this.live.has(to)) throw errno('EEXIST', to);
    this.#change(`link ${to}`, parentOf(to), (tree) => tree.set(to, entry));
  };

  rename = async (from: string, to: string): Promise<void> => {
    const old = this.live.get(from);
    if (old === undefined) throw errno('ENOENT', from);
    const entry = { ...old, ...this.#changed };
    this.#change(`rename ${to}`, parentOf(to), (tree) => {
      tree.delete(from);
      tree.set(to, entry);
    });
  };

  remove = async (path: string): Promise<void> => {
    this.#alive();
    if (this.live.get(path)?.kind !== 'file') return;
    this.#change(`remove ${path}`, parentOf(path), (tree) => tree.delete(path));
  };

  removeDir = async (path: string): Promise<void> => {
    if (((await this.list(path)) ?? ['-']).length > 0) return;
    this.#change(`removeDir ${path}`, parentOf(path), (tree) => tree.delete(path));
  };

  syncDir = async (path: string): Promise<void> => {
    this.#change(`syncDir ${path}`, path, () => undefined);
    for (const p of this.#pending.filter((x) => x.dir === path)) p.apply(this.#durable);
    this.#pending = this.#pending.filter((x) => x.dir !== path);
  };

  free: number | null = null;
  freeBytes = async (): Promise<number | null> => this.free;
}
