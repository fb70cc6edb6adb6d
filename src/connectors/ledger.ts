import type {
  Partition,
  PlanSummary,
  Receipt,
  ReceiptTotals,
  TableRecord,
  TableSpec,
  TableState,
} from '../core/model.js';
import type { SnapshotKey } from './types.js';

/** The part of the connector contract that is the destination's record of runs: what it is asked, and what it answers. */

export interface RunRecord {
  readonly run: string;
  /** The workflow id. */
  readonly job: string;
  /** The job's name as its file has it: the same for every run of a schedule, where the workflow id is not. */
  readonly name?: string;
  readonly startedAt?: string;
  /** How long staging of its suspended tables waits for a resume, in ms. Absent: until it is cleaned. */
  readonly keepStaging?: number;
}

/** Another run's claim on a target. */
export interface TargetUse {
  readonly to: string;
  /**
   * `held`: an open run leases it. `appended`: a run of the same job's name has made rows visible there, or is about to, so that
   * appending again would double them.
   */
  readonly use: 'held' | 'appended';
  readonly run: string;
  /** The workflow id of that run. */
  readonly job: string;
  /** When that run began. */
  readonly startedAt?: string;
}

export interface RunOverview extends RunRecord {
  /** Its plan and receipts were removed then (`Ledger.forget`). */
  readonly forgottenAt?: string;
  /** Over all tables, by their state, also of those that `RunQuery.tables` leaves out. */
  readonly sums: readonly StateSums[];
  readonly tables: readonly TableOverview[];
}

/** Of the tables of a run that are in one state. */
export interface StateSums {
  readonly state: TableState;
  readonly tables: number;
  readonly rows: number;
  /** Partitions. */
  readonly skipped: number;
  /** Rows set aside. Absent: none. */
  readonly quarantined?: number;
  /** As far as sizes are known. */
  readonly stagingBytes: number;
  /** The latest `TableOverview.changedAt`. */
  readonly changedAt: string;
  /** The earliest one of those with staging; absent without any. */
  readonly stagedSince?: string;
}

export interface TableOverview {
  /** Without its queries. */
  readonly spec: TableSpec;
  readonly state: TableState;
  /** When its state changed last, or it was opened again; ISO 8601. */
  readonly changedAt: string;
  /** Absent: not planned. */
  readonly partitions?: number;
  readonly committed: number;
  readonly skipped: number;
  /** Of committed partitions. */
  readonly rows: number;
  /** Rows set aside. Absent: none. */
  readonly quarantined?: number;
  readonly bytes: number;
  /** Its invisible table, where there is one now. */
  readonly staging?: StagingTable;
  /** With `publish: partition`, while it is not published: what is visible, as ranges of ordinals, the first `VISIBLE_RANGES`. */
  readonly visible?: readonly OrdinalRange[];
}

export interface StagingTable {
  readonly name: string;
  /** Absent: it was not asked for, or can't be told while somebody works on it. */
  readonly bytes?: number;
}

/** First and last. */
export type OrdinalRange = readonly [number, number];
export const VISIBLE_RANGES = 20;

/** Which runs are asked for: of all that match, the newest `limit`. */
export interface RunQuery {
  readonly run?: string;
  /** Only those that were not forgotten and of which no table's state changed for so long, in ms. */
  readonly unchangedFor?: number;
  readonly limit?: number;
  /** Of each run, the first so many tables, at least 1. Default: all. */
  readonly tables?: number;
  /** With the sizes of staging. Default: true. */
  readonly sizes?: boolean;
}

/** A plan on its way from the source to the ledger: its ordinals are 0, 1, 2 … */
export interface PlanInput {
  readonly partitions: AsyncIterable<Partition> | Iterable<Partition>;
  readonly reason: string;
  readonly estimatedRows?: number;
}

export interface OpenOptions {
  /** The run must exist; its unpublished tables that are read under a snapshot start over under the next. Default: false. */
  readonly resume?: boolean;
  /** Appends too what a run of the same `RunRecord.name` has appended already. Default: false. Without a name nothing is compared. */
  readonly again?: boolean;
}

/** What a target's rows were published from, the last time that they were replaced by those of queries. */
export interface LastPublished {
  readonly to: string;
  readonly run: string;
  readonly queries: number;
  /** ISO 8601. */
  readonly publishedAt: string;
}

/** One partition of a plan and its receipt, if it has one: what a person asks of it. */
export interface PartitionOutcome {
  readonly ordinal: number;
  readonly label: string;
  readonly receipt?: Receipt;
}

/** `queries` (default false): with the queries of the specification; without them, `spec.queries` is empty where there are any. */
export interface QueryOption {
  readonly queries?: boolean;
}

export interface CloseOptions {
  /** ISO 8601: the latest `TableOverview.changedAt` of the run, or its start, as it was listed. Compared by the millisecond. */
  readonly unchangedSince?: string;
}

/** What a run is opened with: the ledger itself names the staging, keeps the state and numbers the snapshots. */
export type NewTableRecord = Omit<TableRecord, 'run' | 'staging' | 'state' | 'snapshot'>;

/** One row that is not the same in source and target; its key as a JSON array of texts. */
export interface Difference {
  readonly ordinal: number;
  readonly key: string;
  readonly difference: 'only in source' | 'only in target' | 'differs';
}

/**
 * The destination's record of runs, plans and receipts. Everything is put if absent and the winner is read back, so that
 * any call may be repeated by a retry, by a second worker, or by a resumed run.
 */
export interface Ledger {
  /** What a person asks for what `putDifferences` keeps: a table as SQL names it. Absent where there is no such name. */
  readonly differencesTable?: string;
  /** Where rows that were set aside are kept, by run, table and partition: as `differencesTable`. */
  readonly rejectsTable?: string;
  /**
   * Opens a run and its tables in one step, leasing every target (exclusive for replace, shared for append), or opens them
   * again when they are suspended or open and their fingerprints are equal. Returns the records as stored, without queries. Throws
   * TargetLeased naming the holder, TargetAppended naming the run that has appended (never of a table that this run has open, so that
   * a repeated call gives the same), ResumeRefused naming what changed.
   */
  openRun(run: RunRecord, tables: readonly NewTableRecord[], options?: OpenOptions): Promise<readonly TableRecord[]>;
  /** Throws RunClosed when there is no such table. Only planning needs its queries. */
  table(run: string, table: string, options?: QueryOption): Promise<TableRecord>;
  tables(run: string, options?: QueryOption): Promise<readonly TableRecord[]>;
  /** Stores the plan in pages, all of it or nothing, if there is none; answers with the stored one. Throws RunClosed. */
  putPlan(record: Pick<TableRecord, 'run' | 'spec' | 'snapshot'>, plan: PlanInput): Promise<PlanSummary>;
  plan(run: string, table: string): Promise<PlanSummary | undefined>;
  partition(run: string, table: string, ordinal: number): Promise<Partition>;
  totals(run: string, table: string, limit: number): Promise<ReceiptTotals>;
  pending(run: string, table: string, from: number, to: number): Promise<number[]>;
  /**
   * Puts the receipt of a partition that is not to be copied, unless there is one: answers with the one that stands, which may be
   * that of a commit. After it no attempt of this run can commit the partition: one that holds it is ended as by
   * `DestinationSession.begin`, one that begins later finds the receipt. Throws PlanChanged for a receipt of another predicate, RunClosed.
   */
  skip(record: TableRecord, partition: Partition, attempt: number): Promise<Receipt>;
  /** Those of ordinals in [from, to), in order. */
  receipts(run: string, table: string, from: number, to: number): Promise<readonly Receipt[]>;
  /** Of those of these ordinals that the plan has, in order. */
  outcomes(run: string, table: string, ordinals: readonly number[]): Promise<readonly PartitionOutcome[]>;
  /**
   * How many queries these targets were last published from with mode replace, by another run than `run`: nothing of a target that never
   * was, or last from something else than queries. There need not be a ledger yet.
   */
  lastPublished(run: string | undefined, targets: readonly string[]): Promise<readonly LastPublished[]>;
  /** Keeps these as all that is known to differ in partitions [from, to). They hold key values, which stay at the destination. */
  putDifferences(run: string, table: string, from: number, to: number, found: readonly Difference[]): Promise<void>;
  /**
   * Moves every table of the run that is open or being published to `state`, and suspended ones to `discarded`; published ones
   * stay. Whoever publishes at that time is ended. Idempotent. Answers whether it was done: not when `unchangedSince` is given and the
   * run has changed since. No run opens in between.
   */
  closeRun(
    run: string,
    state: Extract<TableState, 'suspended' | 'discarded'>,
    options?: CloseOptions,
  ): Promise<boolean>;
  /** Says that this snapshot was taken, unless it is said already; answers with the time of the first word. */
  putSnapshot(key: SnapshotKey): Promise<{ takenAt: string }>;
  /** When the snapshot was taken; undefined when it never was. */
  snapshot(key: SnapshotKey): Promise<{ takenAt: string } | undefined>;
  /**
   * In one step: the open tables of the run whose snapshot has this number or a lower one get the next number, and lose their
   * receipts and plans; their staging has another name from then on. What an earlier attempt has not committed by then can't be
   * committed any more. Answers with all records. Idempotent.
   */
  startOver(key: SnapshotKey): Promise<readonly TableRecord[]>;
  /** Newest first. */
  runs(query?: RunQuery): Promise<readonly RunOverview[]>;
  /**
   * What other runs than `run` have done with these targets that stands in the way of a job of this name, at most one use of each kind
   * for a target. Writes nothing; there need not be a ledger yet.
   */
  usesOf(
    asking: { readonly run?: string; readonly name: string },
    targets: readonly Pick<TableSpec, 'to' | 'mode'>[],
  ): Promise<readonly TargetUse[]>;
  /**
   * Discards what no resume may count on any more: suspended tables, of other runs than `except`, whose keepStaging is over.
   * Answers with all discarded tables whose staging is still there, those of earlier calls too: to be removed by `discard`.
   */
  expire(except: string): Promise<readonly TableRecord[]>;
  /**
   * Removes plan and receipts of a run of which every table is published or discarded, its queries, what was found to differ and the rows set aside; the
   * run and its tables' sums stay, and the receipts of rows that are visible though their table is not published: they tell
   * `usesOf` and `runs` of them. Answers whether it was such a run. Idempotent.
   */
  forget(run: string): Promise<boolean>;
}
