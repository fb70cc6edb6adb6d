import type { TableRecord, TableSpec } from '../../core/model.js';
import type { Finding } from '../types.js';
import type { DataFile, LakeColumn, LakeType } from './model.js';

/** What makes files a table, for everybody who reads it. Its methods are idempotent. They throw as a session does. */
export interface TableFormat {
  /** The folder below a table's path that is Longhaul's own. One part, by which readers tell what is a table's, or don't. */
  readonly ownFolder: string;
  /** What a table of these columns would meet. Writes nothing. */
  check(spec: TableSpec, columns: readonly LakeColumn[]): Promise<readonly Finding[]>;
  /** The columns of the table that is there. Undefined: there is none. Throws TargetChanged for one of a type that is not known here. */
  columns(spec: TableSpec): Promise<readonly NamedType[] | undefined>;
  /**
   * Makes the files the table's content (`replace`), or adds them to it, in one step that every reader sees whole or not at all, and
   * records it as the run's: once, whoever calls it how often. Throws RunClosed when `settle` was here before, TargetChanged when
   * the table can't take the columns any more.
   */
  publish(publication: Publication): Promise<void>;
  /**
   * The end of the table's own log: whatever an epoch that begins after it does there is behind it. Absent: the log itself tells at once
   * what a run has done.
   */
  mark?(spec: TableSpec): Promise<number>;
  /** Whether the run has published the table; if it has not, no publisher of this epoch or an earlier one can do it any more. */
  settle(publishing: Publishing): Promise<'published' | 'closed'>;
  /** Paths from the store's root of files in this folder that any state of the table names that somebody can still read. */
  referenced(spec: TableSpec, folder: string): Promise<ReadonlySet<string>>;
  /**
   * What of a table's files versions need that were the newest within the last `older` ms, or within what the table itself asks for, where that is
   * longer. Undefined: there is no table. Absent: a table has no versions here. Throws TargetChanged for a table that is not understood.
   */
  retain?(spec: Pick<TableSpec, 'to'>, older: number): Promise<Retained | undefined>;
  /** Paths of entries of its log that no such version needs, in the order in which they may be removed. Absent: they stay. */
  expired?(spec: Pick<TableSpec, 'to'>, older: number): Promise<readonly string[]>;
  /**
   * Of tables that are loaded from the files, rather than made of them: removes what loading has left beside the files, when the ledger says
   * that the table is published or discarded. The files themselves are removed then too. Absent: they are the table's.
   */
  cleanUp?(record: TableRecord): Promise<void>;
}

export interface Retained {
  /** Paths from the store's root. */
  readonly files: ReadonlySet<string>;
  /** Ms since 1970: a version that was the newest at this time or later has its files. */
  readonly since: number;
}

export interface NamedType {
  readonly name: string;
  readonly type: LakeType;
  readonly nullable: boolean;
}

/** A table of a run that is being published. */
export interface Publishing {
  readonly record: TableRecord;
  readonly columns: readonly LakeColumn[];
  /** Grows with each time that the table began to be published. */
  readonly epoch: number;
  /** What `TableFormat.mark` said before this epoch began. Absent: it was not asked. */
  readonly since?: number;
  /** Of all receipts. */
  readonly rows: number;
  /**
   * Those that receipts name, in the order of partitions, the same each time they are iterated. Each is to be looked at before anybody is
   * pointed to it.
   */
  readonly files: AsyncIterable<DataFile>;
}

export interface Publication extends Publishing {
  /** Re-reads the ledger. Throws RunClosed when this epoch does not publish any more. */
  readonly stillPublishing: () => Promise<void>;
  /** What is done now, in a word. */
  readonly phase: (phase: string) => void;
}
