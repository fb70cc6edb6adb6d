import type { Copied, Digested, Verdict } from './digest.js';
import type { OnFailure, OnSnapshotLost, PlanSummary, Publish, RetrySpec, Mode, TableState } from './model.js';
import type { Problem } from './errors.js';
import type { LedgerView, RunsQuery } from './ledger-view.js';

export * from './attempt-details.js';
export * from './ledger-view.js';

/**
 * The activity contract: what passes between workflows and activities, and so through workflow history. Names and counters
 * only: no row, credential, key value, query text, or list that grows with the table.
 */

/**
 * Digests of the two systems and databases that a run was opened with. A connection's name is each worker's own: an attempt whose name
 * leads elsewhere fails with ConnectionMismatch, before it reads or writes.
 */
export interface Servers {
  readonly source: string;
  readonly destination: string;
}

/** Names the ledger's record of one table of one run. */
export interface TableRef {
  readonly run: string;
  readonly table: string;
  /** Names of connections. */
  readonly source: string;
  readonly destination: string;
  /** Absent: whatever the names lead to is taken. */
  readonly servers?: Servers;
}

export interface CheckReport {
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
  /** Problems and warnings that are not listed, because a report has its limits. */
  readonly more?: { readonly problems: number; readonly warnings: number };
  readonly tables: readonly {
    readonly table: string;
    readonly to: string;
    readonly mode: Mode;
    readonly format: string;
  }[];
}

/** What the workflow needs of a job once it was checked and its run is open in the ledger. */
export interface OpenedRun {
  readonly run: string;
  readonly name: string;
  readonly source: string;
  readonly destination: string;
  readonly parallelism: number;
  readonly onFailure: OnFailure;
  readonly maxParked: number;
  readonly retry: RetrySpec;
  readonly servers?: Servers;
  readonly tables: readonly OpenedTable[];
  readonly warnings: readonly Problem[];
  /** With `consistency: snapshot`: the number of the one that its unpublished tables are read under. */
  readonly snapshot?: {
    readonly number: number;
    readonly onLost: OnSnapshotLost;
    /** See `Job.maxSnapshotAge`. */
    readonly maxAge?: number;
  };
}

export interface OpenedTable {
  readonly table: string;
  readonly to: string;
  readonly mode: Mode;
  /** Absent: table. */
  readonly publish?: Publish;
  /** Published already, by the run that this one resumes. */
  readonly published: boolean;
  /** What was loaded is to be digested and compared before it is published. */
  readonly checksum?: true;
  /** Others are told of its committed queries. */
  readonly announced?: true;
}

/** Names one of a run's snapshots: they are numbered from 1 on. */
export interface SnapshotRef {
  readonly run: string;
  /** Names of connections. */
  readonly source: string;
  readonly destination: string;
  readonly servers?: Servers;
  readonly snapshot: number;
}

/** Sessions that hold a snapshot at any time, each kept by an activity of its own, so that one can be replaced from another. */
export const SNAPSHOT_HOLDERS = 2;

/** `holder`: which of `SNAPSHOT_HOLDERS` it is, from 0 on. */
export interface HoldSnapshot extends SnapshotRef {
  readonly holder: number;
}

/** A snapshot as its source sees it. */
export interface SnapshotSight {
  /** Sessions that hold it; with 0 it is lost, unless one is about to. */
  readonly holders: number;
  /** A session is about to hold it, or to find that it is lost. Absent: none is. */
  readonly electing?: true;
  /** For how many transactions the source's vacuum has been held back by it. Absent: not known, as where there is no vacuum. */
  readonly heldXids?: number;
}

/** The task queue of those that hold snapshots: in slots of their own, so that the copying can't keep them from beginning. */
export function snapshotQueue(taskQueue: string): string {
  return `${taskQueue}-snapshots`;
}

/** What `prepareTable` made ready. */
export interface PreparedTable {
  readonly plan: PlanSummary;
  /** Receipts found (a resumed run). */
  readonly alreadyCommitted: number;
  /** Those among them that say skipped. Absent: none. */
  readonly alreadySkipped?: number;
}

export interface PartitionRef extends TableRef {
  readonly ordinal: number;
  readonly stallTimeout: number;
  readonly firstByteTimeout?: number;
}

/**
 * `skipped`: its receipt says so, and nothing of it is or will be committed. `handedBack`: the worker is shutting down or the attempt
 * was paused; nothing was committed, schedule it anew at once.
 */
export type PartitionResult =
  | {
      readonly outcome: 'committed';
      readonly rows: number;
      /** Rows set aside. Absent: none. */
      readonly quarantined?: number;
      readonly bytes: number;
      readonly attempts: number;
      readonly seconds: number;
      readonly found: boolean;
    }
  | { readonly outcome: 'skipped' }
  | { readonly outcome: 'handedBack' };

/**
 * Type of the failure by which every other activity says the same as `handedBack`: it ended because its worker shuts down or it
 * was paused. Not an error of the copy, and not counted as one.
 */
export const HANDED_BACK = 'HandedBack';

/** One piece of work between the load and the swap, e.g. a primary key; its label names no customer data but the object. */
export interface BuildStep {
  readonly step: number;
  readonly label: string;
}

export type PublishOutcome =
  | {
      readonly outcome: 'published';
      readonly committed: number;
      readonly skipped: number;
      readonly rows: number;
      /** Rows set aside. Absent: none. */
      readonly quarantined?: number;
      /** Where those are, see `Ledger.rejectsTable`. Absent: there are none, or it has no such name. */
      readonly rejectsTable?: string;
      readonly bytes: number;
      /** See `PublishedTable`. */
      readonly warning?: string;
    }
  /** Planned partitions whose receipts the ledger lacks (a failover may have lost them): to be copied again. */
  | { readonly outcome: 'missing'; readonly ordinals: readonly number[] };

export type VerifyOutcome =
  | { readonly outcome: 'verified'; readonly rows: number }
  /** As of `PublishOutcome`. */
  | { readonly outcome: 'missing'; readonly ordinals: readonly number[] };

/** What of a run can be verified later. */
export interface Verifiable {
  readonly tables: readonly VerifiableTable[];
  /** See `Ledger.differencesTable`. */
  readonly differences?: string;
}

/** One table of a run, as it can be verified later. */
export interface VerifiableTable {
  readonly table: string;
  readonly to: string;
  readonly mode: Mode;
  readonly source: string;
  /** Absent: the run was opened without. */
  readonly servers?: Servers;
  readonly state: TableState;
  readonly partitions: number;
  /** Why the target's rows can't be told apart by partition, so that it is compared as a whole; absent: they can. */
  readonly undivided?: string;
}

/** A partition that is not the same everywhere. Rows are as counted by the statements that digested them. */
export interface PartitionDifference {
  readonly ordinal: number;
  readonly label: string;
  readonly verdict: Verdict;
  readonly source: number;
  readonly copied: number;
  /** Absent where the target can't be divided. */
  readonly target?: number;
  /** Keys of rows that differ, written into the ledger's `differences`. */
  readonly keys: number;
}

/** Partitions of one table compared, with their sums. */
export interface PartitionsCompared {
  readonly source: Digested;
  readonly copied: Copied;
  /** Absent where the target can't be divided. */
  readonly target?: Digested;
  /** At most 20. */
  readonly differing: readonly PartitionDifference[];
  /** Beyond those in `differing`. */
  readonly more: number;
  /** Partitions that were skipped, and so are in none of the sums. Absent: none. */
  readonly skipped?: number;
}

export interface VacuumTables {
  readonly destination: string;
  /** Ms: a version that was the newest within so long is left whole. */
  readonly older: number;
  readonly dryRun?: boolean;
}

/** What was removed of a table, or would be. */
export interface VacuumedView {
  readonly table: string;
  readonly files: number;
  readonly bytes: number;
  /** Entries of the table's own log. */
  readonly entries: number;
  /** Why nothing (more) of it was removed. */
  readonly problem?: string;
}

/** The first tables of which there was something, and how many more there are. */
export interface Vacuumed {
  readonly tables: readonly VacuumedView[];
  readonly more: number;
}

/** Names a run at its destination. */
export interface TablesOfRun {
  readonly run: string;
  readonly destination: string;
  readonly servers?: Servers;
}

export interface UnpublishedTables {
  /** Names of all tables of the run that are not published. */
  readonly tables: readonly string[];
  /** The ledger has no such run. */
  readonly unknown?: true;
}

export interface CloseRun {
  readonly run: string;
  readonly destination: string;
  readonly state: 'suspended' | 'discarded';
  /** Also removes plan and receipts, of a run that is then published or discarded as a whole. Default false. */
  readonly forget?: boolean;
  /** `RunView.changedAt` as it was listed: a run that has changed since is left as it is. Absent: closed whatever it is. */
  readonly unchangedSince?: string;
  readonly servers?: Servers;
}

/** What a run came to in the ledger: known for good, since nothing of it is published after it was closed. */
export interface ClosedRun {
  /** Nothing was done: the ledger has no such run, or it has changed since `unchangedSince`. */
  readonly untouched?: 'unknown' | 'changed';
  /** Staging that is not removed yet, a sentence each that says why: runs that open later try again. It was not forgotten. */
  readonly left?: readonly string[];
  /** Names of the tables that are published, in the job's order. */
  readonly published: readonly string[];
  /** What is visible of tables with `publish: partition` that did not publish, one line a table. */
  readonly visible: readonly { readonly table: string; readonly text: string }[];
}

export interface LonghaulActivities {
  /** Everything that can be wrong with a job, as data. Reads catalogs, writes nothing. */
  checkJob(input: { job: unknown }): Promise<CheckReport>;
  /** Checks as `checkJob`, then opens the run in the ledger with its tables and leases. Idempotent. Throws JobInvalid, TargetLeased, TargetAppended, ResumeRefused. */
  openRun(input: { job: unknown; run: string; workflowId: string }): Promise<OpenedRun>;
  /** Makes staging and the durable plan, or finds them. Idempotent. */
  prepareTable(input: TableRef): Promise<PreparedTable>;
  copyPartition(input: PartitionRef): Promise<PartitionResult>;
  /**
   * Runs `onCommitted` of the table's list for those of these partitions that are committed, at least once for each. A courtesy to
   * others: nothing depends on it.
   */
  announceCommitted(input: TableRef & { ordinals: readonly number[] }): Promise<{ announced: number }>;
  /**
   * Sees to it that nothing of the partition is ever committed in this run, unless it is committed already: then that is the answer.
   * Idempotent.
   */
  skipPartition(input: TableRef & { ordinal: number }): Promise<PartitionResult>;
  /** The ordinals below `limit` in [from, to) that have no receipt: what a resumed or continued table still has to do. */
  pendingPartitions(input: TableRef & { from: number; to: number }): Promise<{ ordinals: readonly number[] }>;
  /** What is to be built on staging before the swap. Cheap. */
  listBuildSteps(input: TableRef): Promise<{ steps: readonly BuildStep[] }>;
  /** Idempotent. */
  runBuildStep(input: TableRef & { step: number; label: string }): Promise<void>;
  /** Compares the digest of what was loaded with the receipts', before it is published. Throws DigestMismatch. */
  verifyTable(input: TableRef): Promise<VerifyOutcome>;
  publishTable(input: TableRef): Promise<PublishOutcome>;
  /** The tables of a run that can be verified later: all, or these. Throws JobInvalid for an unknown run or table. */
  listVerifiable(input: { run: string; destination: string; tables?: readonly string[] }): Promise<Verifiable>;
  /**
   * Compares partitions [from, to) as source and target have them now with what was copied. Writes keys of at most `keys` rows of
   * each differing partition into the ledger. `divided`: the target's rows can be told apart by partition.
   */
  comparePartitions(
    input: TableRef & { from: number; to: number; divided: boolean; keys: number },
  ): Promise<PartitionsCompared>;
  /** All rows of the target, as they are now. */
  digestTarget(input: TableRef): Promise<Digested>;
  /** Ends a run that did not publish everything: nothing of it commits any more; staging is kept (`suspended`) or removed (`discarded`). Idempotent. */
  closeRun(input: CloseRun): Promise<ClosedRun>;
  /** Which tables of a run the ledger does not have as published. */
  unpublishedTables(input: TablesOfRun): Promise<UnpublishedTables>;
  /** What ledgers know of runs. A ledger that was not named and can't be asked is answered with its problem. */
  listRuns(input: RunsQuery): Promise<{ ledgers: readonly LedgerView[] }>;
  vacuumTables(input: VacuumTables): Promise<Vacuumed>;
  /**
   * Holds a snapshot until it is cancelled: takes it, or imports it from whoever holds it. On the queue of `snapshotQueue`, as the
   * next two. Answers when the session that held it was ended, and why: another is to be begun. Throws SnapshotLost, SourceRewritten.
   */
  holdSnapshot(input: HoldSnapshot): Promise<{ ended: string }>;
  /** Who holds a snapshot now, and since how many transactions the source's vacuum is held back by it. */
  observeSnapshot(input: SnapshotRef): Promise<SnapshotSight>;
  /** Ends every session that still holds a snapshot, also of workers that are gone. Idempotent. */
  releaseSnapshot(input: SnapshotRef): Promise<{ ended: number }>;
  /** Answers when a session holds the snapshot, and the ledger says that it is the one. */
  awaitSnapshot(input: SnapshotRef): Promise<{ takenAt: string }>;
  /**
   * Starts the unpublished tables that are read under `snapshot` over, under the next one: what they had committed is forgotten.
   * Answers with the number that unpublished tables have now, and with the tables that turned out to be published. Idempotent.
   */
  startOver(input: SnapshotRef): Promise<{ snapshot: number; published: readonly string[] }>;
}
