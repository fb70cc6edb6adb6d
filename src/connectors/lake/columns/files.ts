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

  /** `kept`: it stays in memory until it is asked to leave. */
  open(kept: boolean): { readonly file: ParquetFile; readonly outbox: Outbox } {
    const { columns, compression, send } = this.options;
    const outbox = new Outbox(this.#files++, send, kept);
    return { outbox, file: new ParquetFile(columns, compression, outbox) };
  }
}

/** Bytes that a column takes beside its values: of a row group that is collected, of a file, and of each row group in it. */
const EMPTY_COLUMN = 1_500;
const FILE_COLUMN = 500;
const GROUP_COLUMN = 150;

/**
 * Rows of one partition on their way into files: a row group that is collected, and a file that is begun once one was written. With `values`
 * it is one of many: its file is kept in memory until it is finished, or sent on the way.
 */
export class PartitionFiles {
  #group: RowGroup | undefined;
  #open: ReturnType<FileFactory['open']> | undefined;
  #groups = 0;
  #sent = false;

  constructor(
    private readonly factory: FileFactory,
    private readonly values?: PartitionValues,
  ) {}

  /** Bytes that are collected. */
  get collected(): number {
    return this.#group === undefined ? 0 : this.#group.size + this.#columns * EMPTY_COLUMN;
  }

  /** Bytes of its file that are in memory. */
  get held(): number {
    if (this.#open === undefined) return 0;
    return this.#open.outbox.held + this.#columns * (FILE_COLUMN + this.#groups * GROUP_COLUMN);
  }

  get rows(): number {
    return this.#group?.rows ?? 0;
  }

  /** Its file is on its way to the store, and not finished. */
  get isSent(): boolean {
    return this.#open !== undefined && this.#sent;
  }

  get #columns(): number {
    return this.factory.options.columns.length;
  }

  add(batch: Batch): void {
    this.#group ??= new RowGroup(this.factory.options.columns);
    this.#group.add(batch, this.factory.options.decodes);
  }

  /** Writes what is collected as a row group; the file ends with it when it is large enough. */
  writeGroup(): void {
    if (this.#group === undefined || this.#group.rows === 0) return;
    this.#open ??= this.#begin();
    this.#open.file.writeRowGroup(this.#group.chunks, this.#group.rows, this.factory.chunks);
    this.#groups++;
    // Of many partitions, one that was written keeps no memory for rows that may never come.
    if (this.values) this.#group = undefined;
    else this.#group.clear();
    if (this.#open.outbox.size >= this.factory.options.targetFileSize) this.finish();
  }

  /** What there is of its file leaves for the store, and so does what will come. */
  sendFile(): void {
    this.#open?.outbox.release();
    this.#sent = true;
  }

  /** Ends the file that is begun, if one is, with what is collected. */
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

  #begin(): ReturnType<FileFactory['open']> {
    this.#sent = this.values === undefined;
    this.#groups = 0;
    return this.factory.open(!this.#sent);
  }
}
