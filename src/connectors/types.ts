import type {
  Partition,
  PlanSummary,
  Receipt,
  ReceiptTotals,
  TableRecord,
  TableShape,
  TableSpec,
  TableState,
} from '../core/model.js';
import type { Problem } from '../core/errors.js';
import type { BuildStep } from '../core/activities.js';

/**
 * The connector contract. A connector makes sessions; a session belongs to one attempt, is opened and disposed in it, is never
 * shared and never outlives it. Every method that waits takes its abort from `SessionOptions.signal`: abort reaches the
 * server (the statement is cancelled there), destroys the socket, and rejects with `signal.reason`.
 *
 * Errors are `LonghaulError`s: a driver's own error never leaves a connector.
 */

/**
 * A wire format by name. `postgres.copy.binary` and `postgres.copy.text` are streams of CopyData protocol frames ('d', int32
 * length, payload), chunk boundaries arbitrary. `rows` is batches of decoded rows. The first format of the source's list for
 * a table that the destination takes too is used.
 */
export type Format = 'postgres.copy.binary' | 'postgres.copy.text' | 'rows';

export interface Capabilities {
  readonly formats: readonly Format[];
  readonly source: boolean;
  readonly destination: boolean;
}

export interface Log {
  debug(fields: Record<string, unknown>, message: string): void;
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
}

/** Where an attempt is, kept by whoever moves bytes, read by the heartbeat. Cumulative. */
export interface Meter {
  rows: number;
  bytes: number;
  phase: string;
}

export interface SessionOptions {
  readonly signal: AbortSignal;
  readonly log: Log;
  /** Shown on the server (application_name and the like): a label for people, never matched on. */
  readonly label: string;
}

/** A connection of longhaul.yaml made usable. Holds no session. */
export interface Connector {
  readonly name: string;
  readonly type: string;
  readonly capabilities: Capabilities;
  openSource(options: SessionOptions): Promise<SourceSession>;
  openDestination(options: SessionOptions): Promise<DestinationSession>;
  /** Absent for a source that can't hold a snapshot: then `consistency: snapshot` is refused. */
  openSnapshots?(options: SessionOptions): Promise<SnapshotSession>;
}

/** One of a run's snapshots. */
export interface SnapshotKey {
  readonly run: string;
  /** From 1 on. */
  readonly snapshot: number;
}

/**
 * A session at the source that looks for a snapshot or holds it. While any session holds it, `SourceSession.plan` and `stream` of
 * records with its number read under it, and its tables can't be truncated or rewritten. The source itself tells who holds it:
 * nothing of it is kept elsewhere. Such sessions are counted apart from those that read.
 */
export interface SnapshotSession extends AsyncDisposable {
  /** Whether a session holds it now. */
  held(key: SnapshotKey): Promise<boolean>;
  /**
   * Makes this session a holder: it imports the snapshot from another holder, or takes a new one, unless `taken` says that there was
   * one before. Two that try at the same time never take two. The tables are locked against truncation and rewriting before
   * anything is read under it. Throws SnapshotLost, SourceRewritten, LockTimeout.
   */
  hold(key: SnapshotKey, tables: readonly TableRecord[], taken: () => Promise<boolean>): Promise<void>;
  /**
   * Keeps what `hold` got, so that it would outlive this process by a lease of some minutes: time for another session to import it.
   * Resolves after `leave`; rejects when the snapshot is lost to this session, and with `signal.reason`, which lets go of it at once.
   */
  keep(): Promise<void>;
  /** Leaves a snapshot that is kept at the source for its lease and ends the session. Without one, only ends it. */
  leave(): Promise<void>;
}

export interface Finding {
  readonly severity: 'problem' | 'warning';
  /** Path below the table's entry in the job file, e.g. `where`; empty for the table itself. */
  readonly path: string;
  readonly message: string;
  readonly fix?: string;
}

/** What a source says of one table of a job, before anything is written. */
export interface SourceTable {
  readonly shape: TableShape;
  /** Columns to copy, after `columns`/`exclude` and without generated ones. */
  readonly columns: readonly string[];
  readonly formats: readonly Format[];
  /** The identity of system and database, part of the fingerprint. */
  readonly identity: string;
}

export interface SourceSession extends AsyncDisposable {
  /** Checks that concern the connection as a whole: poolers, settings, standby. */
  checkServer(): Promise<Finding[]>;
  /** The relations that match `schema.*`-like patterns, in name order. */
  expand(pattern: string): Promise<string[]>;
  /** Describes a table or the result of its queries; findings instead of an exception for what the user can mend. */
  describe(spec: TableSpec): Promise<{ table?: SourceTable; findings: Finding[] }>;
  /**
   * Cuts a table, from catalog statistics, never by a scan. Yields partitions in order; the whole list is never in memory. Under
   * `record.snapshot` as `stream`.
   */
  plan(record: TableRecord): Promise<PlanInput>;
  /**
   * Opens the stream of one partition in `record.format`. Throws SourceChanged when the source's shape is not `record.shape`.
   * At most one stream a session. With `record.snapshot`, rows are as that snapshot has them; throws SnapshotLost when no session
   * holds it any more, SourceRewritten when the table was truncated or rewritten since.
   */
  stream(record: TableRecord, partition: Partition): Promise<SourceStream>;
  /**
   * Asked once more before a table is published, when no stream will compare any more: throws SourceChanged when the source's
   * shape is not `record.shape`. Not asked under a snapshot, where later changes are of no matter. Absent for sources whose tables
   * can't change in a way that a stream would not notice.
   */
  verifyUnchanged?(record: TableRecord): Promise<void>;
}

export type SourceStream = ByteStream | RowStream;

/** `rows` is the source's own count, known only when the iteration ended without an error; it rejects when it did not. */
export interface ByteStream extends AsyncIterable<Uint8Array> {
  readonly kind: 'bytes';
  readonly format: Exclude<Format, 'rows'>;
  readonly rows: Promise<number>;
}

export interface RowStream extends AsyncIterable<readonly unknown[][]> {
  readonly kind: 'rows';
  readonly format: 'rows';
  readonly columns: readonly string[];
  readonly rows: Promise<number>;
}

export interface PartitionKey {
  readonly run: string;
  readonly table: string;
  readonly ordinal: number;
}

export interface DestinationSession extends AsyncDisposable {
  readonly ledger: Ledger;
  checkServer(): Promise<Finding[]>;
  /**
   * What loading this source table into `spec.to` would meet: the chosen format, or findings why it can't be done. Writes
   * nothing. `fingerprint` is the target's part.
   */
  check(spec: TableSpec, source: SourceTable): Promise<{ format?: Format; fingerprint: string; findings: Finding[] }>;
  /**
   * Creates staging when the table's state is `open` and it does not exist. Does nothing for a table that is being published or
   * is published: all of it is committed. Idempotent; throws RunClosed for a suspended or discarded table.
   */
  prepare(record: TableRecord): Promise<void>;
  /**
   * Begins the one transaction of an attempt. A `Receipt` means that the partition is committed already (same predicate
   * hash, else PlanChanged). Ends a zombie that holds the partition's lock.
   */
  begin(record: TableRecord, partition: Partition, attempt: number): Promise<PartitionWriter | Receipt>;
  /** What is to be built between load and publish, in order: nothing for a table whose record says published. */
  buildSteps(record: TableRecord): Promise<BuildStep[]>;
  /** Idempotent; does nothing for a published table. */
  build(record: TableRecord, step: BuildStep, meter: Meter): Promise<void>;
  /**
   * Re-reads the ledger, fences the table, ends its sessions and makes staging visible in one step. Idempotent: a table
   * published by this run answers with its totals. Missing receipts leave it open and are returned.
   */
  publish(record: TableRecord, meter: Meter): Promise<ReceiptTotals>;
  /** Removes staging of a discarded table. Idempotent. */
  discard(record: TableRecord): Promise<void>;
}

/** One attempt's transaction. Disposed without `commit`: rolled back. */
export interface PartitionWriter extends AsyncDisposable {
  /** Loads the whole stream; resolves with the destination's own count of rows. */
  load(stream: SourceStream, meter: Meter): Promise<number>;
  /** Completes the receipt, checks that the table is still open, commits. Throws CountMismatch, RunClosed. */
  commit(rowsRead: number): Promise<Receipt>;
}

export interface RunRecord {
  readonly run: string;
  /** The workflow id. */
  readonly job: string;
  readonly startedAt?: string;
}

export interface RunOverview extends RunRecord {
  readonly tables: readonly Pick<TableRecord, 'spec' | 'state'>[];
}

/** A plan on its way from the source to the ledger: its ordinals are 0, 1, 2 … */
export interface PlanInput {
  readonly partitions: AsyncIterable<Partition> | Iterable<Partition>;
  readonly reason: string;
  readonly estimatedRows?: number;
}

/** What a run is opened with: the ledger itself names the staging, keeps the state and numbers the snapshots. */
export type NewTableRecord = Omit<TableRecord, 'run' | 'staging' | 'state' | 'snapshot'>;

/**
 * The destination's record of runs, plans and receipts. Everything is put if absent and the winner is read back, so that
 * any call may be repeated by a retry, by a second worker, or by a resumed run.
 */
export interface Ledger {
  /**
   * Opens a run and its tables in one step, leasing every target (exclusive for replace, shared for append), or opens them
   * again when they are suspended or open and their fingerprints are equal. Returns the records as stored. Throws
   * TargetLeased naming the holder, ResumeRefused naming what changed. `resume`: the run must exist; its unpublished tables that are
   * read under a snapshot start over under the next.
   */
  openRun(run: RunRecord, tables: readonly NewTableRecord[], resume: boolean): Promise<readonly TableRecord[]>;
  /**
   * Throws RunClosed when there is no such table. `queries` (default false): with the queries of the specification, which only
   * planning needs; without them, `spec.queries` is empty where there are any.
   */
  table(run: string, table: string, options?: { readonly queries?: boolean }): Promise<TableRecord>;
  tables(run: string): Promise<readonly TableRecord[]>;
  /** Stores the plan in pages, all of it or nothing, if there is none; answers with the stored one. */
  putPlan(run: string, table: string, plan: PlanInput): Promise<PlanSummary>;
  plan(run: string, table: string): Promise<PlanSummary | undefined>;
  partition(run: string, table: string, ordinal: number): Promise<Partition>;
  totals(run: string, table: string, limit: number): Promise<ReceiptTotals>;
  pending(run: string, table: string, from: number, to: number): Promise<number[]>;
  /**
   * Moves every table of the run that is open or being published to `state`, and suspended ones to `discarded`; published ones
   * stay. Whoever publishes at that time is ended. Idempotent.
   */
  closeRun(run: string, state: Extract<TableState, 'suspended' | 'discarded'>): Promise<void>;
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
  /** Oldest first. */
  runs(): Promise<readonly RunOverview[]>;
}

/** Paths of findings are below a table's entry; this puts the entry's own path before them. */
export function findingToProblem(base: string, finding: Finding): Problem {
  const path = finding.path === '' ? base : `${base}.${finding.path}`;
  return { path, message: finding.message, ...(finding.fix === undefined ? {} : { fix: finding.fix }) };
}
