/**
 * Named places in connectors and activities, between any two steps of which the first may have happened and the second not. A test stops or
 * breaks an attempt there, and sees whether what follows still keeps every row exactly once. The list is closed: the test walks all of
 * it, and fails when a place was never reached.
 *
 * Nothing in the product arms them: no option, no environment variable, no job's input (the linter has the rule).
 */
export const FAIL_POINTS = [
  // Opening a run: `Ledger.openRun`.
  /** The job is checked and the ledger is there; nothing of the run is in it. */
  'open: before transaction',
  /** Its tables and leases are written; they are not committed. */
  'open: before COMMIT',
  /** The run is open, and nobody knows. */
  'open: after COMMIT',

  // Staging: `DestinationSession.prepare`.
  /** A session, and nothing else. */
  'prepare: before lock',
  /** The table is locked and open; staging is not there. */
  'prepare: before staging',
  /** Staging is created, not committed. */
  'prepare: before COMMIT',
  /** Staging is there, and nobody knows. */
  'prepare: after COMMIT',

  // The plan: `Ledger.putPlan`.
  /** The source has been asked; the ledger not. */
  'plan: before lock',
  /** Of each page. */
  'plan: before page',
  /** Of each page: in the ledger, not committed. */
  'plan: after page',
  /** The whole plan is written; it is not committed. */
  'plan: before COMMIT',
  /** The plan is durable, and nobody knows. */
  'plan: after COMMIT',

  // One attempt at a partition: `copyPartition`.
  /** The destination's transaction has begun. This point and the next are also a skip's. */
  'copy: before lock',
  /** The partition is locked; its receipt is not written. */
  'copy: before receipt',
  /** The receipt is written and tells nothing yet; it is not committed. */
  'copy: after receipt',
  /** Both sessions are open; the source's transaction has not begun. */
  'copy: after sessions',
  /** The source's transaction has begun; neither COPY was sent. */
  'copy: before COPY',
  /** The destination waits for rows; the source was not asked for them. */
  'copy: before first row',
  /** The first rows were sent on. It stops a partition that has more of them than come in one piece, some 64 kB. */
  'copy: after first rows',
  /** The source has sent all its rows and its count; the destination waits for the end of the data. */
  'copy: after last row',
  /** The destination was told that the data is at its end; its count is not known. */
  'copy: before tag',
  /** Both counts are known. */
  'copy: after counts',
  /** With checksums: the source's digest of the rows is known. */
  'copy: after digest',
  /** The receipt tells rows and bytes; the table's state was not looked at. */
  'copy: after completion',
  /** The table is open, and kept so by this transaction: COMMIT is next. */
  'copy: before COMMIT',
  /** Rows and receipt are durable; the attempt does not know. */
  'copy: after COMMIT',
  /** The attempt knows, and its sessions have ended; the workflow does not know. */
  'copy: before answer',

  // What was loaded, digested: `verifyTable`.
  /** All receipts are there; staging was not read. */
  'verify: before digest',
  /** Compared and equal; the workflow does not know. */
  'verify: before answer',

  // Indexes and statistics: `DestinationSession.build`. Of each step.
  /** The step is locked and wanted; nothing is built. */
  'build: before step',
  /** Built, not committed. */
  'build: before COMMIT',
  /** Built, and nobody knows. */
  'build: after COMMIT',

  // Publishing: `DestinationSession.publish`.
  /** The table is open. */
  'publish: before fence',
  /** All receipts were counted and the table is closed to further ones; that is not committed. */
  'publish: before fence COMMIT',
  /** Nothing of the table commits any more; sessions that might try are still there. */
  'publish: after fence COMMIT',
  /** Nobody writes to staging any more. */
  'publish: after writers',
  /** Transactions with an older view are open: each time it is going to wait for them. */
  'publish: in wait for readers',
  /** They have ended, and the last values of sequences are known; the swap's transaction has not begun. */
  'publish: before swap',
  /** The swap's transaction has the table's row; neither staging nor target is locked. */
  'publish: before locks',
  /** Staging is locked, the target not. */
  'publish: after lock of staging',
  /** Both are locked; nothing is changed. */
  'publish: after lock of target',
  /** The rows are in the target; the ledger doesn't say so. */
  'publish: after swap',
  /** The ledger says so too; neither is committed. */
  'publish: before COMMIT',
  /** Published; the attempt's own answer is still to come. */
  'publish: after COMMIT',
  /** The attempt knows; the workflow does not know. */
  'publish: before answer',

  // The end of a run: `Ledger.closeRun`, `DestinationSession.discard`, `Ledger.forget`.
  /** Nobody publishes any more; the tables' state is not changed. */
  'close: before state',
  /** The tables are suspended or discarded; that is not committed. */
  'close: before COMMIT',
  /** Nothing of the run commits any more; what it left is still there. */
  'close: after COMMIT',
  /** The run is discarded; sessions may still have its staging. */
  'discard: before sessions end',
  /** They have ended; staging is there. */
  'discard: after sessions end',
  /** Staging is dropped; that is not committed. */
  'discard: before COMMIT',
  /** Staging is gone, and nobody knows. */
  'discard: after COMMIT',
  /** Plan and receipts are removed; that is not committed. */
  'forget: before COMMIT',
  /** Plan and receipts are gone, and nobody knows. */
  'forget: after COMMIT',

  // The snapshot: `holdSnapshot`, `awaitSnapshot`.
  /** A session that wants to hold it has joined. */
  'snapshot: before election',
  /** It may take or import the snapshot, and has done neither. */
  'snapshot: in election',
  /** Tables are locked, and the session reads under the snapshot; nobody can find it. */
  'snapshot: before name',
  /** Others can import it; the election goes on. */
  'snapshot: after name',
  /** The ledger doesn't say that it was taken: nobody reads under it. */
  'snapshot: before ledger',
  /** The ledger says so; the holder is not asleep, so that it would end with its worker. */
  'snapshot: after ledger',
  /** Of each sleep. */
  'snapshot: before sleep',
  /** The snapshot was seen to be held; the workflow does not know. */
  'snapshot: before answer',

  // A lost snapshot: `Ledger.startOver`.
  /** Plans and receipts of the unpublished tables are removed; that is not committed. */
  'start over: before COMMIT',
  /** They have the next snapshot's number, and nobody knows. */
  'start over: after COMMIT',
] as const;

export type FailPoint = (typeof FAIL_POINTS)[number];

/** What becomes of whoever reaches a point: goes on (undefined), waits, or fails with what the promise rejects with. */
export type FailPointHandler = (point: FailPoint) => Promise<void> | undefined;

let armed: FailPointHandler | undefined;

/** Called in the code at the point of that name, and awaited. Undefined at once unless a test has armed this process. */
export function reach(point: FailPoint): Promise<void> | undefined {
  return armed?.(point);
}

/** For tests alone: arms all points of this process, or none. */
export function armFailPoints(handler: FailPointHandler | undefined): void {
  armed = handler;
}
