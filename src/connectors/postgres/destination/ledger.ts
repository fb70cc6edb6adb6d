import type { Partition, PlanSummary, ReceiptTotals, TableRecord } from '../../../core/model.js';
import type { Ledger, NewTableRecord, PlanInput, RunOverview, RunRecord, SnapshotKey } from '../../types.js';
import type { PgSession } from '../session.js';
import { isInstalled, type LedgerNames } from './ledger-schema.js';
import { putPlan, readPartition, readPlan } from './plans.js';
import { endPublishing } from './publish-lock.js';
import { transaction } from './queries.js';
import { readPending, readTotals } from './receipts.js';
import { readRecord, readRecords, runClosed } from './records.js';
import { openRun } from './runs.js';
import { putSnapshot, readSnapshot, startOver } from './snapshots.js';

/** The ledger in a schema of the destination's own database. Each call is one transaction; none may be made while another is open. */
export class PostgresLedger implements Ledger {
  constructor(
    private readonly session: PgSession,
    readonly names: LedgerNames,
  ) {}

  openRun(run: RunRecord, tables: readonly NewTableRecord[], resume: boolean): Promise<readonly TableRecord[]> {
    return openRun(this.session, this.names, run, tables, resume);
  }

  async table(run: string, table: string, { queries = false } = {}): Promise<TableRecord> {
    const record = await readRecord(this.session, this.names, { run, table }, queries);
    if (!record) throw runClosed({ run, table }, undefined);
    return record;
  }

  async tables(run: string): Promise<readonly TableRecord[]> {
    if (!(await isInstalled(this.session, this.names))) return [];
    return readRecords(this.session, this.names, run);
  }

  putPlan(run: string, table: string, plan: PlanInput): Promise<PlanSummary> {
    return putPlan(this.session, this.names, { run, table }, plan);
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

  /** Ends whoever publishes, and waits for the tables' rows, which a commit holds for a moment: after it, neither happens. */
  async closeRun(run: string, state: 'suspended' | 'discarded'): Promise<void> {
    if (!(await isInstalled(this.session, this.names))) return;
    const from = state === 'discarded' ? ['open', 'publishing', 'suspended'] : ['open', 'publishing'];
    await transaction(this.session, async () => {
      await endPublishing(this.session, this.names, run);
      await this.session.query(
        `UPDATE ${this.names.runTables} SET state = $2, changed_at = now() WHERE run = $1 AND state = ANY ($3::text[])`,
        [run, state, from],
      );
    });
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

  async runs(): Promise<readonly RunOverview[]> {
    if (!(await isInstalled(this.session, this.names))) return [];
    const found = await this.session.query<{
      run: string;
      job: string;
      started: string;
      tables: RunOverview['tables'];
    }>(`SELECT run, job, to_json(r.started_at) #>> '{}' AS started,
              json_agg(json_build_object('spec', t.spec, 'state', t.state) ORDER BY t.position) AS tables
       FROM ${this.names.runs} r JOIN ${this.names.runTables} t USING (run)
       GROUP BY run, job, r.started_at ORDER BY r.started_at, run`);
    return found.map(({ run, job, started, tables }) => ({ run, job, startedAt: started, tables }));
  }
}
