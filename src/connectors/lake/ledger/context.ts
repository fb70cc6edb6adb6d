import type { TableRecord, TableSpec } from '../../../core/model.js';
import type { StagingTable } from '../../types.js';
import type { ObjectStore } from '../../objects/store.js';
import type { RunCache, RunLogs } from './run-log.js';

/** What decides whether a target shows what a run has published: the target's own log. */
export interface Targets {
  /**
   * Asked before anybody but its publisher takes a table out of `publishing`. `published`: the target shows what this epoch published.
   * `closed`: it doesn't, and from now on nobody can publish this table under this epoch or a lower one any more. May be repeated.
   * `rows`: of all its receipts. `since`: what `mark` said before the epoch began.
   */
  settle(record: TableRecord, epoch: number, rows: number, since?: number): Promise<'published' | 'closed'>;
  /** See `TableFormat.mark`. */
  mark?(spec: TableSpec): Promise<number>;
}

export interface LakeLedgerOptions {
  /** The connection's, for errors. */
  readonly name: string;
  readonly store: ObjectStore;
  readonly targets: Targets;
  /** Names what a run loads into, another for each snapshot: `TableRecord.staging`. */
  stagingName(spec: TableSpec, run: string, snapshot: number | undefined): string;
  /** The data files that are there of a table that is not published; undefined without any. */
  stagingOf(record: TableRecord, sizes: boolean): Promise<StagingTable | undefined>;
  /** Shared by the sessions of a connection. Absent: of this ledger alone. */
  readonly cache?: RunCache;
  /** How long a run that is just being opened is waited for, in ms, before it has to begin anew. Default: a minute. */
  readonly patience?: number;
}

/** What the parts of the ledger share. */
export interface Context extends Omit<LakeLedgerOptions, 'cache' | 'patience'> {
  readonly logs: RunLogs;
  readonly patience: number;
}
