import { open, readFile, rename, stat, utimes, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ignoring, localError } from './local-errors.js';
import { linkDurably, pruneFolders, removeFile, sweepTemp, syncFolders, writeTemp } from './local-files.js';
import { infoOf, listTree } from './local-list.js';
import { withPathLock } from './local-lock.js';
import { createLocalWriter } from './local-writer.js';
import type { LocalLocation, StoreOptions } from './location.js';
import { missing } from './missing.js';
import { assertPath, TEMP_FOLDER } from './paths.js';
import type { ObjectInfo, ObjectWriter, OpenStore } from './store.js';

/** Milliseconds that `replace` waits for another process that is just replacing the same object. */
const LOCK_PATIENCE = 10_000;

/** Files that are deleted at the same time. */
const DELETIONS = 16;

export interface LocalOptions extends StoreOptions {
  /** Milliseconds. Default 10 s. */
  readonly lockPatience?: number;
}

/** A folder of a local file system, used by the processes of one machine. */
export function openLocalStore({ path }: LocalLocation, options: LocalOptions): OpenStore {
  return new LocalStore(path, options);
}

class LocalStore implements OpenStore {
  readonly url: string;

  constructor(
    private readonly root: string,
    private readonly options: LocalOptions,
  ) {
    this.url = pathToFileURL(root).href;
  }

  get(path: string): Promise<Uint8Array | undefined> {
    return this.#on(path, 'reading', (file) => contentOf(file));
  }

  range(path: string, from: number, to: number): Promise<Uint8Array> {
    return this.#on(path, 'reading', async (name) => {
      await using file = await open(name).catch(ignoring('ENOENT', 'ENOTDIR'));
      if (file === undefined) throw missing(this.options.name, path);
      const bytes = await readFully(file, from, to - from);
      if (bytes.length < to - from) throw missing(this.options.name, path, to);
      return bytes;
    });
  }

  head(path: string): Promise<ObjectInfo | undefined> {
    return this.#on(path, 'looking at', () => infoOf(this.root, path));
  }

  putIfAbsent(path: string, bytes: Uint8Array): Promise<boolean> {
    return this.#on(path, 'writing', (file) =>
      this.#withTemp(bytes, async (temp) => {
        return (await linkDurably(this.root, temp, file)) || (await holds(file, bytes));
      }),
    );
  }

  replace(path: string, bytes: Uint8Array, tag: string | undefined): Promise<boolean> {
    if (tag === undefined) return this.putIfAbsent(path, bytes);
    const { lockPatience: patience = LOCK_PATIENCE, name, signal } = this.options;
    return this.#on(path, 'replacing', (file) =>
      withPathLock(path, { root: this.root, name, signal, patience }, async () => {
        const tagNow = (await infoOf(this.root, path))?.tag;
        const replaced = tagNow === tag ? await this.#swap(file, bytes) : await holds(file, bytes);
        if (replaced) await syncFolders(this.root, dirname(file));
        return replaced;
      }),
    );
  }

  #swap(file: string, bytes: Uint8Array): Promise<boolean> {
    return this.#withTemp(bytes, async (temp) => {
      await makeLater(temp, file);
      await rename(temp, file);
      return true;
    });
  }

  async #withTemp<T>(bytes: Uint8Array, use: (temp: string) => Promise<T>): Promise<T> {
    const temp = await writeTemp(this.root, bytes);
    try {
      this.options.signal.throwIfAborted();
      return await use(temp);
    } finally {
      await removeFile(temp);
    }
  }

  async create(path: string): Promise<ObjectWriter> {
    assertPath(path);
    const guard = <T>(act: () => Promise<T>) => this.#guard('writing', path, act);
    return createLocalWriter({ root: this.root, path, name: this.options.name, guard });
  }

  async *list(prefix: string, after = ''): AsyncIterable<readonly ObjectInfo[]> {
    try {
      yield* listTree(this.root, { prefix, after, signal: this.options.signal });
    } catch (error) {
      throw this.#explained(error, 'listing', prefix);
    }
  }

  async delete(paths: readonly string[]): Promise<void> {
    for (let begin = 0; begin < paths.length; begin += DELETIONS) {
      const some = paths.slice(begin, begin + DELETIONS);
      await Promise.all(some.map((path) => this.#on(path, 'removing', removeFile)));
    }
    const folders = new Set(paths.map((path) => dirname(join(this.root, path))));
    for (const folder of folders) {
      await this.#guard('removing', 'a folder', () => pruneFolders(this.root, folder));
    }
  }

  sweep(before: Date): Promise<number> {
    return this.#guard('sweeping', TEMP_FOLDER, () => sweepTemp(this.root, before));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Only writers have files open, and they are disposed before it.
  }

  #on<T>(path: string, what: string, act: (file: string) => Promise<T>): Promise<T> {
    return this.#guard(what, path, () => {
      assertPath(path);
      return act(join(this.root, path));
    });
  }

  async #guard<T>(what: string, path: string, act: () => Promise<T>): Promise<T> {
    this.options.signal.throwIfAborted();
    try {
      return await act();
    } catch (error) {
      throw this.#explained(error, what, path);
    }
  }

  #explained(error: unknown, what: string, path: string): unknown {
    const { signal, name } = this.options;
    return signal.aborted ? signal.reason : localError(error, name, what, path);
  }
}

async function contentOf(file: string): Promise<Uint8Array | undefined> {
  return readFile(file).catch(ignoring('ENOENT', 'ENOTDIR', 'EISDIR'));
}

async function holds(file: string, bytes: Uint8Array): Promise<boolean> {
  const found = await contentOf(file);
  return found !== undefined && Buffer.compare(found, bytes) === 0;
}

/** As many bytes as there are, at most `length`. */
async function readFully(file: FileHandle, from: number, length: number): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(buffer, filled, length - filled, from + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

/**
 * Gives a file a later time than the one that it replaces: the system's own is some milliseconds coarse, numbers of files come again at
 * once, and a tag is made of both.
 */
async function makeLater(temp: string, file: string): Promise<void> {
  const [mine, there] = await Promise.all([stat(temp), stat(file)]);
  if (mine.mtimeMs > there.mtimeMs) return;
  const later = (Math.floor(there.mtimeMs) + 2) / 1000;
  await utimes(temp, later, later);
}
