import { ChunkWriter } from '../parquet-writer/chunk.js';
import { compressorOf, type Compression } from '../parquet-writer/compress.js';
import { ParquetFile } from '../parquet-writer/parquet-file.js';
import type { LakeColumn } from '../model.js';
import type { Batch } from './batch.js';
import type { FinishedFile, StageTimes } from './messages.js';
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
  readonly stages: StageTimes;
}

export type PartitionValues = Readonly<Record<string, string | null>>;

/** What all files of a stream share: the memory in which pages are made, and their numbers. */
export class FileFactory {
  readonly chunks: ChunkWriter;
  #files = 0;

  constructor(readonly options: FileOptions) {
    const compress = compressorOf(options.compression);
    const { stages } = options;
    this.chunks = new ChunkWriter((bytes) => {
      const begun = performance.now();
      const compressed = compress(bytes);
      stages.compress += performance.now() - begun;
      return compressed;
    });
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
    const { decodes, stages } = this.factory.options;
    const begun = performance.now();
    this.#group.add(batch, decodes);
    stages.decode += performance.now() - begun;
  }

  /** Writes what is collected as a row group; the file ends with it when it is large enough. */
  writeGroup(): void {
    if (this.#group.rows === 0) return;
    const { stages, targetFileSize } = this.factory.options;
    const [begun, compressing] = [performance.now(), stages.compress];
    this.#open ??= this.factory.open();
    this.#open.file.writeRowGroup(this.#group.chunks, this.#group.rows, this.factory.chunks);
    // Of many partitions, one that was written keeps no memory for rows that may never come.
    if (this.values) this.#group = new RowGroup(this.factory.options.columns);
    else this.#group.clear();
    stages.encode += performance.now() - begun - (stages.compress - compressing);
    if (this.#open.outbox.size >= targetFileSize) this.finish();
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
