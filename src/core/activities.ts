import type { OnFailure, OnSnapshotLost, PlanSummary, RetrySpec, Mode } from './model.js';
import type { Problem } from './errors.js';

/**
 * The activity contract: what passes between workflows and activities, and so through workflow history. Names and counters
 * only: no row, credential, key value, query text, or list that grows with the table.
 */

/** Names the ledger's record of one table of one run. */
export interface TableRef {
  readonly run: string;
  readonly table: string;
  /** Names of connections. */
  readonly source: string;
  readonly destination: string;
}

export interface CheckReport {
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
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
  readonly tables: readonly OpenedTable[];
  readonly warnings: readonly Problem[];
  /** With `consistency: snapshot`: the number of the one that its unpublished tables are read under. */
  readonly snapshot?: { readonly number: number; readonly onLost: OnSnapshotLost };
}

export interface OpenedTable {
  readonly table: string;
  readonly to: string;
  readonly mode: Mode;
  /** Published already, by the run that this one resumes. */
  readonly published: boolean;
}

/** Names one of a run's snapshots: they are numbered from 1 on. */
export interface SnapshotRef {
  readonly run: string;
  /** Names of connections. */
  readonly source: string;
  readonly destination: string;
  readonly snapshot: number;
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
}

export interface PartitionRef extends TableRef {
  readonly ordinal: number;
  readonly stallTimeout: number;
  readonly firstByteTimeout?: number;
}

/** `handedBack`: the worker is shutting down or the attempt was paused; nothing was committed, schedule it anew at once. */
export type PartitionResult =
  | {
      readonly outcome: 'committed';
      readonly rows: number;
      readonly bytes: number;
      readonly attempts: number;
      readonly seconds: number;
      readonly found: boolean;
    }
  | { readonly outcome: 'handedBack' };

/**
 * Type of the failure by which every other activity says the same as `handedBack`: it ended because its worker shuts down or it
 * was paused. Not an error of the copy, and not counted as one.
 */
export const HANDED_BACK = 'HandedBack';

/** Heartbeat details of copyPartition: what the web UI shows of an attempt in flight. */
export interface CopyProgress {
  readonly rows: number;
  readonly bytes: number;
  readonly phase: string;
}

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
      readonly bytes: number;
    }
  /** Planned partitions whose receipts the ledger lacks (a failover may have lost them): to be copied again. */
  | { readonly outcome: 'missing'; readonly ordinals: readonly number[] };

export interface LonghaulActivities {
  /** Everything that can be wrong with a job, as data. Reads catalogs, writes nothing. */
  checkJob(input: { job: unknown }): Promise<CheckReport>;
  /** Checks as `checkJob`, then opens the run in the ledger with its tables and leases. Idempotent. Throws JobInvalid, TargetLeased, ResumeRefused. */
  openRun(input: { job: unknown; run: string; workflowId: string }): Promise<OpenedRun>;
  /** Makes staging and the durable plan, or finds them. Idempotent. */
  prepareTable(input: TableRef): Promise<PreparedTable>;
  copyPartition(input: PartitionRef): Promise<PartitionResult>;
  /** The ordinals below `limit` in [from, to) that have no receipt: what a resumed or continued table still has to do. */
  pendingPartitions(input: TableRef & { from: number; to: number }): Promise<{ ordinals: readonly number[] }>;
  /** What is to be built on staging before the swap. Cheap. */
  listBuildSteps(input: TableRef): Promise<{ steps: readonly BuildStep[] }>;
  /** Idempotent. */
  runBuildStep(input: TableRef & { step: number; label: string }): Promise<void>;
  publishTable(input: TableRef): Promise<PublishOutcome>;
  /** Ends a run that did not publish everything: nothing of it commits any more; staging is kept (`suspended`) or removed (`discarded`). Idempotent. */
  closeRun(input: { run: string; destination: string; state: 'suspended' | 'discarded' }): Promise<void>;
  /**
   * Holds a snapshot until it is cancelled: takes it, or imports it from whoever holds it. On the queue of `snapshotQueue`. Never
   * answers. Throws SnapshotLost, SourceRewritten.
   */
  holdSnapshot(input: SnapshotRef): Promise<void>;
  /** Answers when a session holds the snapshot, and the ledger says that it is the one. */
  awaitSnapshot(input: SnapshotRef): Promise<{ takenAt: string }>;
  /**
   * Starts the unpublished tables that are read under `snapshot` over, under the next one: what they had committed is forgotten.
   * Answers with the number that unpublished tables have now, and with the tables that turned out to be published. Idempotent.
   */
  startOver(input: SnapshotRef): Promise<{ snapshot: number; published: readonly string[] }>;
}
