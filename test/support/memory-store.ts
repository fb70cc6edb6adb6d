import { createHash } from 'node:crypto';
import type { ObjectInfo, ObjectStore, ObjectWriter } from '../../src/connectors/objects/store.js';

export type Operation = 'get' | 'range' | 'head' | 'put' | 'replace' | 'create' | 'list' | 'delete';

/** Called before and after each request takes effect: it may wait, and it may throw, which after the effect is a lost answer. */
export interface Faults {
  before?(operation: Operation, path: string): Promise<void> | void;
  after?(operation: Operation, path: string): Promise<void> | void;
}

interface Stored {
  readonly bytes: Uint8Array;
  readonly modifiedAt: Date;
}

const PAGE = 1_000;

/** The objects that any number of stores share: what survives every process. */
export class MemoryObjects {
  readonly objects = new Map<string, Stored>();
  /** How often each operation was asked for. */
  readonly counts: Record<Operation, number> = {
    ...{ get: 0, range: 0, head: 0, put: 0, replace: 0, create: 0, list: 0, delete: 0 },
  };
  /** Requests under way, and the most that there were at a time. */
  under = 0;
  most = 0;

  /** A store of its own for each session. */
  store(signal: AbortSignal = new AbortController().signal, faults: Faults = {}): ObjectStore {
    return new MemoryStore(this, signal, faults);
  }

  paths(prefix = ''): string[] {
    return [...this.objects.keys()].filter((path) => path.startsWith(prefix)).sort(byBytes);
  }

  resetCounts(): void {
    for (const operation of Object.keys(this.counts) as Operation[]) this.counts[operation] = 0;
    this.most = 0;
  }
}

class MemoryStore implements ObjectStore {
  readonly url = 'memory://lake';

  constructor(
    private readonly shared: MemoryObjects,
    private readonly signal: AbortSignal,
    private readonly faults: Faults,
  ) {}

  get(path: string): Promise<Uint8Array | undefined> {
    return this.#ask('get', path, () => this.shared.objects.get(path)?.bytes);
  }

  range(path: string, from: number, to: number): Promise<Uint8Array> {
    return this.#ask('range', path, () => this.shared.objects.get(path)!.bytes.slice(from, to));
  }

  head(path: string): Promise<ObjectInfo | undefined> {
    return this.#ask('head', path, () => this.#info(path));
  }

  putIfAbsent(path: string, bytes: Uint8Array): Promise<boolean> {
    return this.#ask('put', path, () => this.#put(path, bytes, undefined));
  }

  replace(path: string, bytes: Uint8Array, tag: string | undefined): Promise<boolean> {
    return this.#ask('replace', path, () => this.#put(path, bytes, tag));
  }

  create(path: string): Promise<ObjectWriter> {
    return this.#ask('create', path, () => {
      const chunks: Uint8Array[] = [];
      return {
        write: (bytes) => this.#ask('create', path, () => void chunks.push(bytes.slice())),
        finish: () =>
          this.#ask('create', path, () => {
            const bytes = Buffer.concat(chunks);
            this.shared.objects.set(path, { bytes, modifiedAt: new Date() });
            return bytes.length;
          }),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      };
    });
  }

  /** What is listed of a page is as of one moment, as with any store that is consistent. */
  async *list(prefix: string, after = ''): AsyncGenerator<readonly ObjectInfo[]> {
    for (let last = after; ;) {
      const page = await this.#ask('list', prefix, () =>
        this.shared
          .paths(prefix)
          .filter((path) => byBytes(path, last) > 0)
          .slice(0, PAGE)
          .map((path) => this.#info(path)!),
      );
      if (page.length > 0) yield page;
      if (page.length < PAGE) return;
      last = page.at(-1)!.path;
    }
  }

  async delete(paths: readonly string[]): Promise<void> {
    await this.#ask('delete', paths[0] ?? '', () => {
      for (const path of paths) this.shared.objects.delete(path);
    });
  }

  #info(path: string): ObjectInfo | undefined {
    const found = this.shared.objects.get(path);
    return found && { path, size: found.bytes.length, tag: tagOf(found.bytes), modifiedAt: found.modifiedAt };
  }

  #put(path: string, bytes: Uint8Array, tag: string | undefined): boolean {
    const there = this.shared.objects.get(path);
    if (there && Buffer.compare(there.bytes, bytes) === 0) return true;
    if ((there && tagOf(there.bytes)) !== tag) return false;
    this.shared.objects.set(path, { bytes: bytes.slice(), modifiedAt: new Date() });
    return true;
  }

  async #ask<T>(operation: Operation, path: string, effect: () => T): Promise<T> {
    this.signal.throwIfAborted();
    this.shared.counts[operation]++;
    this.shared.most = Math.max(this.shared.most, ++this.shared.under);
    try {
      await this.faults.before?.(operation, path);
      this.signal.throwIfAborted();
      const result = effect();
      await this.faults.after?.(operation, path);
      return result;
    } finally {
      this.shared.under--;
    }
  }
}

function tagOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
