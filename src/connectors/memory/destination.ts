import type { BuildStep } from '../../core/activities.js';
import { LonghaulError } from '../../core/errors.js';
import type { Partition, Receipt, ReceiptTotals, TableRecord, TableSpec } from '../../core/model.js';
import type { DigestForm, TableDigester } from '../digester.js';
import type {
  DestinationSession,
  Finding,
  MalformedRow,
  Meter,
  PartitionWriter,
  SessionOptions,
  SourceStream,
  SourceTable,
  TargetCheck,
} from '../types.js';
import { MemoryTableDigester } from './digester.js';
import { claim } from './claim.js';
import { MemoryLedger, move, requireOpen, requireSame } from './ledger.js';
import { runClosed } from '../run-closed.js';
import { someQuarantined } from '../state-sums.js';
import { totalsOf } from './overview.js';
import type { LedgerEntry, MemoryServer, MemoryTable, OpenAttempt } from './server.js';

const MISSING_LIMIT = 1_000;

/** Writes tables of a memory server, by the rules of the contract and in the least code that keeps them. */
export class MemoryDestination implements DestinationSession {
  readonly ledger: MemoryLedger;
  readonly #connection: Disposable;
  readonly #signal: AbortSignal;

  constructor(
    private readonly server: MemoryServer,
    options: SessionOptions,
  ) {
    this.#signal = options.signal;
    this.#connection = server.connect(options);
    this.ledger = new MemoryLedger(server, options.signal);
  }

  identity(): Promise<string> {
    return Promise.resolve(`memory/${this.server.name}`);
  }

  checkServer(): Promise<Finding[]> {
    return Promise.resolve([]);
  }

  check(spec: TableSpec, source: SourceTable): Promise<TargetCheck> {
    const fingerprint = this.#fingerprint(spec);
    const format = source.formats.find((offered) => offered === 'rows');
    return Promise.resolve({ fingerprint, findings: [], ...(format ? { format } : {}) });
  }

  prepare(record: TableRecord): Promise<void> {
    return this.#step(() => {
      const { state } = this.ledger.entry(record.run, record.spec.table).record;
      if (state === 'published') return;
      const entry = this.#openEntry(record);
      if (record.spec.publish === 'partition') this.#createTarget(entry);
      else if (!this.server.staging.has(record.staging)) this.server.staging.set(record.staging, []);
    });
  }

  /** What the run was checked against is then this table. */
  #createTarget(entry: LedgerEntry): void {
    const { record } = entry;
    const { spec, fingerprint } = record;
    if (this.#fingerprint(spec) !== fingerprint['target']) throw targetChanged(record);
    if (this.server.tables.has(spec.to)) return;
    this.server.tables.set(spec.to, { ...this.#made(record), rows: [] });
    entry.record = { ...record, fingerprint: { ...fingerprint, target: this.#fingerprint(spec) } };
  }

  #made({ shape, columns }: TableRecord): Pick<MemoryTable, 'columns' | 'primaryKey'> {
    return { columns: shape.columns.filter(({ name }) => columns.includes(name)), primaryKey: shape.primaryKey };
  }

  begin(record: TableRecord, partition: Partition, attempt: number): Promise<PartitionWriter | Receipt> {
    return this.#step(() => {
      const entry = this.ledger.entry(record.run, record.spec.table);
      const { key, predicateHash: hash, stored } = claim(this.server, entry, record, partition);
      if (stored) return stored;
      this.#openEntry(record);
      if (record.spec.publish === 'partition' && this.#fingerprint(record.spec) !== entry.record.fingerprint['target'])
        throw targetChanged(record);
      const open: OpenAttempt = { alive: true };
      this.server.attempts.set(key, open);
      const target = record.spec.publish === 'partition' ? this.server.tables.get(record.spec.to)?.rows : undefined;
      const rows = target ?? this.server.staging.get(record.staging) ?? [];
      return new MemoryWriter(this.ledger, entry, rows, open, this.#signal, {
        ordinal: partition.ordinal,
        hash,
        attempt,
      });
    });
  }

  buildSteps(): Promise<BuildStep[]> {
    return Promise.resolve([]);
  }

  build(): Promise<void> {
    return Promise.resolve();
  }

  publish(record: TableRecord, meter: Meter): Promise<ReceiptTotals> {
    return this.#step(() => {
      meter.phase = 'publishing';
      const entry = this.ledger.entry(record.run, record.spec.table);
      if (entry.record.state === 'published') return totalsOf(entry, MISSING_LIMIT);
      this.#openEntry(record);
      const totals = totalsOf(entry, MISSING_LIMIT);
      if (totals.missing.length > 0) return totals;
      if (record.spec.publish !== 'partition') this.#show(record);
      else if (this.#fingerprint(record.spec) !== entry.record.fingerprint['target']) throw targetChanged(record);
      move(entry, 'published');
      return totals;
    });
  }

  digestForm(record: TableRecord): Promise<DigestForm> {
    return this.#step(() => record.shape.columns.filter(({ name }) => record.columns.includes(name)));
  }

  digester(record: TableRecord, form: DigestForm): TableDigester {
    return new MemoryTableDigester(record, form, () => {
      const published = record.state === 'published';
      return (published ? this.server.tables.get(record.spec.to)?.rows : this.server.staging.get(record.staging)) ?? [];
    });
  }

  discard(record: TableRecord): Promise<void> {
    return this.#step(() => {
      const { state } = this.ledger.entry(record.run, record.spec.table).record;
      if (state === 'published') return;
      if (state !== 'discarded') throw new LonghaulError('Unknown', `${record.staging} is kept: it is ${state}.`);
      this.server.staging.delete(record.staging);
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#connection[Symbol.dispose]();
    return Promise.resolve();
  }

  async #step<T>(work: () => T): Promise<T> {
    this.#signal.throwIfAborted();
    return Promise.resolve(work());
  }

  #openEntry(record: TableRecord): LedgerEntry {
    const entry = this.ledger.entry(record.run, record.spec.table);
    requireOpen(record, entry);
    return entry;
  }

  /** With `publish: partition`, of this very table: one that replaced it lacks the rows that were committed before. */
  #fingerprint({ to, publish }: TableSpec): string {
    const target = this.server.tables.get(to);
    const itself = publish === 'partition' && target ? [this.server.idOf(target)] : [];
    return JSON.stringify([target?.columns ?? 'absent', ...itself]);
  }

  #show(record: TableRecord): void {
    const { spec, staging } = record;
    if (this.#fingerprint(spec) !== record.fingerprint['target']) throw targetChanged(record);
    const loaded = this.server.staging.get(staging) ?? [];
    const target = this.server.tables.get(spec.to);
    if (target && spec.mode === 'append') target.rows.push(...loaded);
    else this.server.tables.set(spec.to, { ...this.#made(record), rows: loaded });
    this.server.staging.delete(staging);
  }
}

class MemoryWriter implements PartitionWriter {
  readonly #loaded: unknown[][] = [];
  readonly #rejects: MalformedRow[] = [];
  readonly #startedAt = new Date().toISOString();

  constructor(
    private readonly ledger: MemoryLedger,
    private readonly entry: LedgerEntry,
    private readonly staging: unknown[][],
    private readonly open: OpenAttempt,
    private readonly signal: AbortSignal,
    private readonly claim: { ordinal: number; hash: string; attempt: number },
  ) {}

  async load(stream: SourceStream, meter: Meter): Promise<number> {
    if (stream.kind !== 'rows') throw new LonghaulError('SourceChanged', `Memory can't take ${stream.format}.`);
    const iterator = stream[Symbol.asyncIterator]();
    for (;;) {
      const next = await this.#unlessAborted(iterator.next());
      if (next.done) return this.#loaded.length;
      for (const malformed of next.value.malformed ?? []) this.#setAside(malformed);
      this.#loaded.push(...next.value.rows.map((row) => [...row]));
      meter.rows = this.#loaded.length;
      meter.bytes = meter.rows;
    }
  }

  commit(rowsRead: number, digest?: string): Promise<Receipt> {
    return this.#unlessAborted(Promise.resolve()).then(() => {
      const { run, spec, state } = this.entry.record;
      requireSame(this.entry.record, this.ledger.entry(run, spec.table));
      const rows = this.#loaded.length;
      if (!this.open.alive) throw new LonghaulError('ConnectionFailed', 'The session was ended by another attempt.');
      const quarantined = this.#rejects.length;
      if (rows + quarantined !== rowsRead)
        throw new LonghaulError('CountMismatch', `${rowsRead} rows were read, ${rows} written.`);
      if (state !== 'open') throw runClosed({ run, table: spec.table }, state);
      this.open.alive = false;
      this.staging.push(...this.#loaded);
      const { ordinal, hash: predicateHash, attempt } = this.claim;
      const times = { startedAt: this.#startedAt, committedAt: new Date().toISOString() };
      const counts = {
        rows,
        ...someQuarantined(quarantined),
        bytes: rows,
        ...(digest === undefined ? {} : { digest }),
      };
      const receipt: Receipt = { ordinal, predicateHash, state: 'committed', ...counts, attempt, ...times };
      this.entry.receipts.set(ordinal, receipt);
      if (quarantined > 0) this.entry.rejects.set(ordinal, this.#rejects);
      return receipt;
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.open.alive = false;
    return Promise.resolve();
  }

  #setAside(row: MalformedRow): void {
    const { table, rejects } = this.entry.record.spec;
    const what = `${table}, line ${row.place.line}: ${row.error}`;
    if (!rejects) throw new LonghaulError('DataRejected', what);
    this.#rejects.push(row);
    if (this.#rejects.length > rejects.max) throw new LonghaulError('TooManyRejects', what);
  }

  #unlessAborted<T>(wait: Promise<T>): Promise<T> {
    this.signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const abort = () => reject(this.signal.reason as Error);
      this.signal.addEventListener('abort', abort, { once: true });
      wait.then(resolve, reject).finally(() => this.signal.removeEventListener('abort', abort));
    });
  }
}

function targetChanged({ spec }: TableRecord): LonghaulError {
  return new LonghaulError('TargetChanged', `Target ${spec.to} is no longer what the run was checked against.`);
}
