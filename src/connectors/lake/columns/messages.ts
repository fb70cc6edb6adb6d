import type { ColumnStatistics, LakeColumn, OutOfRange } from '../model.js';
import type { Compression } from '../parquet-writer/compress.js';
import type { Form } from './decoders.js';

/** What a thread is started with. */
export interface ThreadData {
  /** Buffers in which a stream's bytes are lent to the thread, by turns. */
  readonly slots: readonly SharedArrayBuffer[];
}

/** What a stream is begun with. */
export interface StreamSetup {
  readonly columns: readonly LakeColumn[];
  /** By column: its place in the stream's rows. */
  readonly fields: readonly number[];
  readonly form: Form;
  readonly partitionBy: readonly string[];
  readonly compression: Compression;
  /** In bytes. */
  readonly targetFileSize: number;
  readonly outOfRange: OutOfRange;
}

/** One stream after another: its setup, its slots, its end. */
export type ToThread =
  | { readonly setup: StreamSetup }
  | { readonly slot: number; readonly length: number }
  /** So many bytes of files were written. */
  | { readonly written: number }
  | 'end';

export interface FinishedFile {
  readonly file: number;
  readonly rows: number;
  readonly statistics: Readonly<Record<string, ColumnStatistics>>;
  readonly partitionValues?: Readonly<Record<string, string | null>>;
}

export type FromThread =
  /** The slot may be filled anew; rows so far. */
  | { readonly free: number; readonly rows: number }
  | { readonly file: number; readonly bytes: Uint8Array }
  | { readonly finished: FinishedFile }
  /** The last of a stream that ended well. */
  | { readonly done: { readonly rows: number } }
  | { readonly refused: { readonly row: number; readonly column: string; readonly why: string } }
  | { readonly failed: string };
