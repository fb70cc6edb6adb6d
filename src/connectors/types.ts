import type { Partition, Publish, Receipt, ReceiptTotals, TableRecord, TableShape, TableSpec } from '../core/model.js';
import type { Ledger, PlanInput, StagingTable } from './ledger.js';
import type { DigestForm, Digester, TableDigester } from './digester.js';
import type { BuildStep, SnapshotSight } from '../core/activities.js';

export * from './ledger.js';

/**
 * The connector contract. A connector makes sessions; a session belongs to one attempt, is opened and disposed in it, is never
 * shared and never outlives it. Every method that waits takes its abort from `SessionOptions.signal`: abort reaches the
 * server (the statement is cancelled there), destroys the socket, and rejects with `signal.reason`.
 *
 * Errors are `LonghaulError`s: a driver's own error never leaves a connector.
 */

/**
 * A wire format by name. `postgres.copy.binary` and `postgres.copy.text` are streams of CopyData protocol frames ('d', int32
 * length, payload). `csv` is records as RFC 4180 has them, in UTF-8, without a header, the columns in the order of the stream's
 * `columns`; nothing between two commas is NULL, two quotes are the empty string. Chunk boundaries are arbitrary in all of them.
 * `rows` is batches of decoded rows. The first format of the source's list for a table that the destination takes too is used.
 */
export type Format = 'postgres.copy.binary' | 'postgres.copy.text' | 'csv' | 'rows';

export interface Capabilities {
  readonly formats: readonly Format[];
  readonly source: boolean;
  readonly destination: boolean;
  /** How rows are digested, by name: a source and a destination with the same one can be compared. Absent: not at all. */
  readonly digest?: string;
  /** Of a destination: how it can show a table. Absent: in every way. */
  readonly publishes?: readonly Publish[];
  /** Of a destination: whether it can set refused rows aside. Absent: it can. */
  readonly rejects?: boolean;
  /**
   * Of a destination: what becomes of an attempt when the next one at its partition begins. `ended`, when absent: it can't commit any
   * more. `raced`: of the two, the first to commit has; the other is refused then, and its partition is found committed.
   */
  readonly attempts?: 'ended' | 'raced';
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
  /** The label of the partition that is copied, when one is. */
  partition?: string;
  /** Bytes that the source has put aside on this machine before the first of them is read: they move for the stall time too. */
  spooled?: number;
}

export interface SessionOptions {
  readonly signal: AbortSignal;
  readonly log: Log;
  /** Shown on the server (application_name and the like): a label for people, never matched on. */
  readonly label: string;
  /** Counts from 1 within one scheduling of the attempt: told to people and programs, never matched on. Absent: not an attempt. */
  readonly attempt?: number;
  /** The attempt's, for a source that has something to tell of before its stream gives anything. */
  readonly meter?: Meter;
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
  /** Absent where there are no statements: such a connection can't be named in `queriesFrom`. */
  openStatements?(options: SessionOptions): Promise<StatementSession>;
}

/** A session for statements that a job itself names: where lists of queries are read, and where it is told what is committed. */
export interface StatementSession extends AsyncDisposable {
  /**
   * The rows of a query, in batches of any size, each value as text or null; `columns` are known before the first batch. Nothing is
   * written: it runs in a transaction that can't. Throws StatementInvalid, PermissionDenied.
   */
  query(sql: string): Promise<{
    readonly columns: readonly string[];
    readonly rows: AsyncIterable<readonly (readonly (string | null)[])[]>;
  }>;
  /**
   * Runs one statement for each set of values, in order and in one transaction. `:name` in the statement stands for the value of that
   * name, sent apart from the text. Throws as `query`.
   */
  execute(sql: string, values: readonly Readonly<Record<string, string>>[]): Promise<void>;
  /** Looks whether `execute` could run this statement, as far as that can be told without running it. Throws as `query`. */
  check(sql: string): Promise<void>;
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
  /** As `SourceSession.identity`, of the same connection. */
  identity(): Promise<string>;
  /** Who holds it now. */
  observe(key: SnapshotKey): Promise<SnapshotSight>;
  /**
   * Makes this session a holder: it imports the snapshot from another holder, or takes a new one, unless `taken` says that there was
   * one before. Of many that try at the same time one takes it and the others import it, and none finds it lost while another holds it
   * or is just importing it. The tables are locked against truncation and rewriting before anything is read under it. Throws
   * SnapshotLost, SourceRewritten, LockTimeout; the session has ended then.
   */
  hold(key: SnapshotKey, tables: readonly TableRecord[], taken: () => Promise<boolean>): Promise<void>;
  /**
   * Keeps what `hold` got, so that it would outlive this process by a lease of some minutes: time for another session to import it.
   * Resolves after `leave`; rejects when the snapshot is lost to this session, and with `signal.reason`, which lets go of it at once.
   * At each renewal of the lease there is a moment in which the death of this process would end the session as well: `turn`, from 0 to
   * below 1, says when in the period of renewals that is, so that two holders never renew at the same time.
   */
  keep(turn: number): Promise<void>;
  /** Leaves a snapshot that is kept at the source for its lease and ends the session. Without one, only ends it. */
  leave(): Promise<void>;
  /**
   * Ends all sessions that hold it or are about to, also those whose processes are gone or frozen, and waits until they are. Told by
   * what they do at the source, never by a name. Answers how many there were. Throws LockTimeout.
   */
  release(key: SnapshotKey): Promise<number>;
}

export interface Finding {
  readonly severity: 'problem' | 'warning';
  /** Path below the table's entry in the job file, e.g. `where`; empty for the table itself. */
  readonly path: string;
  readonly message: string;
  readonly fix?: string;
}

/** What a job asks of a connection as a whole. */
export interface Demand {
  /** Sessions that a job may have open at the same time at this side. */
  readonly sessions: number;
}

/** What a source says of one table of a job, before anything is written. */
export interface SourceTable {
  /** Bytes that the table takes at the source now, indexes apart: at least what is copied, `where` and `columns` apart. */
  readonly bytes?: number;
  readonly shape: TableShape;
  /** Columns to copy, after `columns`/`exclude` and without generated ones. */
  readonly columns: readonly string[];
  readonly formats: readonly Format[];
  /** The identity of system and database, part of the fingerprint. */
  readonly identity: string;
  /**
   * The source can't tell its columns, and none were declared: `shape` and `columns` are empty, and the destination's `check` answers
   * with its target's, whose values the source then has to give. Absent: it told them.
   */
  readonly inferred?: true;
}

export interface SourceSession extends AsyncDisposable {
  /** System and database, equal for every worker that is led to the same place, on a primary and on its standbys. */
  identity(): Promise<string>;
  /** Checks that concern the connection as a whole: poolers, settings, standby. */
  checkServer(demand: Demand): Promise<Finding[]>;
  /** The relations that match `schema.*`-like patterns, in name order. */
  expand(pattern: string): Promise<string[]>;
  /**
   * Describes a table or the result of its queries; findings instead of an exception for what the user can mend. What can be told is told
   * beside problems too.
   */
  describe(spec: TableSpec): Promise<{ table?: SourceTable; findings: Finding[] }>;
  /**
   * Cuts a table, from catalog statistics, never by a scan. Yields partitions in order; the whole list is never in memory. Under
   * `record.snapshot` as `stream`.
   */
  plan(record: TableRecord): Promise<PlanInput>;
  /**
   * Waits, before `stream` and outside its time limits, until this session may read: for sources that give to so many at a time.
   * Absent: at once.
   */
  admitted?(): Promise<void>;
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
  /**
   * Digests partitions as the destination's `digestForm`. On the session that streamed a partition, once that stream has ended: of
   * the very rows that were streamed, as far as a query of the user's gives the same rows twice. Otherwise: of the rows that are
   * there now. Present where `capabilities.digest` is. Its methods throw SourceChanged.
   */
  digester?(record: TableRecord, form: DigestForm): Digester;
}

export interface TargetCheck {
  readonly format?: Format;
  readonly fingerprint: string;
  readonly findings: Finding[];
  readonly shape?: TableShape;
}

export type SourceStream = ByteStream | RowStream;

/** `rows` is the source's own count, known only when the iteration ended without an error; it rejects when it did not. */
export interface ByteStream extends AsyncIterable<Uint8Array> {
  readonly kind: 'bytes';
  readonly format: Exclude<Format, 'rows'>;
  readonly rows: Promise<number>;
  /** Names of the columns in the order in which they come. Absent: in the order of the record's. */
  readonly columns?: readonly string[];
  /** Where a line of the stream (from 1 on, line breaks within values counted too) stands in what the source gave. */
  place?(line: number): Place;
}

/** Takes chunks as they come. Their memory is lent: until `write` has returned true, or else until `drained`. */
export interface ChunkSink {
  /** False: nothing more until `drained`. A throw breaks the source off. */
  write(chunk: Uint8Array): boolean;
  /** Resolves when more may be written, rejects when nothing more ever will. */
  drained(): Promise<void>;
}

/** A stream that can push its chunks in place of being iterated: no promise a chunk, and no copy of it. */
export interface PushedStream extends ByteStream {
  /** Resolves with `rows` once the sink has everything and has drained; rejects as an iteration does, and with what the sink throws. */
  pumpTo(sink: ChunkSink): Promise<number>;
  /** Breaks it off, also before it has begun. */
  abandon(reason: unknown): void;
}

export function isPushed(stream: ByteStream): stream is PushedStream {
  return 'pumpTo' in stream;
}

/** `rows` counts malformed ones too. */
export interface RowStream extends AsyncIterable<RowBatch> {
  readonly kind: 'rows';
  readonly format: 'rows';
  readonly columns: readonly string[];
  readonly rows: Promise<number>;
}

/** Values in the order of the stream's `columns`. */
export type Row = readonly Value[];

/**
 * One value, exact. A text is the value as the column's type is written in ISO style (`2024-01-31 10:00:00.123456+00`, `-Infinity`,
 * `12.50`), and itself where the type is a text. A number is for floats and for integers that it holds exactly: never for what it
 * would round. Bytes are for binary columns, a list for arrays, an object for JSON. There is no Date: it holds milliseconds only.
 */
export type Value = null | boolean | number | bigint | string | Uint8Array | readonly Value[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Value;
}

/** Some rows, in order. What can't be decoded is among `malformed`, and whoever writes decides what becomes of it. */
export interface RowBatch {
  readonly rows: readonly Row[];
  /** Bytes that they took at the source, for the meter. Absent: not known. */
  readonly bytes?: number;
  readonly malformed?: readonly MalformedRow[];
  /** What the source itself had for this row of the batch, by its index in `rows`. Absent: its values say all. */
  raw?(index: number): string;
  place?(index: number): Place;
}

export interface MalformedRow {
  readonly raw: string;
  readonly place: Place;
  /** What is wrong with it, without a value: `it has 3 fields, and there are 4 columns`. */
  readonly error: string;
}

/** Where a row stands in what a source gave. */
export interface Place {
  /** Absent: there is but one stream. */
  readonly file?: string;
  /** Its first line, or its place among the rows, from 1 on. */
  readonly line: number;
}

export interface PartitionKey {
  readonly run: string;
  readonly table: string;
  readonly ordinal: number;
}

export interface DestinationSession extends AsyncDisposable {
  readonly ledger: Ledger;
  /** See `SourceSession.identity`. */
  identity(): Promise<string>;
  checkServer(demand: Demand): Promise<Finding[]>;
  /**
   * What it would mean to load tables of these sizes at the source (bytes, by target), as far as it can be told. Absent: nothing can be.
   * Asked once for a job.
   */
  checkSpace?(tables: readonly { readonly to: string; readonly bytes: number }[]): Promise<Finding[]>;
  /**
   * What loading this source table into `spec.to` would meet: the chosen format, or findings why it can't be done. Writes
   * nothing. `fingerprint` is the target's part; with `publish: partition` it tells this table from a later one of the same name.
   * `shape`: the target's, where the source's is `inferred`.
   */
  check(spec: TableSpec, source: SourceTable): Promise<TargetCheck>;
  /**
   * Creates what is loaded when the table's state is `open` and it does not exist: staging, or with `publish: partition` the
   * target. Does nothing for a table that is being published or is published: all of it is committed. Idempotent; throws
   * RunClosed for a suspended or discarded table.
   */
  prepare(record: TableRecord): Promise<void>;
  /**
   * Begins the one transaction of an attempt. A `Receipt` means that the partition is committed or skipped already (same predicate
   * hash, else PlanChanged). Ends a zombie that holds the partition's lock.
   */
  begin(record: TableRecord, partition: Partition, attempt: number): Promise<PartitionWriter | Receipt>;
  /** What is to be built between load and publish, in order: nothing for a table whose record says published. */
  buildSteps(record: TableRecord): Promise<BuildStep[]>;
  /** Idempotent; does nothing for a published table. */
  build(record: TableRecord, step: BuildStep, meter: Meter): Promise<void>;
  /**
   * Re-reads the ledger, fences the table, ends its sessions and makes staging visible in one step; with `publish: partition`
   * all is visible, and the table is only closed. Idempotent: a table published by this run answers with its totals. Missing
   * receipts leave it open and are returned.
   */
  publish(record: TableRecord, meter: Meter): Promise<PublishedTable>;
  /** As what rows of this table are digested, on both sides. Present where `capabilities.digest` is. Throws TargetChanged. */
  digestForm?(record: TableRecord): Promise<DigestForm>;
  /** Digests staging until the table is published, then the target. Present where `capabilities.digest` is. */
  digester?(record: TableRecord, form: DigestForm): TableDigester;
  /** Removes staging of a discarded table, or what attempts have left of a published one; rows that are visible stay. Idempotent. */
  discard(record: TableRecord): Promise<void>;
  /**
   * Ends old versions of every table that runs of this ledger have filled: removes files of runs that are over which no version needs that
   * was the newest within the last `older` ms, or within the time that the table asks for; and what of the table's log tells of them
   * alone. Never what another writer has made. `dryRun`: removes nothing, and tells what it would. Absent where there are no versions.
   */
  vacuum?(options: VacuumOptions): AsyncIterable<VacuumedTable>;
  /**
   * Staging of which this ledger has no row, as after it was dropped. Another ledger of the same system may know it: shown, never
   * removed. Absent where it can't be told.
   */
  orphans?(): Promise<readonly StagingTable[]>;
}

export interface PublishedTable extends ReceiptTotals {
  /** What those who read the table will not like, and what to do about it. Told once: a repeated call may not know it. */
  readonly warning?: string;
}

export interface VacuumOptions {
  readonly older: number;
  readonly dryRun: boolean;
}

export interface VacuumedTable {
  readonly to: string;
  readonly files: number;
  readonly bytes: number;
  /** Entries of the table's own log. */
  readonly entries: number;
  /** Why nothing (more) of it was removed. */
  readonly problem?: string;
}

/** One attempt's transaction, into staging or, with `publish: partition`, into the target. Disposed without `commit`: rolled back. */
export interface PartitionWriter extends AsyncDisposable {
  /**
   * Loads the whole stream; resolves with the destination's own count of rows. With `spec.rejects`, rows that are malformed or refused
   * are set aside, in the same transaction; more of them than allowed throw TooManyRejects. Without it, the first throws DataRejected.
   */
  load(stream: SourceStream, meter: Meter): Promise<number>;
  /**
   * Completes the receipt, checks that the table is still open, commits. The rows read are those written and those set aside. `digest`: the source's, of the rows that were loaded.
   * Throws CountMismatch, RunClosed.
   */
  commit(rowsRead: number, digest?: string): Promise<Receipt>;
}
