import type { Partition, PlanSummary, Receipt, ReceiptTotals, TableRecord, TableSpec } from '../../../core/model.js';
import type {
  CloseOptions,
  Difference,
  LastPublished,
  Ledger,
  NewTableRecord,
  OpenOptions,
  PartitionOutcome,
  PlanInput,
  QueryOption,
  RunOverview,
  RunQuery,
  RunRecord,
  SnapshotKey,
  TargetUse,
} from '../../types.js';
import type { DataFile } from '../model.js';
import { closeRun, startOver } from './closing.js';
import type { Context, LakeLedgerOptions } from './context.js';
import { expire, forget, putDifferences } from './housekeeping.js';
import { getJson, needJson, putJson } from './objects.js';
import { openRun } from './open.js';
import { overviews } from './overview.js';
import { snapshotPath, type Generation } from './paths.js';
import { putPlan, readPartition, readPartitions, readPlan } from './plans.js';
import { beginPublish, published, stillPublishing, type Publication } from './publishing.js';
import {
  claim,
  commit,
  committedFiles,
  pending,
  readReceipts,
  readReceiptsOf,
  skip,
  type CommittedFiles,
} from './receipts.js';
import { findTable, readRecord, readRecords } from './records.js';
import { RunLogs } from './run-log.js';
import { totals } from './sums.js';
import { TargetLogs } from './targets.js';

export { RunCache } from './run-log.js';
export { encodeName, ROOT } from './paths.js';
export type { LakeLedgerOptions, Targets } from './context.js';
export type { CommittedFiles } from './receipts.js';
export type { Publication } from './publishing.js';

const PATIENCE_MS = 60_000;

/**
 * The ledger of a lake: objects below `_longhaul/`, each created if absent (docs/lake-ledger.md). Any number of workers use it at the same
 * time, without a lock: what is decided is decided by who creates an object first.
 */
export class LakeLedger implements Ledger {
  readonly #context: Context;
  readonly #targets: TargetLogs;

  constructor({ cache, patience = PATIENCE_MS, ...options }: LakeLedgerOptions) {
    this.#context = {
      ...{ name: options.name, store: options.store, targets: options.targets },
      stagingName: (...names) => options.stagingName(...names),
      stagingOf: (record, sizes) => options.stagingOf(record, sizes),
      ...{ logs: new RunLogs(options.store, cache), patience },
    };
    this.#targets = new TargetLogs(this.#context);
  }

  openRun(run: RunRecord, tables: readonly NewTableRecord[], options?: OpenOptions): Promise<readonly TableRecord[]> {
    return openRun(this.#context, run, tables, options);
  }

  async table(run: string, table: string, options?: QueryOption): Promise<TableRecord> {
    const { opened, position } = findTable(await this.#context.logs.read(run), run, table);
    return readRecord(this.#context, opened, position, options);
  }

  async tables(run: string, options?: QueryOption): Promise<readonly TableRecord[]> {
    return readRecords(this.#context, (await this.#context.logs.read(run)).opened, options);
  }

  putPlan(record: Pick<TableRecord, 'run' | 'spec' | 'snapshot'>, plan: PlanInput): Promise<PlanSummary> {
    return putPlan(this.#context, record, plan);
  }

  async plan(run: string, table: string): Promise<PlanSummary | undefined> {
    return readPlan(this.#context.store, await this.#generation(run, table));
  }

  async partition(run: string, table: string, ordinal: number): Promise<Partition> {
    return readPartition(this.#context.store, await this.#generation(run, table), ordinal);
  }

  async totals(run: string, table: string, limit: number): Promise<ReceiptTotals> {
    return totals(this.#context.store, await this.#generation(run, table), limit);
  }

  async pending(run: string, table: string, from: number, to: number): Promise<number[]> {
    const of = await this.#generation(run, table);
    const plan = await readPlan(this.#context.store, of);
    const ordinals: number[] = [];
    if (plan) for await (const each of pending(this.#context.store, of, plan.partitions, from, to)) ordinals.push(each);
    return ordinals;
  }

  skip(record: TableRecord, partition: Partition, attempt: number): Promise<Receipt> {
    return skip(this.#context, record, partition, attempt);
  }

  async receipts(run: string, table: string, from: number, to: number): Promise<readonly Receipt[]> {
    return readReceipts(this.#context.store, await this.#generation(run, table), from, to);
  }

  async outcomes(run: string, table: string, ordinals: readonly number[]): Promise<readonly PartitionOutcome[]> {
    const of = await this.#generation(run, table);
    const planned = await readPartitions(this.#context.store, of, ordinals);
    const receipts = await readReceiptsOf(this.#context.store, of, planned.map(({ ordinal }) => ordinal)); // prettier-ignore
    return planned.map(({ ordinal, label }) => {
      const receipt = receipts.get(ordinal);
      return { ordinal, label, ...(receipt && { receipt }) };
    });
  }

  lastPublished(run: string | undefined, targets: readonly string[]): Promise<readonly LastPublished[]> {
    return this.#targets.lastPublished(run, targets);
  }

  putDifferences(run: string, table: string, from: number, to: number, found: readonly Difference[]): Promise<void> {
    return putDifferences(this.#context, { run, table, from, to }, found);
  }

  closeRun(run: string, state: 'suspended' | 'discarded', options?: CloseOptions): Promise<boolean> {
    return closeRun(this.#context, run, state, options);
  }

  async putSnapshot({ run, snapshot }: SnapshotKey): Promise<{ takenAt: string }> {
    const { store } = this.#context;
    const path = snapshotPath(run, snapshot);
    await putJson(store, path, { takenAt: new Date().toISOString() });
    return needJson(store, path);
  }

  snapshot({ run, snapshot }: SnapshotKey): Promise<{ takenAt: string } | undefined> {
    return getJson(this.#context.store, snapshotPath(run, snapshot));
  }

  async startOver(key: SnapshotKey): Promise<readonly TableRecord[]> {
    return readRecords(this.#context, (await startOver(this.#context, key)).opened);
  }

  async runs(query: RunQuery = {}): Promise<readonly RunOverview[]> {
    const found: RunOverview[] = [];
    for await (const overview of overviews(this.#context, query)) found.push(overview);
    return found;
  }

  usesOf(
    asking: { readonly run?: string; readonly name: string },
    targets: readonly Pick<TableSpec, 'to' | 'mode'>[],
  ): Promise<readonly TargetUse[]> {
    return this.#targets.usesOf(asking, targets);
  }

  expire(except: string): Promise<readonly TableRecord[]> {
    return expire(this.#context, except);
  }

  forget(run: string): Promise<boolean> {
    return forget(this.#context, run);
  }

  // What a destination's session asks beside the contract.

  /** Every target of any run, by its name. */
  targets(): AsyncIterable<string> {
    return this.#targets.all();
  }

  /** Whether this run is known, and nothing of it can be made visible in this target any more that is not. */
  async isOverIn(run: string, to: string): Promise<boolean> {
    const { opened } = await this.#context.logs.readAnew(run);
    const tables = opened?.tables.filter((table) => table.to === to) ?? [];
    return tables.length > 0 && tables.every(({ state }) => state === 'published' || state === 'discarded');
  }

  /** See `claim` in receipts.ts: how an attempt begins. */
  claim(record: TableRecord, partition: Partition): Promise<Receipt | undefined> {
    return claim(this.#context, record, partition);
  }

  /** See `commit` in receipts.ts. The files have to be durable. Answers with `receipt` itself when it is the one that stands. */
  commit(record: TableRecord, receipt: Receipt, files: readonly DataFile[]): Promise<Receipt> {
    return commit(this.#context, record, receipt, files);
  }

  /** What is to be published, in the order of ordinals, in bounded memory. */
  committedFiles(record: TableRecord): AsyncIterable<CommittedFiles> {
    return committedFiles(this.#context, record);
  }

  /** See `beginPublish` in publishing.ts. */
  beginPublish(record: TableRecord, closed?: number): Promise<Publication> {
    return beginPublish(this.#context, record, closed);
  }

  /** See `stillPublishing` in publishing.ts. */
  stillPublishing(record: TableRecord, epoch: number): Promise<void> {
    return stillPublishing(this.#context, record, epoch);
  }

  /** The target shows what this epoch published. Idempotent. */
  published(record: TableRecord, epoch: number): Promise<void> {
    return published(this.#context, record, epoch);
  }

  /** What of a table's counts: that of its present snapshot. Throws RunClosed when there is no such table. */
  async #generation(run: string, table: string): Promise<Generation> {
    const { entry } = findTable(await this.#context.logs.read(run), run, table);
    return { run, table, snapshot: entry.snapshot };
  }
}
