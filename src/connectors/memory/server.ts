import type { ColumnShape, Partition, PlanSummary, Receipt, TableRecord, TableState } from '../../core/model.js';
import type { Difference, MalformedRow, RunRecord, SessionOptions } from '../types.js';

/** A table that everybody sees. Rows are tuples in the order of `columns`. */
export interface MemoryTable {
  readonly columns: readonly ColumnShape[];
  readonly primaryKey: readonly string[];
  rows: unknown[][];
}

/** One table of a run with everything that the ledger keeps of it. JavaScript runs one thing at a time: that is its lock. */
export interface LedgerEntry {
  record: TableRecord & { state: TableState };
  plan?: { summary: PlanSummary; partitions: readonly Partition[] };
  readonly receipts: Map<number, Receipt>;
  differences?: readonly Difference[];
  /** Rows set aside, by partition. */
  readonly rejects: Map<number, readonly MalformedRow[]>;
  /** When its state changed last, in ms since 1970. */
  changedAt: number;
}

export interface LedgerRun {
  run: RunRecord;
  forgottenAt?: string;
  readonly tables: Map<string, LedgerEntry>;
  /** By number. */
  readonly snapshots: Map<number, { readonly takenAt: string }>;
}

/** An attempt's transaction, alive until it commits, rolls back, or is ended by another that wants its partition. */
export interface OpenAttempt {
  alive: boolean;
}

/** A data system that lives in this process: what a session reads and writes, and what outlives it. */
export class MemoryServer {
  constructor(readonly name: string) {}

  readonly tables = new Map<string, MemoryTable>();
  readonly staging = new Map<string, unknown[][]>();
  readonly runs = new Map<string, LedgerRun>();
  /** By run, table and partition. */
  readonly attempts = new Map<string, OpenAttempt>();
  readonly #ids = new WeakMap<MemoryTable, number>();
  #nextId = 1;
  readonly #sessions = new Set<{ readonly label: string }>();

  /** The same as long as the table is not replaced by another of its name. */
  idOf(table: MemoryTable): number {
    const id = this.#ids.get(table) ?? this.#nextId++;
    this.#ids.set(table, id);
    return id;
  }

  /** Labels of the sessions that are open. */
  get sessions(): string[] {
    return [...this.#sessions].map(({ label }) => label);
  }

  /** Begins a session, which ends when it is disposed or aborted. */
  connect({ label, signal }: SessionOptions): Disposable {
    const session = { label };
    const end = () => void this.#sessions.delete(session);
    signal.throwIfAborted();
    this.#sessions.add(session);
    signal.addEventListener('abort', end, { once: true });
    return { [Symbol.dispose]: end };
  }
}

const servers = new Map<string, MemoryServer>();

/** The server of this name, the same one for every session: made when it is first asked for. */
export function memoryServer(name: string): MemoryServer {
  const server = servers.get(name) ?? new MemoryServer(name);
  servers.set(name, server);
  return server;
}
