import type { TableState } from './model.js';

/** What is shown of ledgers: an answer has room for so much, and says when there is more. */

/** A table of a run as the ledger has it. */
export interface TableView {
  readonly table: string;
  readonly to: string;
  readonly state: TableState;
  /** Absent: not planned. */
  readonly partitions?: number;
  readonly committed: number;
  /** Absent: none. */
  readonly skipped?: number;
  readonly rows: number;
  /** Rows set aside. Absent: none. */
  readonly quarantined?: number;
  /** `bytes`: absent while somebody works on it. */
  readonly staging?: { readonly name: string; readonly bytes?: number };
  /** With `publish: partition`, while it is not published: which partitions are visible, in words. */
  readonly visible?: string;
}

/** What became of one partition; `open`: it is not committed, or that is not known any more. */
export interface PartitionView {
  readonly partition: string;
  readonly state: 'committed' | 'skipped' | 'open';
  readonly rows: number;
  readonly bytes: number;
  /** From the beginning of the attempt that committed it. */
  readonly seconds: number;
}

export interface RunView {
  readonly run: string;
  /** The id of the workflow that ran or resumed it last. */
  readonly job: string;
  readonly startedAt: string;
  /** When the state of one of its tables changed last. */
  readonly changedAt: string;
  readonly forgottenAt?: string;
  /** When the staging of its suspended tables may be removed, where there are any. */
  readonly keptUntil?: string;
  /** How many tables are in each state. */
  readonly states: Readonly<Partial<Record<TableState, number>>>;
  readonly rows: number;
  /** Partitions of all tables. Absent: none. */
  readonly skipped?: number;
  /** Rows of all tables that were set aside. Absent: none. */
  readonly quarantined?: number;
  readonly stagingBytes: number;
  /** All of them that an answer has room for when one run was asked for, else the first few; `states` counts all. */
  readonly tables: readonly TableView[];
}

export interface RunsQuery {
  /** Absent: every connection of the worker that can be a destination. */
  readonly destination?: string;
  readonly run?: string;
  /** Of the run that is asked for, the partitions of this table too. */
  readonly table?: string;
  /** In ms: only runs that were not forgotten and of which nothing changed for so long. */
  readonly unchangedFor?: number;
  /** Of each ledger, the newest; at most 500. */
  readonly limit: number;
  /** Also staging that no run of the ledger knows. Default false. */
  readonly orphans?: boolean;
}

/** The runs of one destination's ledger, the newest first. */
export interface LedgerView {
  readonly destination: string;
  readonly runs: readonly RunView[];
  /** There are older ones, beyond the limit, or beyond what an answer has room for. */
  readonly more: boolean;
  readonly orphans: readonly { readonly name: string; readonly bytes?: number }[];
  /** Of `RunsQuery.table`, the first that an answer has room for. */
  readonly partitions?: readonly PartitionView[];
  /** Why it could not be asked. */
  readonly problem?: string;
}
