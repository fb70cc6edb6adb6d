import { LonghaulError } from '../../core/errors.js';
import type { Partition, PlanSummary, ReceiptTotals, TableRecord } from '../../core/model.js';
import type { Ledger, NewTableRecord, PlanInput, RunOverview, RunRecord, SnapshotKey } from '../types.js';
import type { LedgerEntry, LedgerRun, MemoryServer } from './server.js';

const PAGE_SIZE = 500;

/** No method waits between its reads and its writes, so each is one transaction. */
export class MemoryLedger implements Ledger {
  constructor(
    private readonly server: MemoryServer,
    private readonly signal: AbortSignal,
  ) {}

  openRun(run: RunRecord, tables: readonly NewTableRecord[], resume: boolean): Promise<readonly TableRecord[]> {
    return this.#step(() => {
      const stored = this.server.runs.get(run.run);
      if (resume && !stored) throw refused(`no run ${run.run} is known`);
      if (stored) refuseChanges(stored, tables);
      for (const table of tables) this.#refuseLeased(run.run, table, stored?.tables.get(table.spec.table));
      const opened = stored ?? this.#insert(run, tables);
      for (const { record } of opened.tables.values()) {
        if (record.state === 'suspended' || record.state === 'publishing') record.state = 'open';
      }
      if (resume) this.#startOver(opened, lastSnapshot(opened));
      return recordsOf(opened);
    });
  }

  table(run: string, table: string, { queries = false } = {}): Promise<TableRecord> {
    return this.#step(() => {
      const record = structuredClone(this.entry(run, table).record);
      return queries || !record.spec.queries ? record : { ...record, spec: { ...record.spec, queries: [] } };
    });
  }

  tables(run: string): Promise<readonly TableRecord[]> {
    return this.#step(() => recordsOf(this.server.runs.get(run)));
  }

  async putPlan(run: string, table: string, plan: PlanInput): Promise<PlanSummary> {
    const partitions: Partition[] = [];
    for await (const partition of plan.partitions) partitions.push(partition);
    return this.#step(() => {
      const entry = this.entry(run, table);
      const { reason, estimatedRows } = plan;
      const counts = { partitions: partitions.length, pages: Math.ceil(partitions.length / PAGE_SIZE) };
      entry.plan ??= {
        summary: { ...counts, reason, ...(estimatedRows === undefined ? {} : { estimatedRows }) },
        partitions,
      };
      return entry.plan.summary;
    });
  }

  plan(run: string, table: string): Promise<PlanSummary | undefined> {
    return this.#step(() => this.entry(run, table).plan?.summary);
  }

  partition(run: string, table: string, ordinal: number): Promise<Partition> {
    return this.#step(() => {
      const partition = this.entry(run, table).plan?.partitions[ordinal];
      if (partition) return partition;
      throw new LonghaulError('PlanChanged', `The stored plan of ${table} in run ${run} has no partition ${ordinal}.`);
    });
  }

  totals(run: string, table: string, limit: number): Promise<ReceiptTotals> {
    return this.#step(() => totalsOf(this.entry(run, table), limit));
  }

  pending(run: string, table: string, from: number, to: number): Promise<number[]> {
    return this.#step(() => pendingOf(this.entry(run, table)).filter((ordinal) => ordinal >= from && ordinal < to));
  }

  closeRun(run: string, state: 'suspended' | 'discarded'): Promise<void> {
    return this.#step(() => {
      for (const { record } of this.server.runs.get(run)?.tables.values() ?? []) {
        const open = record.state === 'open' || record.state === 'publishing';
        if (open || (state === 'discarded' && record.state === 'suspended')) record.state = state;
      }
    });
  }

  putSnapshot({ run, snapshot }: SnapshotKey): Promise<{ takenAt: string }> {
    return this.#step(() => {
      const { snapshots } = this.server.runs.get(run)!;
      const taken = snapshots.get(snapshot) ?? { takenAt: new Date().toISOString() };
      snapshots.set(snapshot, taken);
      return taken;
    });
  }

  snapshot({ run, snapshot }: SnapshotKey): Promise<{ takenAt: string } | undefined> {
    return this.#step(() => this.server.runs.get(run)?.snapshots.get(snapshot));
  }

  startOver({ run, snapshot }: SnapshotKey): Promise<readonly TableRecord[]> {
    return this.#step(() => {
      const stored = this.server.runs.get(run);
      if (stored) this.#startOver(stored, snapshot);
      return recordsOf(stored);
    });
  }

  runs(): Promise<readonly RunOverview[]> {
    return this.#step(() => {
      const runs = [...this.server.runs.values()];
      return runs.map(({ run, tables }) => ({ ...run, tables: [...tables.values()].map(({ record }) => record) }));
    });
  }

  entry(run: string, table: string): LedgerEntry {
    const entry = this.server.runs.get(run)?.tables.get(table);
    if (!entry) throw runClosed(run, table, 'not in the ledger');
    return entry;
  }

  async #step<T>(work: () => T): Promise<T> {
    this.signal.throwIfAborted();
    return Promise.resolve(work());
  }

  #insert(run: RunRecord, tables: readonly NewTableRecord[]): LedgerRun {
    const entries = tables.map((table): [string, LedgerEntry] => {
      const snapshot = table.spec.consistency === 'snapshot' ? { snapshot: 1 } : {};
      const staging = stagingOf(table, run.run, 1);
      const record = { ...structuredClone(table), ...snapshot, run: run.run, staging, state: 'open' as const };
      return [table.spec.table, { record, receipts: new Map() }];
    });
    const opened: LedgerRun = {
      run: { startedAt: new Date().toISOString(), ...run },
      tables: new Map(entries),
      snapshots: new Map(),
    };
    this.server.runs.set(run.run, opened);
    return opened;
  }

  #startOver({ tables }: LedgerRun, last: number): void {
    for (const [table, { record }] of tables) {
      const open = record.state === 'open' || record.state === 'publishing';
      if (!open || record.snapshot === undefined || record.snapshot > last) continue;
      this.server.staging.delete(record.staging);
      const staging = stagingOf(record, record.run, last + 1);
      tables.set(table, { record: { ...record, state: 'open', snapshot: last + 1, staging }, receipts: new Map() });
    }
  }

  #refuseLeased(own: string, { spec }: NewTableRecord, entry: LedgerEntry | undefined): void {
    if (entry?.record.state === 'published') return;
    for (const { run, tables } of this.server.runs.values()) {
      if (run.run === own) continue;
      for (const { record } of tables.values()) {
        const leased = record.spec.to === spec.to && (record.state === 'open' || record.state === 'publishing');
        if (!leased || (record.spec.mode === 'append' && spec.mode === 'append')) continue;
        throw new LonghaulError('TargetLeased', `Target ${spec.to} is held by run ${run.run} of job ${run.job}.`);
      }
    }
  }
}

export function runClosed(run: string, table: string, state: string): LonghaulError {
  return new LonghaulError('RunClosed', `Table ${table} of run ${run} is ${state}: this attempt wrote nothing.`);
}

function stagingOf({ spec }: NewTableRecord, run: string, snapshot: number): string {
  return `${spec.to} of ${run}${snapshot > 1 ? ` under ${snapshot}` : ''}`;
}

function lastSnapshot({ tables }: LedgerRun): number {
  return Math.max(0, ...[...tables.values()].map(({ record }) => record.snapshot ?? 0));
}

/** The table was started over since the record was read: its plan, receipts and staging are others now. */
export function startedOver({ run, spec, snapshot }: TableRecord, entry: LedgerEntry): LonghaulError | undefined {
  if (entry.record.snapshot === snapshot) return undefined;
  return new LonghaulError(
    'RunClosed',
    `Table ${spec.table} of run ${run} was started over under snapshot ${entry.record.snapshot}: this attempt wrote nothing.`,
  );
}

export function totalsOf(entry: LedgerEntry, limit: number): ReceiptTotals {
  const receipts = [...entry.receipts.values()];
  const sum = (of: 'rows' | 'bytes') => receipts.reduce((total, receipt) => total + receipt[of], 0);
  const committed = receipts.filter(({ state }) => state === 'committed').length;
  const missing = pendingOf(entry).slice(0, limit);
  return { committed, skipped: receipts.length - committed, rows: sum('rows'), bytes: sum('bytes'), missing };
}

function pendingOf({ plan, receipts }: LedgerEntry): number[] {
  return (plan?.partitions ?? []).map(({ ordinal }) => ordinal).filter((ordinal) => !receipts.has(ordinal));
}

function recordsOf(run: LedgerRun | undefined): TableRecord[] {
  return [...(run?.tables.values() ?? [])].map(({ record }) => structuredClone(record));
}

function refused(why: string): LonghaulError {
  return new LonghaulError('ResumeRefused', `The run can't go on: ${why}.`);
}

function refuseChanges(stored: LedgerRun, tables: readonly NewTableRecord[]): void {
  if (tables.length !== stored.tables.size) throw refused('its tables are others');
  for (const { spec, fingerprint } of tables) {
    const record = stored.tables.get(spec.table)?.record;
    if (!record || record.state === 'discarded') throw refused(`${spec.table} is not in it, or was discarded`);
    const parts = Object.keys({ ...fingerprint, ...record.fingerprint });
    const changed = parts.filter((part) => fingerprint[part] !== record.fingerprint[part]);
    const compared = record.state === 'published' ? changed.filter((part) => part !== 'target') : changed;
    if (compared.length > 0) throw refused(`of ${spec.table}, the ${compared.join(', ')} changed`);
  }
}
