import { ApplicationFailure, Context } from '@temporalio/activity';
import type {
  BuildStep,
  ClosedRun,
  HoldSnapshot,
  LedgerView,
  LonghaulActivities,
  OpenedRun,
  PartitionRef,
  PartitionResult,
  PublishOutcome,
  SnapshotRef,
  TableRef,
  UnpublishedTables,
  VerifyOutcome,
} from '../../src/core/activities.js';
import type { ErrorCode } from '../../src/core/errors.js';
import { handlingOf } from '../../src/core/errors.js';
import type { OnFailure, OnSnapshotLost, RetrySpec } from '../../src/core/model.js';

type MaybeAsync<T> = T | Promise<T>;

/** A table of a job whose activities are faked. */
export interface FakeTable {
  readonly table: string;
  readonly partitions: number;
  /** Ordinals that have a receipt before the job starts. */
  readonly committed?: readonly number[];
  readonly steps?: readonly BuildStep[];
  /** What a call does instead of committing at once; returns to let it commit. `call` counts from 1 for each ordinal. */
  readonly copy?: (ordinal: number, call: number) => MaybeAsync<PartitionResult | undefined>;
  /** As `copy`, of a call that skips a partition. */
  readonly skip?: (ordinal: number, call: number) => MaybeAsync<PartitionResult | undefined>;
  /** Receipts that the ledger loses before its first publish. */
  readonly lose?: readonly number[];
  readonly prepare?: (call: number) => MaybeAsync<void>;
  readonly publish?: (call: number) => MaybeAsync<void>;
  /** Receipts that the ledger loses, with the publication, before it is asked for the first time whether all is published. */
  readonly fallBack?: readonly number[];
  readonly published?: boolean;
  /** Others are told of its committed partitions; called instead of doing so at once. */
  readonly announce?: (call: number, ordinals: readonly number[]) => MaybeAsync<void>;
  /** Rows that each partition sets aside. */
  readonly quarantined?: number;
  /** Those that the ledger says were set aside, where it differs. */
  readonly quarantinedInLedger?: number;
  /** Digests are compared before publish; called instead of answering at once. */
  readonly verify?: (call: number) => MaybeAsync<void>;
}

/** Snapshots of a job whose activities are faked: held until they are cancelled, unless one of these throws. */
export interface FakeSnapshots {
  readonly onLost: OnSnapshotLost;
  readonly hold?: (snapshot: number, holder: number) => MaybeAsync<void>;
  /** Its holders send no heartbeats, and so don't hear of their cancellation. */
  readonly deaf?: true;
  readonly maxAge?: number;
  readonly startOver?: (snapshot: number) => MaybeAsync<readonly string[]>;
}

export interface FakeJob {
  readonly snapshots?: FakeSnapshots;
  readonly tables: readonly FakeTable[];
  readonly parallelism?: number;
  readonly onFailure?: OnFailure;
  readonly maxParked?: number;
  readonly retry?: Partial<RetrySpec>;
  readonly open?: (call: number) => MaybeAsync<void>;
  readonly ledgers?: readonly LedgerView[];
}

export const FAKE_RETRY: RetrySpec = {
  maximumAttempts: 2,
  initialInterval: 10,
  backoffCoefficient: 1,
  maximumInterval: 20,
  maximumCrashes: 3,
  heartbeatTimeout: 30_000,
  attemptTimeout: 60_000,
  stallTimeout: 60_000,
};

/** Rows of each faked partition: another number for each, so that a sum tells which were counted. */
export function rowsOf(ordinal: number): number {
  return ordinal + 1;
}

/** A failure as the activity interceptor makes it of an error with this code. */
export function failureOf(code: ErrorCode, message: string): ApplicationFailure {
  return ApplicationFailure.create({ type: code, message, nonRetryable: handlingOf(code) !== 'retry' });
}

/** Activities without any data system: exact counters of what the workflows asked for. */
export class FakeActivities {
  /** Receipts by table and ordinal. */
  readonly receipts = new Map<string, Map<number, number>>();
  /** Receipts of skipped partitions, by table. */
  readonly skipped = new Map<string, Set<number>>();
  /** Calls of copyPartition by `table ordinal`, of skipPartition by `table ordinal skip`. */
  readonly calls = new Map<string, number>();
  readonly publishes = new Map<string, number>();
  /** Tables that the ledger calls published, answered for or not. */
  readonly done = new Set<string>();
  readonly verifies = new Map<string, number>();
  /** Ordinals that others were told of, by table, in this order. */
  readonly told = new Map<string, number[]>();
  readonly closed: { run: string; destination: string; state: string }[] = [];
  readonly opened: { run: string; workflowId: string }[] = [];
  readonly built: string[] = [];
  /** Snapshots that a first holder was asked to hold, in this order; and those that are held now. */
  readonly holds: number[] = [];
  readonly held = new Set<number>();
  readonly #holders: Record<number, number> = {};
  /** Opened when the sessions of a snapshot's holders are ended. */
  readonly #ends = new Map<number, Gate>();
  readonly released: number[] = [];
  running = 0;
  mostRunning = 0;
  /** Of each table, how many partitions run at this moment. */
  readonly runningOf = new Map<string, number>();

  constructor(readonly job: FakeJob) {
    for (const { table, committed = [] } of job.tables) {
      this.receipts.set(table, new Map(committed.map((ordinal) => [ordinal, rowsOf(ordinal)])));
      this.skipped.set(table, new Set());
    }
  }

  /** What a worker registers. */
  get activities(): LonghaulActivities {
    return {
      checkJob: () => Promise.resolve({ problems: [], warnings: [], tables: [] }),
      openRun: (input) => this.#open(input),
      prepareTable: (input) => this.#prepare(input),
      copyPartition: (input) => this.#copy(input),
      skipPartition: (input) => this.#skip(input),
      announceCommitted: (input) => this.#announce(input),
      pendingPartitions: ({ table, from, to }) => Promise.resolve({ ordinals: this.#missing(table, from, to) }),
      listBuildSteps: ({ table }) => Promise.resolve({ steps: this.#table(table).steps ?? [] }),
      runBuildStep: ({ table, label }) => Promise.resolve(void this.built.push(`${table} ${label}`)),
      verifyTable: (input) => this.#verify(input),
      publishTable: (input) => this.#publish(input),
      closeRun: (input) => this.#close(input),
      listVerifiable: () => Promise.reject(new Error('not faked')),
      comparePartitions: () => Promise.reject(new Error('not faked')),
      digestTarget: () => Promise.reject(new Error('not faked')),
      unpublishedTables: () => Promise.resolve(this.#unpublished()),
      vacuumTables: () => Promise.resolve({ tables: [], more: 0 }),
      listRuns: () => Promise.resolve({ ledgers: this.job.ledgers ?? [] }),
      holdSnapshot: (input) => this.#hold(input),
      observeSnapshot: ({ snapshot }) => Promise.resolve({ holders: this.held.has(snapshot) ? 2 : 0, heldXids: 7 }),
      releaseSnapshot: ({ snapshot }) => {
        this.released.push(snapshot);
        this.#ends.get(snapshot)?.open();
        this.#ends.delete(snapshot);
        return Promise.resolve({ ended: 0 });
      },
      awaitSnapshot: (input) => this.#await(input),
      startOver: (input) => this.#startOver(input),
    };
  }

  #unpublished(): UnpublishedTables {
    const tables = this.job.tables.flatMap(({ table, published, fallBack }) => {
      if (fallBack !== undefined && this.publishes.get(table) === 1) this.#fallBack(table, fallBack);
      return published || this.done.has(table) ? [] : [table];
    });
    return { tables };
  }

  #fallBack(table: string, ordinals: readonly number[]): void {
    this.done.delete(table);
    for (const ordinal of ordinals) this.receipts.get(table)!.delete(ordinal);
  }

  async #hold({ snapshot, holder }: HoldSnapshot): Promise<{ ended: string }> {
    if (holder === 0) this.holds.push(snapshot);
    const context = Context.current();
    // From the start, as every attempt does: a cancellation is heard by heartbeats only.
    const beat = this.job.snapshots!.deaf ? undefined : setInterval(() => context.heartbeat(), 200);
    try {
      await this.job.snapshots!.hold?.(snapshot, holder);
      return await this.#whileHeld(snapshot, context.cancelled);
    } finally {
      clearInterval(beat);
    }
  }

  async #whileHeld(snapshot: number, cancelled: Promise<never>): Promise<{ ended: string }> {
    this.#holders[snapshot] = (this.#holders[snapshot] ?? 0) + 1;
    this.held.add(snapshot);
    const end = this.#ends.get(snapshot) ?? new Gate();
    this.#ends.set(snapshot, end);
    try {
      await Promise.race([end.pass(), cancelled]);
      return { ended: 'the session was ended' };
    } finally {
      this.#holders[snapshot] -= 1;
      if (this.#holders[snapshot] === 0) this.held.delete(snapshot);
    }
  }

  async #await({ snapshot }: SnapshotRef): Promise<{ takenAt: string }> {
    const context = Context.current();
    while (!this.held.has(snapshot)) {
      context.heartbeat();
      await context.sleep(20);
    }
    return { takenAt: new Date().toISOString() };
  }

  async #startOver({ snapshot }: SnapshotRef): Promise<{ snapshot: number; published: readonly string[] }> {
    const published = (await this.job.snapshots!.startOver?.(snapshot)) ?? [];
    for (const { table } of this.job.tables) if (!published.includes(table)) this.receipts.get(table)!.clear();
    return { snapshot: snapshot + 1, published };
  }

  #close(input: { run: string; destination: string; state: string }): Promise<ClosedRun> {
    this.closed.push(input);
    return Promise.resolve({
      published: this.job.tables.flatMap(({ table }) => (this.done.has(table) ? [table] : [])),
      visible: [],
    });
  }

  callsOf(table: string): number[] {
    return this.#ordinals(table).map((ordinal) => this.calls.get(`${table} ${ordinal}`) ?? 0);
  }

  #ordinals(table: string): number[] {
    return Array.from({ length: this.#table(table).partitions }, (_, ordinal) => ordinal);
  }

  #table(table: string): FakeTable {
    return this.job.tables.find((each) => each.table === table)!;
  }

  #missing(table: string, from: number, to: number): number[] {
    const [receipts, skipped] = [this.receipts.get(table)!, this.skipped.get(table)!];
    const has = (ordinal: number) => receipts.has(ordinal) || skipped.has(ordinal);
    return this.#ordinals(table).filter((ordinal) => ordinal >= from && ordinal < to && !has(ordinal));
  }

  async #open({ run, workflowId }: { run: string; workflowId: string }): Promise<OpenedRun> {
    this.opened.push({ run, workflowId });
    await this.job.open?.(this.opened.length);
    const { tables, parallelism = 4, onFailure = 'fail', maxParked = 100, retry, snapshots } = this.job;
    return {
      ...(snapshots && { snapshot: { number: 1, ...snapshotPolicy(snapshots) } }),
      ...{ run, name: 'fake', source: 'from', destination: 'to', parallelism, onFailure, maxParked, warnings: [] },
      retry: { ...FAKE_RETRY, ...retry },
      tables: tables.map(({ table, published = false, verify, announce }) => ({
        ...{ table, to: `dw.${table}`, mode: 'replace', published },
        ...(verify && { checksum: true }),
        ...(announce && { announced: true }),
      })),
    };
  }

  async #prepare({ table }: TableRef) {
    await this.#table(table).prepare?.(count(this.calls, `${table} prepare`));
    const { partitions } = this.#table(table);
    const plan = { partitions, pages: Math.ceil(partitions / 1000), estimatedRows: partitions, reason: 'as faked' };
    const alreadySkipped = this.skipped.get(table)!.size;
    return { plan, alreadyCommitted: this.receipts.get(table)!.size + alreadySkipped, alreadySkipped };
  }

  async #copy({ table, ordinal }: PartitionRef): Promise<PartitionResult> {
    const call = count(this.calls, `${table} ${ordinal}`);
    this.#begin(table, 1);
    try {
      // A worker that stops ends it: else a test that failed would wait at its own gate, and say only that its time is over.
      const instead = await Promise.race([this.#table(table).copy?.(ordinal, call), Context.current().cancelled]);
      if (instead !== undefined) return instead;
    } finally {
      this.#begin(table, -1);
    }
    this.receipts.get(table)!.set(ordinal, rowsOf(ordinal));
    const { attempt } = Context.current().info;
    const { quarantined } = this.#table(table);
    const counts = { rows: rowsOf(ordinal), ...(quarantined && { quarantined }), bytes: 10 };
    return { outcome: 'committed', ...counts, attempts: attempt, seconds: 0, found: false };
  }

  async #skip({ table, ordinal }: TableRef & { ordinal: number }): Promise<PartitionResult> {
    const instead = await this.#table(table).skip?.(ordinal, count(this.calls, `${table} ${ordinal} skip`));
    if (instead !== undefined) return instead;
    const rows = this.receipts.get(table)!.get(ordinal);
    if (rows !== undefined) return { outcome: 'committed', rows, bytes: 10, attempts: 1, seconds: 0, found: true };
    this.skipped.get(table)!.add(ordinal);
    return { outcome: 'skipped' };
  }

  async #announce({ table, ordinals }: TableRef & { ordinals: readonly number[] }): Promise<{ announced: number }> {
    const committed = ordinals.filter((ordinal) => this.receipts.get(table)!.has(ordinal));
    await this.#table(table).announce!(count(this.calls, `${table} announce`), ordinals);
    this.told.set(table, [...(this.told.get(table) ?? []), ...committed]);
    return { announced: committed.length };
  }

  #begin(table: string, by: 1 | -1): void {
    this.running += by;
    this.runningOf.set(table, (this.runningOf.get(table) ?? 0) + by);
    this.mostRunning = Math.max(this.mostRunning, this.running);
  }

  async #verify({ table }: TableRef): Promise<VerifyOutcome> {
    const call = count(this.verifies, table);
    await this.#table(table).verify?.(call);
    const ordinals = this.#missing(table, 0, Number.POSITIVE_INFINITY);
    return ordinals.length > 0 ? { outcome: 'missing', ordinals } : { outcome: 'verified', rows: 0 };
  }

  async #publish({ table }: TableRef): Promise<PublishOutcome> {
    const call = count(this.publishes, table);
    await this.#table(table).publish?.(call);
    const receipts = this.receipts.get(table)!;
    if (call === 1) for (const ordinal of this.#table(table).lose ?? []) receipts.delete(ordinal);
    const ordinals = this.#missing(table, 0, Number.POSITIVE_INFINITY);
    if (ordinals.length > 0) return { outcome: 'missing', ordinals };
    this.done.add(table);
    const rows = [...receipts.values()].reduce((sum, each) => sum + each, 0);
    const skipped = this.skipped.get(table)!.size;
    const { quarantined: each = 0, quarantinedInLedger: quarantined = each * receipts.size } = this.#table(table);
    const aside = quarantined > 0 && { quarantined, rejectsTable: 'longhaul.rejects' };
    return { outcome: 'published', committed: receipts.size, skipped, rows, ...aside, bytes: receipts.size * 10 };
  }
}

function snapshotPolicy({ onLost, maxAge }: FakeSnapshots) {
  return { onLost, ...(maxAge !== undefined && { maxAge }) };
}

function count(counts: Map<string, number>, key: string): number {
  const next = (counts.get(key) ?? 0) + 1;
  counts.set(key, next);
  return next;
}

/** Holds calls until they are let go; tells when so many wait. */
export class Gate {
  #open = false;
  readonly #waiting: (() => void)[] = [];

  get waiting(): number {
    return this.#waiting.length;
  }

  pass(): Promise<void> {
    if (this.#open) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Lets one that waits go on. */
  one(): void {
    this.#waiting.shift()?.();
  }

  open(): void {
    this.#open = true;
    for (const go of this.#waiting.splice(0)) go();
  }
}
