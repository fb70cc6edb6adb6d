/**
 * What a lake is kept in: objects by path, each written once as a whole. Narrow, so that another cloud's store is one more file. A
 * path is relative to the store's root, its parts joined by `/`. Every method takes its abort from the signal the store was opened with,
 * and throws LonghaulErrors that name the connection.
 */
export interface ObjectStore {
  /** Where it is, as other engines write it: `s3://bucket/prefix`, `file:///srv/lake`. Without a credential. */
  readonly url: string;
  /** Undefined: there is none. */
  get(path: string): Promise<Uint8Array | undefined>;
  /** Bytes [from, to) of an object that is there. */
  range(path: string, from: number, to: number): Promise<Uint8Array>;
  head(path: string): Promise<ObjectInfo | undefined>;
  /**
   * Creates an object, durably and visible only as a whole; false when there is one of that path already, with other bytes. One with
   * these very bytes is taken for the caller's own, whose answer was lost: so give bytes that nobody else would give.
   */
  putIfAbsent(path: string, bytes: Uint8Array): Promise<boolean>;
  /**
   * Replaces an object whose tag is `tag` (undefined: creates it where there is none) as one step; false when it is another by now.
   * As above, these very bytes are taken for the caller's own.
   */
  replace(path: string, bytes: Uint8Array, tag: string | undefined): Promise<boolean>;
  /** An object that becomes visible, durably, when it is finished. Its path has to be one that nobody else writes to. */
  create(path: string): Promise<ObjectWriter>;
  /** Objects whose paths begin with `prefix`, in the order of their UTF-8 bytes, in pages of any size. `after`: only later paths. */
  list(prefix: string, after?: string): AsyncIterable<readonly ObjectInfo[]>;
  /** Those that are not there are passed over. */
  delete(paths: readonly string[]): Promise<void>;
}

/** A store that an attempt has opened, and ends. Writers are disposed before it. */
export interface OpenStore extends ObjectStore, AsyncDisposable {
  /**
   * Removes what is left of writers that began (or last wrote) before this time and never ended, as of a process that was killed: never
   * anything that was visible. `prefix`: of paths, where writers are known by theirs (default: all). Answers how many.
   */
  sweep(before: Date, prefix?: string): Promise<number>;
}

export interface ObjectInfo {
  readonly path: string;
  /** In bytes. */
  readonly size: number;
  /** Changes with its content; for `replace`. */
  readonly tag: string;
  readonly modifiedAt: Date;
}

/** Disposed without `finish`: nothing is left of it, in the store or of an upload that had begun. */
export interface ObjectWriter extends AsyncDisposable {
  /** Resolves when more may be written: memory stays bounded. The bytes may be reused then. */
  write(bytes: Uint8Array): Promise<void>;
  /** Answers with its size in bytes. */
  finish(): Promise<number>;
}
