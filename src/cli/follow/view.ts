import type { JobProgress, TablePhase, TableProgress } from '../../../workflows/messages.js';

/** Rows and bytes of attempts that are under way: hints from heartbeats, gone when an attempt fails. */
export interface InFlight {
  readonly rows: number;
  readonly bytes: number;
}

export const NOTHING_IN_FLIGHT: InFlight = { rows: 0, bytes: 0 };

/** A table as a person sees it now: the child's own progress where it was asked, else the parent's last word. */
export type TableView = TableProgress & { readonly child?: string; readonly inFlight: InFlight };

/** A whole job at one moment. */
export interface JobView {
  readonly job: JobProgress;
  readonly tables: readonly TableView[];
  /** Milliseconds since 1970. */
  readonly at: number;
}

const RUNNING: readonly TablePhase[] = [
  ...(['preparing', 'copying', 'waiting for connection', 'building', 'verifying', 'publishing'] as const),
];
const ENDED: readonly TablePhase[] = ['published', 'failed', 'cancelled'];

/** The table does something now, or would if its connection were back. */
export function isRunning(table: TableProgress): boolean {
  return RUNNING.includes(table.phase);
}

export function hasEnded(table: TableProgress): boolean {
  return ENDED.includes(table.phase);
}

/** Nothing goes on by itself any more: parked partitions wait for a person, every other table has ended. */
export function waitsForPerson(tables: readonly TableProgress[]): boolean {
  const waiting = tables.filter(({ phase }) => phase === 'waiting on parked');
  return waiting.length > 0 && tables.every((table) => hasEnded(table) || waiting.includes(table));
}

/** Rows that are committed or on their way. */
export function rowsSeen(table: TableView): number {
  return table.rows + table.inFlight.rows;
}

/**
 * How many rows the table will have: what is committed tells more than the plan's estimate, as partitions are cut to be
 * alike. Undefined when neither is known. Never less than what was seen.
 */
export function expectedRows(table: TableView): number | undefined {
  if (table.phase === 'published') return table.rows;
  const { partitions, committed, skipped, estimatedRows, rows } = table;
  if (partitions !== undefined && committed > 0) {
    return Math.max((rows / committed) * (partitions - skipped), rowsSeen(table));
  }
  return estimatedRows === undefined ? undefined : Math.max(estimatedRows, rowsSeen(table));
}

/** 0 to 1; 1 only when every partition is committed or skipped. Undefined before the table is planned. */
export function fractionDone(table: TableView): number | undefined {
  const { partitions, committed, skipped } = table;
  if (table.phase === 'published' || (partitions !== undefined && committed + skipped >= partitions)) return 1;
  if (partitions === undefined || partitions === 0) return undefined;
  const expected = expectedRows(table);
  const fraction = expected ? rowsSeen(table) / expected : committed / partitions;
  return Math.min(0.99, Math.max(fraction, committed / partitions));
}

/** The time a table took, or takes until now; in milliseconds. */
export function timeTaken(times: { readonly startedAt?: string; readonly endedAt?: string }, now: number): number {
  if (times.startedAt === undefined) return 0;
  return (times.endedAt === undefined ? now : Date.parse(times.endedAt)) - Date.parse(times.startedAt);
}
