import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ObjectInfo, ObjectStore, ObjectWriter } from '../../src/connectors/objects/store.js';

interface Stored {
  readonly bytes: Uint8Array;
  readonly modifiedAt: Date;
}

/** An object store in memory. Every call lets others run first, so that callers interleave as they would over a network. */
export class DeltaMemoryStore implements ObjectStore {
  readonly url = 'memory://lake';
  readonly objects = new Map<string, Stored>();
  /** Called before each put, e.g. to let a foreign writer come between. */
  beforePut: ((path: string) => Promise<void>) | undefined;

  async get(path: string): Promise<Uint8Array | undefined> {
    await turn();
    return this.objects.get(path)?.bytes;
  }

  async range(path: string, from: number, to: number): Promise<Uint8Array> {
    await turn();
    return this.objects.get(path)!.bytes.subarray(from, to);
  }

  async head(path: string): Promise<ObjectInfo | undefined> {
    await turn();
    return this.#info(path);
  }

  async putIfAbsent(path: string, bytes: Uint8Array): Promise<boolean> {
    await turn();
    await this.beforePut?.(path);
    const there = this.objects.get(path);
    if (there !== undefined) return Buffer.from(there.bytes).equals(bytes);
    this.set(path, bytes);
    return true;
  }

  async replace(path: string, bytes: Uint8Array, tag: string | undefined): Promise<boolean> {
    await turn();
    if (this.#info(path)?.tag !== tag) return false;
    this.set(path, bytes);
    return true;
  }

  create(path: string): Promise<ObjectWriter> {
    const chunks: Uint8Array[] = [];
    return Promise.resolve({
      write: async (bytes: Uint8Array) => {
        await turn();
        chunks.push(Uint8Array.from(bytes));
      },
      finish: async () => {
        await turn();
        this.set(path, Buffer.concat(chunks));
        return this.objects.get(path)!.bytes.length;
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  }

  async *list(prefix: string, after?: string): AsyncGenerator<readonly ObjectInfo[]> {
    await turn();
    const paths = [...this.objects.keys()].filter(
      (path) => path.startsWith(prefix) && (after === undefined || path > after),
    );
    paths.sort();
    for (let start = 0; start < paths.length; start += 3) {
      yield paths.slice(start, start + 3).flatMap((path) => this.#info(path) ?? []);
      await turn();
    }
  }

  delete(paths: readonly string[]): Promise<void> {
    for (const path of paths) this.objects.delete(path);
    return Promise.resolve();
  }

  set(path: string, bytes: Uint8Array): void {
    this.objects.set(path, { bytes: Uint8Array.from(bytes), modifiedAt: new Date() });
  }

  text(path: string): string {
    return Buffer.from(this.objects.get(path)!.bytes).toString();
  }

  /** What is not in `folder` yet. */
  async dump(folder: string): Promise<void> {
    for (const [path, { bytes }] of this.objects) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), bytes);
    }
  }

  async load(folder: string): Promise<void> {
    this.objects.clear();
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile()) this.set(path.slice(folder.length + 1), await readFile(path));
    }
  }

  #info(path: string): ObjectInfo | undefined {
    const stored = this.objects.get(path);
    if (stored === undefined) return undefined;
    const tag = createHash('md5').update(stored.bytes).digest('hex');
    return { path, size: stored.bytes.length, tag, modifiedAt: stored.modifiedAt };
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
