/**
 * The nouns of Longhaul as data (docs/architecture.md has the glossary). Everything here is plain JSON: it travels
 * through workflow history or lies in the ledger. Durations are milliseconds, sizes are bytes.
 */

export type Mode = 'replace' | 'append';
export type OnFailure = 'wait' | 'fail';
/**
 * What is read. `per-partition`: each partition as it is when it is read. `snapshot`: all partitions of all tables as they were
 * at one point in time.
 */
export type Consistency = 'per-partition' | 'snapshot';
/** What becomes of a run whose snapshot no session holds any more: its unpublished tables start over under a new one, or it fails. */
export type OnSnapshotLost = 'restart' | 'fail';
/** `counts`: rows read = rows written, always compared. `checksum`: a digest of every row's content too. */
export type Verify = 'counts' | 'checksum';
/** `table`: all rows become visible in one step at the end. `partition` (append only): each partition's rows when it commits. */
export type Publish = 'table' | 'partition';

/** How a table is cut into partitions. At most one of `size`, `rows`, `count`. */
export interface PartitionHint {
  /** `auto`; ranges of the table's pages, which needs a snapshot; or the columns by whose ranges it is cut, compared as one key. */
  readonly by: 'auto' | 'pages' | readonly string[];
  /** Wanted bytes a partition. */
  readonly size?: number;
  /** Wanted rows a partition. */
  readonly rows?: number;
  /** Wanted number of partitions. */
  readonly count?: number;
}

/** One explicit query: a partition whose predicate is its text. `id` is unique within its table. */
export interface QuerySpec {
  readonly id: string;
  readonly sql: string;
}

/** A column of a source that has no catalog, as the job declares it: name, and type as the destination writes it. */
export interface DeclaredColumn {
  readonly name: string;
  readonly type: string;
}

/** Where a table's queries were read from, once, when the run was opened. */
export interface QueriesFrom {
  /** Path beside the worker's longhaul.yaml. Either this, or `connection` and `sql`. */
  readonly file?: string;
  /** Where `sql` is asked and `onCommitted` is run; beside a file only for the latter. */
  readonly connection?: string;
  /** Answers with query_id, table_name, query. */
  readonly sql?: string;
  /** Run there for each committed query, at least once: a courtesy to others. */
  readonly onCommitted?: string;
}

/** One table of a compiled job: patterns expanded, defaults filled in. */
export interface TableSpec {
  /** The table's name in this job, in summaries, logs and the ledger: the source's `schema.table`, or the name of a query group. Unique within the job. */
  readonly table: string;
  /** The source relation, absent when `queries` are given. */
  readonly from?: string;
  /** The destination's table. Unique within the job. */
  readonly to: string;
  /** Only these columns (all, when absent). */
  readonly columns?: readonly string[];
  readonly exclude?: readonly string[];
  /** A condition in the source's SQL, applied to every partition. */
  readonly where?: string;
  readonly queries?: readonly QuerySpec[];
  /** The queries came from a list. */
  readonly queriesFrom?: QueriesFrom;
  /** The columns of what `queries` answer with, where the source can't tell. */
  readonly declared?: readonly DeclaredColumn[];
  /** Rows that are refused go to a quarantine, so many of a partition at most. Absent: one refused row parks its partition. */
  readonly rejects?: { readonly max: number };
  readonly mode: Mode;
  readonly partition: PartitionHint;
  /** Columns by whose values a lake keeps the rows of its table in files apart. */
  readonly partitionBy?: readonly string[];
  /** Types at the destination, in its own notation, by column: where the source's type does not say enough. */
  readonly types?: Readonly<Record<string, string>>;
  /** Absent: per-partition. */
  readonly consistency?: Consistency;
  /** Absent: counts. */
  readonly verify?: Verify;
  /** Absent: table. */
  readonly publish?: Publish;
}

/** The declared retry policy and timeouts of a job, compiled to milliseconds. */
export interface RetrySpec {
  /** Failures of one partition until it parks. Crashes are counted apart (`maximumCrashes`). */
  readonly maximumAttempts: number;
  readonly initialInterval: number;
  readonly backoffCoefficient: number;
  readonly maximumInterval: number;
  /** Lost workers and timeouts of one partition until it parks. */
  readonly maximumCrashes: number;
  /** An attempt whose worker was not heard for this long is taken to be dead. */
  readonly heartbeatTimeout: number;
  /** The longest one attempt may take. */
  readonly attemptTimeout: number;
  /** No byte moved for this long, after the first: the attempt ends. */
  readonly stallTimeout: number;
  /** No first byte for this long: the attempt ends. Absent: an expensive query may think as long as it likes. */
  readonly firstByteTimeout?: number;
}

/** A job as compiled on the worker from a job file: only names of connections, never a credential. */
export interface Job {
  readonly name: string;
  readonly source: string;
  readonly destination: string;
  /** Partitions copied at the same time, over all tables. */
  readonly parallelism: number;
  readonly onFailure: OnFailure;
  readonly consistency: Consistency;
  readonly onSnapshotLost: OnSnapshotLost;
  /** How long a snapshot is held at most, in ms; then it is let go, and the job ends if it still needs it. Absent: as long as the job runs. */
  readonly maxSnapshotAge?: number;
  /** Parked partitions of a table at which no more are started. */
  readonly maxParked: number;
  /** How long the staging of a run that ended without publishing waits for a resume, in ms; then it may be removed. */
  readonly keepStaging: number;
  /** Appends once more what an earlier run of this name has appended already. */
  readonly again: boolean;
  /** Replaces what more queries than now were published to. */
  readonly allowFewer: boolean;
  readonly retry: RetrySpec;
  readonly tables: readonly TableSpec[];
  /** The run to take over, instead of starting a new one. */
  readonly resume?: string;
}

/** One column as its system describes it. */
export interface ColumnShape {
  readonly name: string;
  /** The type as its system prints it, e.g. `numeric(10,2)`: what a person is shown and what DDL is made of. */
  readonly type: string;
  /**
   * The full meaning of the type, recursively (attributes, labels, bases), equal in two databases of one system if and only if
   * their binary images of it are interchangeable. A system's own notation: compared, never parsed, by other systems.
   */
  readonly definition: string;
  readonly notNull: boolean;
  /** The system computes it; it is never copied. */
  readonly generated: boolean;
  readonly identity?: 'always' | 'by default';
  readonly default?: string;
  readonly collation?: string;
  /** What people say of it there: goes into a table that is made, and is never compared. */
  readonly comment?: string;
}

/** What a source says of a table, enough to create the like of it and to notice that it changed. */
export interface TableShape {
  /** Which kind of system wrote the definitions, e.g. `postgres`. */
  readonly system: string;
  /** Server major version, where `system` has one. */
  readonly version?: number;
  readonly columns: readonly ColumnShape[];
  readonly primaryKey: readonly string[];
  /**
   * A digest of which relations hold the table's rows: changed by a partition or child that comes or goes, and by a table that
   * is created anew. Absent for queries, and for systems without such a thing.
   */
  readonly leaves?: string;
  /** As a column's. */
  readonly comment?: string;
}

/**
 * A disjoint part of a table: a predicate in the source's own language, or a whole query. It may hold values of customers'
 * keys, so it stays in the ledger and never enters workflow history, a log or an error.
 */
export interface Partition {
  /** 0, 1, 2 …: the receipt's key within (run, table). */
  readonly ordinal: number;
  /** What a person is shown: never a key value. `17/100`, or a query's id. */
  readonly label: string;
  /** The relation read, with `ONLY` left to the connector; absent for a query. */
  readonly relation?: string;
  /** A condition on `relation`, or the query's text. `TRUE` for the whole relation. */
  readonly predicate: string;
  /** The source's estimate, for balance and for bars; never for correctness. */
  readonly estimatedRows?: number;
}

/** What is said of a plan in workflow history: counts, never bounds. */
export interface PlanSummary {
  readonly partitions: number;
  readonly pages: number;
  readonly estimatedRows?: number;
  /** What was chosen and why, in one sentence for the operator. */
  readonly reason: string;
}

/** The destination's own record that a partition is committed, or skipped on a person's word: its rows were never written. */
export interface Receipt {
  readonly ordinal: number;
  /** Hash of the partition's exact predicate, relation and columns. */
  readonly predicateHash: string;
  readonly state: 'committed' | 'skipped';
  /** Written. */
  readonly rows: number;
  /** Rows that were read and set aside instead of written. Absent: none. */
  readonly quarantined?: number;
  readonly bytes: number;
  /** Order-independent digest of the rows as the source had them; present with `verify: checksum`. */
  readonly digest?: string;
  readonly attempt: number;
  readonly startedAt: string;
  readonly committedAt: string;
}

/** Totals over the receipts of one table. */
export interface ReceiptTotals {
  readonly committed: number;
  readonly skipped: number;
  readonly rows: number;
  /** Rows set aside. Absent: none. */
  readonly quarantined?: number;
  readonly bytes: number;
  /** Planned partitions without a receipt, the lowest first, at most `limit` of them. */
  readonly missing: readonly number[];
}

/** `suspended`: ended without publishing, its staging kept for a resume. Nothing commits unless the state is `open`. */
export type TableState = 'open' | 'publishing' | 'published' | 'suspended' | 'discarded';

/** One table of a run as the ledger holds it: all that an attempt has to know beside its partition. */
export interface TableRecord {
  readonly run: string;
  readonly spec: TableSpec;
  readonly source: string;
  readonly shape: TableShape;
  /** Names of the copied columns, in source order. */
  readonly columns: readonly string[];
  /** The best format both connectors have for this table, see `Format`. */
  readonly format: string;
  /**
   * What must be equal for a resume; the parts have names so that a refusal can say which changed. `target` is what the
   * destination's `check` answered with: publish compares it again.
   */
  readonly fingerprint: Readonly<Record<string, string>>;
  /**
   * The destination's own description of the table that is loaded: an invisible one, or with `publish: partition` the target
   * itself, which nothing but a partition's commit may write to or remove.
   */
  readonly staging: string;
  readonly state: TableState;
  /** Discarded because `keepStaging` was over, and not by a person. */
  readonly expired?: boolean;
  /** Which of the run's snapshots its partitions are read under, from 1 on; absent without `consistency: snapshot`. */
  readonly snapshot?: number;
}
