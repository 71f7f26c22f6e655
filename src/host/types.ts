/**
 * The only seam between this program and a host's disk: a few file functions, so that a test can stand in for the disk
 * and fail, lose or stop at each of them. Paths are absolute as the host sees them. Whatever is not "there or not there"
 * throws NodeJS.ErrnoException (full disk, read-only, I/O error); install.ts and its callers turn that into values.
 */
export type DiskOwner = { readonly uid: number; readonly gid: number };

export type DiskStat = {
  readonly kind: 'file' | 'dir' | 'link' | 'other';
  readonly mode: number;
  readonly owner: DiskOwner;
  /** When content, mode or name was last changed (ctime, which nobody can set), in ms since 1970. */
  readonly changedAt?: number;
  /** Of a plain file, in bytes. */
  readonly size?: number;
};

export type Disk = {
  /** Not followed if it is a link; null where nothing is there. */
  readonly stat: (path: string) => Promise<DiskStat | null>;
  /** null where there is no plain file. */
  readonly read: (path: string) => Promise<Uint8Array | null>;
  /** At most so many bytes from the end of a plain file; null where there is none. */
  readonly readEnd: (path: string, bytes: number) => Promise<Uint8Array | null>;
  /** Names in a folder, sorted; null where there is no folder. */
  readonly list: (path: string) => Promise<readonly string[] | null>;
  /** One folder, whose parent is there. Durable only after `syncDir` of the parent. */
  readonly makeDir: (path: string, mode: number, owner: DiskOwner | null) => Promise<void>;
  /** A new file, its content on disk when this returns; fails with EEXIST. Its name is durable only after `syncDir`. */
  readonly create: (path: string, bytes: Uint8Array, as: DiskStat) => Promise<void>;
  /** Another owner for a plain file that has no other name, or for a folder; nothing happens to anything else. */
  readonly give: (path: string, owner: DiskOwner) => Promise<void>;
  /** A second name of a file; fails with EEXIST. Takes no block, and no inode. Durable only after `syncDir`. */
  readonly link: (from: string, to: string) => Promise<void>;
  readonly rename: (from: string, to: string) => Promise<void>;
  /** Nothing happens where no file is. */
  readonly remove: (path: string) => Promise<void>;
  /** Only an empty folder goes; one with something in it, a mount point, or none, is no error. */
  readonly removeDir: (path: string) => Promise<void>;
  readonly syncDir: (path: string) => Promise<void>;
  /** Bytes that whoever runs the API server may still write at a path or, if it is not there, above it; null: unknown. */
  readonly freeBytes: (path: string) => Promise<number | null>;
};
