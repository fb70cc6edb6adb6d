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
import { runClosed } from '../../run-closed.js';
import type { PgSession } from '../session.js';
import { closeRun } from './closing.js';
import { putDifferences } from './differences.js';
import { expire, forget } from './housekeeping.js';
import { isInstalled, type LedgerNames } from './ledger-schema.js';
import { readRuns } from './overview.js';
import { putPlan, readPartition, readPlan, type Planned } from './plans.js';
import { transaction } from './queries.js';
import { readOutcomes } from './outcomes.js';
import { readPending, readReceipts, readTotals } from './receipts.js';
import { readRecord, readRecords } from './records.js';
import { openRun } from './runs.js';
import { skipPartition } from './skip.js';
import { putSnapshot, readSnapshot, startOver } from './snapshots.js';
import { readLastPublished, readUses } from './uses.js';

/** The ledger in a schema of the destination's own database. Each call is one transaction; none may be made while another is open. */
export class PostgresLedger implements Ledger {
  constructor(
    private readonly session: PgSession,
    readonly names: LedgerNames,
  ) {}

  openRun(run: RunRecord, tables: readonly NewTableRecord[], options?: OpenOptions): Promise<readonly TableRecord[]> {
    return openRun(this.session, this.names, run, tables, options);
  }

  async table(run: string, table: string, { queries = false }: QueryOption = {}): Promise<TableRecord> {
    const record = await readRecord(this.session, this.names, { run, table }, queries);
    if (!record) throw runClosed({ run, table }, undefined);
    return record;
  }

  get differencesTable(): string {
    return this.names.differences;
  }

  get rejectsTable(): string {
    return this.names.rejects;
  }

  async tables(run: string, options?: QueryOption): Promise<readonly TableRecord[]> {
    if (!(await isInstalled(this.session, this.names))) return [];
    return readRecords(this.session, this.names, run, options);
  }

  putPlan(record: Planned, plan: PlanInput): Promise<PlanSummary> {
    return putPlan(this.session, this.names, record, plan);
  }

  plan(run: string, table: string): Promise<PlanSummary | undefined> {
    return readPlan(this.session, this.names, { run, table });
  }

  partition(run: string, table: string, ordinal: number): Promise<Partition> {
    return readPartition(this.session, this.names, { run, table }, ordinal);
  }

  totals(run: string, table: string, limit: number): Promise<ReceiptTotals> {
    return readTotals(this.session, this.names, run, table, limit);
  }

  pending(run: string, table: string, from: number, to: number): Promise<number[]> {
    return readPending(this.session, this.names, { run, table, from, to });
  }

  skip(record: TableRecord, partition: Partition, attempt: number): Promise<Receipt> {
    return skipPartition(this.session, this.names, record, partition, attempt);
  }

  receipts(run: string, table: string, from: number, to: number): Promise<Receipt[]> {
    return readReceipts(this.session, this.names, { run, table, from, to });
  }

  outcomes(run: string, table: string, ordinals: readonly number[]): Promise<PartitionOutcome[]> {
    return readOutcomes(this.session, this.names, { run, table }, ordinals);
  }

  async lastPublished(run: string | undefined, targets: readonly string[]): Promise<readonly LastPublished[]> {
    if (!(await isInstalled(this.session, this.names))) return [];
    return readLastPublished(this.session, this.names, run, targets);
  }

  putDifferences(run: string, table: string, from: number, to: number, found: readonly Difference[]): Promise<void> {
    return putDifferences(this.session, this.names, { run, table, from, to }, found);
  }

  async closeRun(run: string, state: 'suspended' | 'discarded', options?: CloseOptions): Promise<boolean> {
    if (!(await isInstalled(this.session, this.names))) return true;
    return closeRun(this.session, this.names, { run, state }, options);
  }

  putSnapshot(key: SnapshotKey): Promise<{ takenAt: string }> {
    return putSnapshot(this.session, this.names, key);
  }

  snapshot(key: SnapshotKey): Promise<{ takenAt: string } | undefined> {
    return readSnapshot(this.session, this.names, key);
  }

  startOver(key: SnapshotKey): Promise<readonly TableRecord[]> {
    return startOver(this.session, this.names, key);
  }

  async runs(query: RunQuery = {}): Promise<readonly RunOverview[]> {
    if (!(await isInstalled(this.session, this.names))) return [];
    return readRuns(this.session, this.names, query);
  }

  async expire(except: string): Promise<readonly TableRecord[]> {
    if (!(await isInstalled(this.session, this.names))) return [];
    return expire(this.session, this.names, except);
  }

  async forget(run: string): Promise<boolean> {
    return (await isInstalled(this.session, this.names)) && (await forget(this.session, this.names, run));
  }

  async usesOf(
    asking: { run?: string; name: string },
    targets: readonly Pick<TableSpec, 'to' | 'mode'>[],
  ): Promise<readonly TargetUse[]> {
    if (!(await isInstalled(this.session, this.names))) return [];
    return transaction(this.session, () => readUses(this.session, this.names, asking, targets));
  }
}
