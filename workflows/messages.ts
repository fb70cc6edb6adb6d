import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { Grant, SlotReport } from '../src/core/deal.js';
import type { Servers, SnapshotRef, SnapshotSight } from '../src/core/activities.js';
import type { Mode, RetrySpec } from '../src/core/model.js';
import { counted } from '../src/core/text.js';

/**
 * Every message of the workflows, with its types. Queries and updates are for people and the CLI, and are stable; signals
 * pass between copyJob and its copyTable children.
 */

/** The input of copyJob is the job file itself, as JSON: validated by the first activity, on a worker, where the connections are. */
export type CopyJobInput = unknown;

export type TablePhase =
  /** Not started: waits for a free slot. */
  | 'queued'
  | 'preparing'
  | 'copying'
  /** The source or the destination is away; one attempt probes. */
  | 'waiting for connection'
  /** Everything else is done; parked partitions wait for a person. */
  | 'waiting on parked'
  | 'building'
  /** What was loaded is digested and compared with what was read. */
  | 'verifying'
  | 'publishing'
  | 'published'
  | 'failed'
  | 'cancelled';

export interface ParkedPartition {
  readonly ordinal: number;
  /** `17/100`, or a query's id. */
  readonly label: string;
  /** Code and message of the last error, shortened. */
  readonly code: string;
  readonly error: string;
}

/** What one table is doing. Rows and bytes are of committed partitions; those in flight are in the heartbeats. */
export interface TableProgress {
  readonly table: string;
  readonly to: string;
  readonly mode: Mode;
  readonly phase: TablePhase;
  /** Absent until planned. */
  readonly partitions?: number;
  readonly estimatedRows?: number;
  readonly committed: number;
  readonly running: number;
  readonly rows: number;
  readonly bytes: number;
  /** Attempts beyond the first of each partition: failures, crashes and hand-backs. */
  readonly retries: number;
  readonly skipped: number;
  /** Rows that were read and set aside instead of written. Absent: none. */
  readonly quarantined?: number;
  /** Of a published table: where those are at the destination, as SQL names it. */
  readonly rejectsTable?: string;
  readonly parked: readonly ParkedPartition[];
  /** Parked beyond those in `parked`. Absent: none. A table lists all of its own; what a job knows of its tables has the first few. */
  readonly parkedMore?: number;
  /** Slots of the job's parallelism that this table may use now. */
  readonly slots: number;
  /** With `publish: partition`, of a job that ended: which partitions are visible, in words. */
  readonly visible?: string;
  /** What it waits for or why it failed, in words. */
  readonly note?: string;
  /** What went wrong beside the copy and is no matter of it, or what readers will not like, in words. */
  readonly warning?: string;
  /** How the table was cut, in words. */
  readonly plan?: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
}

/** All parked partitions of a table, listed or not. */
export function parkedCount({ parked, parkedMore = 0 }: TableProgress): number {
  return parked.length + parkedMore;
}

export type JobPhase =
  | 'checking'
  | 'copying'
  | 'waiting on parked'
  | 'complete'
  /** Rows were set aside; no partition was skipped. */
  | 'complete with rejects'
  | 'complete with skips'
  | 'failed'
  | 'cancelled';

/** The snapshot that a job's unpublished tables are read under. */
export interface SnapshotProgress extends Partial<Omit<SnapshotSight, 'electing'>> {
  /** The run's first is 1. */
  readonly number: number;
  readonly state: 'waiting' | 'held' | 'lost' | 'released';
  readonly takenAt?: string;
  /** When the source was last asked for `holders` and `heldXids`: after some seconds, then every minute, in a long job up to every hour. */
  readonly seenAt?: string;
  /** How often this job had to start its unpublished tables over. */
  readonly restarts: number;
  /** Why, the last time; or what the job waits for. */
  readonly note?: string;
}

/**
 * What the parent knows: running tables are as of their last word to it. `watch` asks each running child for its own progress,
 * whose workflow id is in `child`.
 */
export interface JobProgress {
  readonly run: string;
  readonly name: string;
  readonly phase: JobPhase;
  readonly parallelism: number;
  readonly tables: readonly (TableProgress & { readonly child?: string })[];
  readonly warnings: readonly string[];
  /** With `consistency: snapshot`, once the run is open. */
  readonly snapshot?: SnapshotProgress;
  readonly startedAt: string;
  readonly endedAt?: string;
  /** Given up on a person's word: there is nothing to resume. */
  readonly discarded?: true;
}

/** `snapshot 2, held, vacuum held back for 1,234 transactions, started over once`: for details and screens. */
export function snapshotText({ number, state, restarts, heldXids, holders }: SnapshotProgress): string {
  const held = state === 'held';
  const times = restarts === 1 ? 'once' : `${restarts} times`;
  return [
    `snapshot ${number}, ${state}`,
    ...(held && holders === 1 ? ['by one session only'] : []),
    ...(held && heldXids !== undefined ? [`vacuum held back for ${counted(heldXids, 'transaction')}`] : []),
    ...(restarts === 0 ? [] : [`started over ${times}`]),
  ].join(', ');
}

/** The result of a job that ended well. */
export interface JobReport extends JobProgress {
  readonly rows: number;
  /** Rows set aside, of all tables. Absent: none. */
  readonly quarantined?: number;
  readonly bytes: number;
}

/** How a table was cut. */
export interface PlanView {
  readonly table: string;
  readonly partitions?: number;
  readonly pages?: number;
  readonly estimatedRows?: number;
  readonly reason?: string;
}

export interface RetryRequest {
  /** Tables (`public.items`) and parked partitions by their labels (`public.orders/17`, `erp.invoices/north`). Absent: all. */
  readonly partitions?: readonly string[];
}

export interface SkipRequest {
  /** Parked partitions by their labels, as in `RetryRequest`; each by itself, never a whole table. */
  readonly partitions: readonly string[];
}

/** On copyJob: JobProgress. On copyTable: TableProgress. Both answer under the same name, `progress`. */
export const jobProgress = defineQuery<JobProgress>('progress');
export const tableProgress = defineQuery<TableProgress>('progress');
/** On copyJob: every table's plan. On copyTable: its own, as a list of one. */
export const plan = defineQuery<readonly PlanView[]>('plan');

/**
 * On copyJob: tries parked partitions again. Answers with how many: of whole tables, those that the job knows to be parked; of
 * named partitions, those that may be, since a table that still copies parks on. Refused when one that was named can't be parked.
 */
export const retry = defineUpdate<{ retried: number }, [RetryRequest]>('retry');
/**
 * On copyJob: goes on without parked partitions: their rows will not be in the target, and no attempt of this run can commit them
 * later. One that turns out to be committed already stays so. Answers with how many were named that may be parked, as `retry`, and is
 * refused as that is, and for a whole table.
 */
export const skip = defineUpdate<{ skipped: number }, [SkipRequest]>('skip');
/** On copyJob: changes the job's parallelism, a whole number from 1 to 1000. Running partitions are not ended. */
export const setParallelism = defineUpdate<{ parallelism: number }, [number]>('setParallelism');

/**
 * On copyJob: gives the job up. It ends as by a cancellation, and what it has not published is removed instead of kept for a
 * resume. Enough by itself; with a cancellation beside it the workflow ends as cancelled and not as failed.
 */
export const discard = defineSignal('discard');

/** Parent to child: how many partitions it may run at once. A shrunk table lets its running ones end. */
export const grantSlots = defineSignal<[Grant]>('grantSlots');
/** Parent to child: try the parked partitions of these labels again (all, when absent). */
export const retryParked = defineSignal<[readonly string[] | undefined]>('retryParked');
/** Parent to child: skip the parked partitions of these labels. */
export const skipParked = defineSignal<[readonly string[]]>('skipParked');
/**
 * Child to parent, at changes of state only, never for progress: the slots it holds, how many it could use, and its numbers
 * for the parent's page. Reports of a table are a second apart at least, and name at most REPORTED_PARKED partitions.
 */
export interface TableReport extends SlotReport {
  /** The first run id of the child that speaks: a parent that was reset ignores the child of its earlier life. */
  readonly from: string;
  readonly progress: TableProgress;
}
/** A report is kept in the job's history for good: some 4 KB at most. */
export const REPORTED_PARKED = 10;
export const tableReport = defineSignal<[TableReport]>('tableReport');

export interface KeepSnapshotInput {
  readonly snapshot: SnapshotRef;
  /** The job's; milliseconds. */
  readonly heartbeatTimeout: number;
}

export interface CopyTableInput {
  readonly run: string;
  readonly table: string;
  readonly to: string;
  readonly mode: Mode;
  readonly source: string;
  readonly destination: string;
  readonly servers?: Servers;
  /** What it may run at once until another grant comes. */
  readonly grant: Grant;
  readonly maxParked: number;
  readonly onFailure: 'wait' | 'fail';
  readonly retry: RetrySpec;
  /** Digests are compared before the table is published. */
  readonly checksum?: true;
  /** Others are told of its committed queries. */
  readonly announced?: true;
  /** The parent has to hear when everything is read: it may let the snapshot go then. */
  readonly tellsRead?: true;
  /** Present when the table continued as new. */
  readonly state?: CopyTableState;
  /** For tests: continue as new after this many partitions instead of when the server suggests it. */
  readonly continueAfter?: number;
}

/** What a continued copyTable carries: counters and the parked list (at most `maxParked`), nothing that grows with the table. */
export interface CopyTableState {
  /** Partitions below it were started; those not committed are in `parked` or `again`. */
  readonly cursor: number;
  readonly again: readonly number[];
  readonly parked: readonly ParkedPartition[];
  readonly partitions: number;
  readonly pages: number;
  readonly estimatedRows?: number;
  readonly reason: string;
  readonly committed: number;
  readonly rows: number;
  readonly bytes: number;
  readonly retries: number;
  /** Crashes by ordinal, of partitions that are not committed yet. */
  readonly crashes: Readonly<Record<string, number>>;
  /** What is left above `cursor` is asked of the ledger, page by page: the run was resumed. */
  readonly fromLedger: boolean;
  /** Every receipt of the table was counted here, so that publish must find exactly `rows`. */
  readonly sawEvery: boolean;
  readonly startedAt: string;
  /** Partitions. Absent: none. */
  readonly skipped?: number;
  /** Rows set aside. Absent: none. */
  readonly quarantined?: number;
  /** Of those in `again`, the ones to be skipped instead of copied. Absent: none. */
  readonly toSkip?: readonly number[];
  /** Of those in `again`, the ones that a person asked for. Absent: none. */
  readonly asked?: readonly number[];
  /** Others were not told of these yet, as far as they are committed. Absent: none. */
  readonly untold?: readonly OrdinalRange[];
}

/** First and last. */
export type OrdinalRange = readonly [number, number];
