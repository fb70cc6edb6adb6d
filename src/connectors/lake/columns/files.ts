import { ChunkWriter } from '../parquet-writer/chunk.js';
import { compressorOf, type Compression } from '../parquet-writer/compress.js';
import { ParquetFile } from '../parquet-writer/parquet-file.js';
import type { LakeColumn } from '../model.js';
import type { Batch } from './batch.js';
import type { FinishedFile } from './messages.js';
import { Outbox, type Send } from './outbox.js';
import { RowGroup, type Decode } from './row-group.js';

export interface FileOptions {
  /** Those that are in the files. */
  readonly columns: readonly LakeColumn[];
  readonly decodes: readonly Decode[];
  readonly compression: Compression;
  readonly targetFileSize: number;
  readonly send: Send;
  readonly finished: (file: FinishedFile) => void;
}

export type PartitionValues = Readonly<Record<string, string | null>>;

/** What all files of a stream share: the memory in which pages are made, and their numbers. */
export class FileFactory {
  readonly chunks: ChunkWriter;
  #files = 0;

  constructor(readonly options: FileOptions) {
    this.chunks = new ChunkWriter(compressorOf(options.compression));
  }

  open(): { readonly file: ParquetFile; readonly outbox: Outbox } {
    const { columns, compression, send } = this.options;
    const outbox = new Outbox(this.#files++, send);
    return { outbox, file: new ParquetFile(columns, compression, outbox) };
  }
}

/** Rows of one partition on their way into files: a row group that is collected, and a file that is open once one was written. */
export class PartitionFiles {
  #group: RowGroup;
  #open: ReturnType<FileFactory['open']> | undefined;

  constructor(
    private readonly factory: FileFactory,
    private readonly values?: PartitionValues,
  ) {
    this.#group = new RowGroup(factory.options.columns);
  }

  /** Bytes that are collected. */
  get size(): number {
    return this.#group.size;
  }

  get rows(): number {
    return this.#group.rows;
  }

  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  add(batch: Batch): void {
    this.#group.add(batch, this.factory.options.decodes);
  }

  /** Writes what is collected as a row group; the file ends with it when it is large enough. */
  writeGroup(): void {
    if (this.#group.rows === 0) return;
    this.#open ??= this.factory.open();
    this.#open.file.writeRowGroup(this.#group.chunks, this.#group.rows, this.factory.chunks);
    // Of many partitions, one that was written keeps no memory for rows that may never come.
    if (this.values) this.#group = new RowGroup(this.factory.options.columns);
    else this.#group.clear();
    if (this.#open.outbox.size >= this.factory.options.targetFileSize) this.finish();
  }

  /** Ends the file that is open, if one is, with what is collected. */
  finish(): void {
    this.writeGroup();
    if (this.#open === undefined) return;
    const { file, outbox } = this.#open;
    this.#open = undefined;
    const statistics = file.finish();
    outbox.flush();
    this.factory.options.finished({
      ...{ file: outbox.file, rows: file.rows, statistics },
      ...(this.values && { partitionValues: this.values }),
    });
  }
}
