import type { ColumnShape, Mode, TableSpec } from '../../core/model.js';
import type { Finding } from '../types.js';
import type { DataFile, LakeColumn } from './model.js';

/**
 * What makes files a table, for everybody who reads it. Its methods are idempotent. They throw as a session does.
 */
export interface TableFormat {
  /** What a table of these columns would meet. Writes nothing. */
  check(spec: TableSpec, columns: readonly LakeColumn[]): Promise<FormatCheck>;
  /** The columns of the table that is there, types as it writes them. Undefined: there is none. */
  columns(spec: TableSpec): Promise<readonly ColumnShape[] | undefined>;
  /**
   * Makes the files the table's content (`replace`), or adds them to it, in one step that every reader sees whole or not at all, and
   * records it as the run's: once, whoever calls it how often. Throws RunClosed when `settle` was here before, TargetChanged when
   * the table is no longer what `check` told the fingerprint of.
   */
  publish(publication: Publication): Promise<void>;
  /** Whether the run has published the table; if it has not, no publisher of this epoch or an earlier one can do it any more. */
  settle(publishing: Publishing): Promise<'published' | 'closed'>;
  /** Paths from the store's root of files in this folder that any state of the table names that somebody can still read. */
  referenced(spec: TableSpec, folder: string): Promise<ReadonlySet<string>>;
}

export interface FormatCheck {
  readonly fingerprint: string;
  readonly findings: readonly Finding[];
}

/** A table of a run that is being published. */
export interface Publishing {
  readonly run: string;
  readonly spec: TableSpec;
  /** Grows with each time that the table began to be published. */
  readonly epoch: number;
}

export interface Publication extends Publishing {
  readonly mode: Mode;
  readonly columns: readonly LakeColumn[];
  /** As `check` told it when the run was opened. */
  readonly fingerprint: string;
  readonly rows: number;
  /** In the order of partitions. Asked for once. */
  files(): AsyncIterable<DataFile>;
}
