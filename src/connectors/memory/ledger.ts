import { LonghaulError } from '../../core/errors.js';
import type {
  Mode,
  Partition,
  PlanSummary,
  Receipt,
  ReceiptTotals,
  TableRecord,
  TableSpec,
  TableState,
} from '../../core/model.js';
import { changesSince } from '../../core/resume.js';
import { PAGE_SIZE } from '../plan-pages.js';
import { runClosed, startedOver } from '../run-closed.js';
import { sumsByState } from '../state-sums.js';
import { refusedFor } from '../target-use.js';
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
} from '../types.js';
import { claim } from './claim.js';
import { lastPublishedOf, outcomesOf, pendingOf, tableOverview, totalsOf } from './overview.js';
import type { LedgerEntry, LedgerRun, MemoryServer } from './server.js';

/** No method waits between its reads and its writes, so each is one transaction. */
export class MemoryLedger implements Ledger {
  constructor(
    private readonly server: MemoryServer,
    private readonly signal: AbortSignal,
  ) {}

  openRun(
    run: RunRecord,
    tables: readonly NewTableRecord[],
    { resume = false, again = false }: OpenOptions = {},
  ): Promise<readonly TableRecord[]> {
    return this.#step(() => {
      const stored = this.server.runs.get(run.run);
      if (resume && !stored) throw refused(`no run ${run.run} is known`);
      if (stored) refuseChanges(stored, tables);
      if (stored?.forgottenAt !== undefined) throw refused(`what was known of run ${run.run} was cleaned away`);
      this.#refuseUsed(run, tables, recordsOf(stored), again);
      const opened = stored ?? this.#insert(run, tables);
      opened.run = { ...opened.run, ...run };
      for (const entry of opened.tables.values()) {
        const { state } = entry.record;
        if (state === 'open' || state === 'suspended' || state === 'publishing') move(entry, 'open');
      }
      if (resume) this.#startOver(opened, lastSnapshot(opened));
      return recordsOf(opened).map(withoutQueries);
    });
  }

  table(run: string, table: string, { queries = false }: QueryOption = {}): Promise<TableRecord> {
    return this.#step(() => {
      const record = structuredClone(this.entry(run, table).record);
      return queries ? record : withoutQueries(record);
    });
  }

  tables(run: string, { queries = false }: QueryOption = {}): Promise<readonly TableRecord[]> {
    return this.#step(() => {
      const records = recordsOf(this.server.runs.get(run));
      return queries ? records : records.map(withoutQueries);
    });
  }

  async putPlan(record: Pick<TableRecord, 'run' | 'spec' | 'snapshot'>, plan: PlanInput): Promise<PlanSummary> {
    const partitions: Partition[] = [];
    for await (const partition of plan.partitions) partitions.push(partition);
    return this.#step(() => {
      const entry = this.entry(record.run, record.spec.table);
      if (!entry.plan) requireSame(record, entry);
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

  skip(record: TableRecord, partition: Partition, attempt: number): Promise<Receipt> {
    return this.#step(() => {
      const entry = this.entry(record.run, record.spec.table);
      const { predicateHash, stored } = claim(this.server, entry, record, partition);
      if (stored) return stored;
      requireOpen(record, entry);
      const now = new Date().toISOString();
      const times = { startedAt: now, committedAt: now };
      const { ordinal } = partition;
      const receipt: Receipt = { ordinal, predicateHash, state: 'skipped', rows: 0, bytes: 0, attempt, ...times };
      entry.receipts.set(ordinal, receipt);
      return receipt;
    });
  }

  receipts(run: string, table: string, from: number, to: number): Promise<readonly Receipt[]> {
    return this.#step(() => {
      const receipts = [...this.entry(run, table).receipts.values()];
      const wanted = receipts.filter(({ ordinal }) => ordinal >= from && ordinal < to);
      return wanted.sort((a, b) => a.ordinal - b.ordinal);
    });
  }

  outcomes(run: string, table: string, ordinals: readonly number[]): Promise<readonly PartitionOutcome[]> {
    return this.#step(() => outcomesOf(this.entry(run, table), ordinals));
  }

  lastPublished(run: string | undefined, targets: readonly string[]): Promise<readonly LastPublished[]> {
    const entries = () => [...this.server.runs.values()].flatMap(({ tables }) => [...tables.values()]);
    return this.#step(() => lastPublishedOf(entries(), run, targets));
  }

  putDifferences(run: string, table: string, from: number, to: number, found: readonly Difference[]): Promise<void> {
    return this.#step(() => {
      const entry = this.entry(run, table);
      const others = (entry.differences ?? []).filter(({ ordinal }) => ordinal < from || ordinal >= to);
      entry.differences = [...others, ...found];
    });
  }

  closeRun(run: string, state: 'suspended' | 'discarded', { unchangedSince }: CloseOptions = {}): Promise<boolean> {
    return this.#step(() => {
      const found = this.server.runs.get(run);
      const closed = [...(found?.tables.values() ?? [])].filter(({ record }) => {
        const open = record.state === 'open' || record.state === 'publishing';
        return open || (state === 'discarded' && record.state === 'suspended');
      });
      const changed = unchangedSince !== undefined && found && changedAtOf(found) !== Date.parse(unchangedSince);
      if (changed && closed.length > 0) return false;
      for (const entry of closed) move(entry, state);
      return true;
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

  runs({ run, unchangedFor, limit, tables, sizes = true }: RunQuery = {}): Promise<readonly RunOverview[]> {
    const quiet = (each: LedgerRun) =>
      unchangedFor === undefined ||
      (each.forgottenAt === undefined && [...each.tables.values()].every((entry) => age(entry) > unchangedFor));
    return this.#step(() =>
      [...this.server.runs.values()]
        .filter((each) => (run === undefined || each.run.run === run) && quiet(each))
        .reverse()
        .slice(0, limit)
        .map((each) => this.#overview(each, sizes))
        .map((each) => ({ ...each, tables: each.tables.slice(0, tables) })),
    );
  }

  expire(except: string): Promise<readonly TableRecord[]> {
    return this.#step(() => {
      const others = [...this.server.runs.values()].filter(({ run }) => run.run !== except);
      for (const { run, tables } of others) {
        for (const entry of tables.values()) if (isOver(entry, run.keepStaging)) move(entry, 'discarded', true);
      }
      const records = others.flatMap(recordsOf);
      return records.filter(({ state, staging }) => state === 'discarded' && this.server.staging.has(staging));
    });
  }

  usesOf(
    asking: { run?: string; name?: string },
    targets: readonly Pick<TableSpec, 'to' | 'mode'>[],
  ): Promise<readonly TargetUse[]> {
    return this.#step(() => targets.flatMap((target) => this.#usesOf(asking, target)));
  }

  forget(run: string): Promise<boolean> {
    return this.#step(() => {
      const found = this.server.runs.get(run);
      const entries = [...(found?.tables.values() ?? [])];
      const closed = entries.every(({ record: { state } }) => state === 'published' || state === 'discarded');
      if (!found || !closed) return false;
      found.forgottenAt = new Date().toISOString();
      for (const entry of entries) {
        const { spec, state } = entry.record;
        if (state === 'published' || spec.publish !== 'partition') entry.receipts.clear();
        if (entry.plan) entry.plan.partitions = [];
        delete entry.differences;
        entry.rejects.clear();
        if (spec.queries) entry.record = { ...entry.record, spec: { ...spec, queries: [] } };
      }
      return true;
    });
  }

  #overview({ run, forgottenAt, tables }: LedgerRun, sizes: boolean): RunOverview {
    const staged = ({ record }: LedgerEntry) => this.server.staging.get(record.staging)?.length;
    const all = [...tables.values()].map((entry) => tableOverview(entry, staged(entry), sizes));
    return { ...run, ...(forgottenAt !== undefined && { forgottenAt }), sums: sumsByState(all), tables: all };
  }

  entry(run: string, table: string): LedgerEntry {
    const entry = this.server.runs.get(run)?.tables.get(table);
    if (!entry) throw runClosed({ run, table }, undefined);
    return entry;
  }

  async #step<T>(work: () => T): Promise<T> {
    this.signal.throwIfAborted();
    return Promise.resolve(work());
  }

  #insert(run: RunRecord, tables: readonly NewTableRecord[]): LedgerRun {
    const entries = tables.map((table): [string, LedgerEntry] => {
      const snapshot = table.spec.consistency === 'snapshot' ? { snapshot: 1 } : {};
      const staging = table.spec.publish === 'partition' ? table.spec.to : stagingOf(table, run.run, 1);
      const record = { ...structuredClone(table), ...snapshot, run: run.run, staging, state: 'open' as const };
      return [table.spec.table, { record, receipts: new Map(), rejects: new Map(), changedAt: Date.now() }];
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
      const renewed = { ...record, state: 'open' as const, snapshot: last + 1, staging };
      tables.set(table, { record: renewed, receipts: new Map(), rejects: new Map(), changedAt: Date.now() });
    }
  }

  #refuseUsed(
    asking: RunRecord,
    tables: readonly NewTableRecord[],
    stored: readonly TableRecord[],
    again: boolean,
  ): void {
    const published = new Set(stored.filter(({ state }) => state === 'published').map(({ spec }) => spec.table));
    const wanted = tables.filter(({ spec }) => !published.has(spec.table));
    const uses = wanted.flatMap(({ spec }) => this.#usesOf(asking, spec));
    const refused = refusedFor('memory', uses, stored, { again });
    if (refused) throw refused;
  }

  #usesOf(asking: { run?: string; name?: string }, { to, mode }: Pick<TableSpec, 'to' | 'mode'>): TargetUse[] {
    const uses: TargetUse[] = [];
    for (const { run, tables } of [...this.server.runs.values()].reverse()) {
      if (run.run === asking.run) continue;
      const entry = [...tables.values()].find(({ record }) => record.spec.to === to);
      const found = entry && useOf(entry, mode, asking.name !== undefined && asking.name === (run.name ?? run.job));
      if (!found || uses.some(({ use }) => use === found)) continue;
      const { startedAt } = run;
      uses.push({ to, use: found, run: run.run, job: run.job, ...(startedAt !== undefined && { startedAt }) });
    }
    return uses;
  }
}

function useOf(entry: LedgerEntry, mode: Mode, sameName: boolean): TargetUse['use'] | undefined {
  const { record } = entry;
  const open = record.state === 'open' || record.state === 'publishing';
  if (mode === 'replace' || record.spec.mode === 'replace') return open ? 'held' : undefined;
  const visible =
    record.state === 'published' || (record.spec.publish === 'partition' && totalsOf(entry, 0).committed > 0);
  return sameName && (open || visible) ? 'appended' : undefined;
}

function stagingOf({ spec }: NewTableRecord, run: string, snapshot: number): string {
  return `${spec.to} of ${run}${snapshot > 1 ? ` under ${snapshot}` : ''}`;
}

function lastSnapshot({ tables }: LedgerRun): number {
  return Math.max(0, ...[...tables.values()].map(({ record }) => record.snapshot ?? 0));
}

/** Throws RunClosed where nothing of the record's table may be written any more. */
export function requireOpen(record: TableRecord, entry: LedgerEntry): void {
  requireSame(record, entry);
  const { state } = entry.record;
  if (state !== 'open') throw runClosed({ run: record.run, table: record.spec.table }, state);
}

/** Throws RunClosed when the table was started over since the record was read. */
export function requireSame(
  { run, spec, snapshot }: Pick<TableRecord, 'run' | 'spec' | 'snapshot'>,
  entry: LedgerEntry,
): void {
  const now = entry.record.snapshot;
  if (now !== snapshot) throw startedOver({ run, table: spec.table }, now);
}

function withoutQueries(record: TableRecord): TableRecord {
  return record.spec.queries ? { ...record, spec: { ...record.spec, queries: [] } } : record;
}

function recordsOf(run: LedgerRun | undefined): TableRecord[] {
  return [...(run?.tables.values() ?? [])].map(({ record }) => structuredClone(record));
}

function refused(why: string): LonghaulError {
  return new LonghaulError('ResumeRefused', `The run can't go on: ${why}.`);
}

function refuseChanges(stored: LedgerRun, tables: readonly NewTableRecord[]): void {
  const changes = changesSince(recordsOf(stored), tables);
  if (changes.length > 0) throw refused(changes.join('\n'));
}

/** A change of state, which is when a table's age begins. */
export function move(entry: LedgerEntry, state: TableState, expired = false): void {
  entry.record = { ...entry.record, state, ...(expired && { expired }) };
  entry.changedAt = Date.now();
}

function changedAtOf({ run, tables }: LedgerRun): number {
  return Math.max(Date.parse(run.startedAt ?? ''), ...[...tables.values()].map(({ changedAt }) => changedAt));
}

function age({ changedAt }: LedgerEntry): number {
  return Date.now() - changedAt;
}

/** With `publish: partition` nothing is kept that could expire. */
function isOver(entry: LedgerEntry, keepStaging: number | undefined): boolean {
  const { state, spec } = entry.record;
  if (state !== 'suspended' || spec.publish === 'partition' || keepStaging === undefined) return false;
  return age(entry) > keepStaging;
}
