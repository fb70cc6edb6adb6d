import { CancellationScope, isCancellation } from '@temporalio/workflow';
import type { OpenedRun, OpenedTable } from '../src/core/activities.js';
import { Dealer, type Grant } from '../src/core/deal.js';
import { startTable, unlessGone, untilEnded, type TableChild } from './children.js';
import { childEnding, short, type ChildEnding } from './failures.js';
import { childWorkflowId } from './ids.js';
import { isLoss, type Loss } from './job-snapshot.js';
import {
  grantSlots,
  retryParked,
  skipParked,
  type CopyTableInput,
  type TablePhase,
  type TableProgress,
  type TableReport,
} from './messages.js';

interface Row {
  progress: TableProgress;
  readonly child: string;
  /** The child has ended: `progress` is final. */
  ended: boolean;
  /** Why the table failed, in full. */
  failure?: ChildEnding;
  handle?: TableChild;
  /** Resolves when the child has started or can't be. */
  started?: Promise<TableChild>;
}

/** Phases of tables whose rows are all staged, or are not wanted any more. */
const READ: ReadonlySet<TablePhase> = new Set<TablePhase>([
  ...(['building', 'verifying', 'publishing', 'published', 'failed', 'cancelled'] as const),
]);

/** By its phase, or by its counts, as while its connection is away in the middle of a build. */
function isRead({ phase, partitions, committed, skipped }: TableProgress): boolean {
  return READ.has(phase) || (partitions !== undefined && committed + skipped >= partitions);
}

/** The tables of a job: those that wait, their children, what these last reported, and the slots dealt to them. */
export class JobTables {
  readonly #rows = new Map<string, Row>();
  readonly #queue: OpenedTable[] = [];
  readonly #dealer: Dealer;
  #children = new CancellationScope();
  #active = 0;
  #bug: unknown;

  constructor(
    jobId: string,
    private readonly opened: OpenedRun,
    private readonly changed: () => void,
  ) {
    this.#dealer = new Dealer(opened.parallelism);
    opened.tables.forEach((table, index) => {
      const child = childWorkflowId(jobId, table.table, index);
      this.#rows.set(table.table, { child, progress: queued(table), ended: false });
      if (!table.published) this.#queue.push(table);
    });
  }

  /** Resolves when no child is left, after `cancel`. */
  ended(): Promise<void> {
    return untilEnded(() => (this.#active === 0 ? [] : this.#begun));
  }

  get #begun(): string[] {
    return [...this.#rows.values()].flatMap(({ child, started, ended }) => (started && !ended ? [child] : []));
  }

  get done(): boolean {
    return this.#active === 0 && this.#queue.length === 0;
  }

  get parallelism(): number {
    return this.#dealer.total;
  }

  /** As of each table's last word; those of running children with the slots that they were told. */
  get progress(): (TableProgress & { child?: string })[] {
    return [...this.#rows.values()].map(({ progress, child, handle }) => ({
      ...progress,
      ...(handle !== undefined && { child }),
    }));
  }

  /** Tables that did not publish, with the whole reason. */
  get failures(): (ChildEnding & { table: string; progress: TableProgress })[] {
    return [...this.#rows].flatMap(([table, { failure, progress }]) =>
      failure === undefined ? [] : [{ table, ...failure, progress }],
    );
  }

  /** A plain error where none can be: thrown by whoever waits for the tables. */
  throwBug(): void {
    if (this.#bug !== undefined) throw this.#bug as Error;
  }

  /** Of all running children: for an end that is not the job's own cancellation, which reaches them by itself. */
  cancel(): void {
    this.#children.cancel();
  }

  /** Some tables have not begun to be read. */
  get queued(): boolean {
    return this.#queue.length > 0;
  }

  /** Some tables have still to be read. */
  get reading(): boolean {
    return [...this.#rows.values()].some(({ ended, progress }) => !ended && !isRead(progress));
  }

  isQueued(table: string): boolean {
    return this.#queue.some((each) => each.table === table);
  }

  /** The first table that can't go on under the job's snapshot. */
  get loss(): Loss | undefined {
    const lost = this.failures.find(({ code }) => isLoss(code));
    return lost && { code: lost.code!, message: lost.message };
  }

  /** Ends all running children, as `cancel`, and begins again with those tables that had not ended by themselves. */
  async startOver(): Promise<void> {
    this.cancel();
    await this.ended();
    this.#children = new CancellationScope();
    this.#queue.splice(0);
    for (const table of this.opened.tables) {
      const row = this.#rows.get(table.table)!;
      const { failure, progress } = row;
      const over = progress.phase === 'published' || (failure && !failure.cancelled && !isLoss(failure.code));
      if (over) continue;
      this.#rows.set(table.table, { child: row.child, progress: queued(table), ended: false });
      this.#queue.push(table);
    }
  }

  /** Begins again with tables that were published, and are not any more: they go on from what the ledger has of them. */
  again(lost: readonly string[]): void {
    for (const table of this.opened.tables.filter((each) => lost.includes(each.table))) {
      const { child } = this.#rows.get(table.table)!;
      this.#rows.set(table.table, { child, progress: { ...queued(table), note: LOST }, ended: false });
      this.#queue.push(table);
    }
  }

  setParallelism(parallelism: number): void {
    this.#dealer.total = parallelism;
    this.changed();
  }

  /** A report that was under way when its child ended knows less than the child's end. */
  report(report: TableReport): void {
    const { table } = report.progress;
    const row = this.#rows.get(table);
    if (row === undefined || row.ended || (row.handle && row.handle.firstExecutionRunId !== report.from)) return;
    row.progress = report.progress;
    this.#dealer.report(table, report);
    this.changed();
  }

  /** A table that the ledger calls published, with its sums there: its child had no part in that, or didn't hear of it. */
  published(table: string, progress: Partial<TableProgress>, note: string): void {
    const row = this.#rows.get(table)!;
    const place = this.#queue.findIndex((each) => each.table === table);
    if (place >= 0) this.#queue.splice(place, 1);
    row.progress = { ...row.progress, ...progress, phase: 'published', note };
    delete row.failure;
  }

  /** Tables whose children ended without knowing whether they were published: anything may have happened to their last word. */
  get untold(): string[] {
    return this.failures.flatMap(({ table, published }) => (published ? [] : [table]));
  }

  /** Starts tables into free slots and deals slots anew. */
  deal(): void {
    for (const { table } of this.#queue.slice(0, this.#dealer.startable())) this.#dealer.add(table);
    for (const { table, grant } of this.#dealer.deal()) {
      if (this.#queue[0]?.table === table) this.#start(this.#queue.shift()!, grant);
      else this.#grant(this.#rows.get(table)!, grant);
    }
  }

  #start(table: OpenedTable, grant: Grant): void {
    const row = this.#rows.get(table.table)!;
    this.#active += 1;
    row.progress = { ...row.progress, phase: 'preparing', slots: grant.slots };
    const input = this.#input(table, grant);
    row.started = this.#children.run(() => startTable(row.child, `${table.table} → ${table.to}`, input));
    this.#follow(table.table, row, row.started)
      .catch((bug: unknown) => {
        this.#bug ??= bug;
      })
      .finally(() => {
        this.#active -= 1;
        this.#dealer.remove(table.table);
        this.changed();
      });
  }

  #input({ table, to, mode, checksum, announced }: OpenedTable, grant: Grant): CopyTableInput {
    const { run, source, destination, servers, snapshot, maxParked, onFailure, retry } = this.opened;
    const where = { source, destination, ...(servers && { servers }) };
    const flags = { ...(checksum && { checksum }), ...(announced && { announced }) };
    const told = snapshot?.maxAge !== undefined && { tellsRead: true as const };
    return { run, table, to, mode, ...where, grant, maxParked, onFailure, retry, ...flags, ...told };
  }

  async #follow(table: string, row: Row, started: Promise<TableChild>): Promise<void> {
    try {
      row.handle = await started;
      row.progress = await row.handle.result();
    } catch (error) {
      row.failure = childEnding(error);
      const { cancelled, message } = row.failure;
      const phase = cancelled ? 'cancelled' : 'failed';
      row.progress = { ...row.progress, table, phase, running: 0, slots: 0, note: short(message) };
    } finally {
      row.ended = true;
    }
  }

  #grant(row: Row, grant: Grant): void {
    row.progress = { ...row.progress, slots: grant.slots };
    this.#send(row, (child) => child.signal(grantSlots, grant));
  }

  /** Sends parked partitions of a running table back to work: these, or all. */
  retry(table: string, labels: readonly string[] | undefined): void {
    this.#send(this.#rows.get(table)!, (child) => child.signal(retryParked, labels));
  }

  /** Goes on without these parked partitions of a running table. */
  skip(table: string, labels: readonly string[]): void {
    this.#send(this.#rows.get(table)!, (child) => child.signal(skipParked, labels));
  }

  /** A child that could not start or has ended needs no message. */
  #send(row: Row, message: (child: TableChild) => Promise<void>): void {
    const sent = async (): Promise<void> => {
      const child = await row.started;
      if (child !== undefined && !row.ended) await unlessGone(message(child));
    };
    sent().catch((error: unknown) => {
      if (isCancellation(error) || row.failure !== undefined || row.handle === undefined) return;
      this.#bug ??= error;
      this.changed();
    });
  }
}

const LOST = 'was published, and the ledger does not have it so any more: copied on from what it has';

function queued({ table, to, mode }: OpenedTable): TableProgress {
  return {
    ...{ table, to, mode, phase: 'queued', committed: 0, running: 0, rows: 0, bytes: 0 },
    ...{ retries: 0, skipped: 0, parked: [], slots: 0 },
  };
}
