import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { linkDurably, openTemp, removeFile } from './local-files.js';
import { taken } from './missing.js';
import type { ObjectWriter } from './store.js';

export interface LocalWriterOptions {
  readonly root: string;
  readonly path: string;
  /** The connection's. */
  readonly name: string;
  /** Runs what touches the disk; its errors become the connection's. */
  readonly guard: <T>(act: () => Promise<T>) => Promise<T>;
}

export async function createLocalWriter(options: LocalWriterOptions): Promise<ObjectWriter> {
  const { file, path } = await options.guard(() => openTemp(options.root));
  return new LocalWriter(file, path, options);
}

/** A temporary file that gets its name when it is finished. */
class LocalWriter implements ObjectWriter {
  #size = 0;
  #open = true;

  constructor(
    private readonly file: FileHandle,
    private readonly temp: string,
    private readonly options: LocalWriterOptions,
  ) {}

  async write(bytes: Uint8Array): Promise<void> {
    await this.options.guard(() => this.file.writeFile(bytes));
    this.#size += bytes.length;
  }

  async finish(): Promise<number> {
    const { root, path, name, guard } = this.options;
    await guard(async () => {
      await this.file.sync();
      if (!(await linkDurably(root, this.temp, join(root, path)))) throw taken(name, path);
    });
    await this[Symbol.asyncDispose]();
    return this.#size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.file.close();
    await removeFile(this.temp);
  }
}
