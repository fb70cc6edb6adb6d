import { failure } from './failures.js';
import type { RetryRequest, TableProgress } from './messages.js';

/** Checks of what people ask of a running job: a refused update changes nothing and says what would be right. */

const MAX_PARALLELISM = 1_000;

export function checkParallelism(parallelism: unknown): void {
  if (Number.isInteger(parallelism) && Number(parallelism) >= 1 && Number(parallelism) <= MAX_PARALLELISM) return;
  throw failure('RequestRefused', `The parallelism must be a whole number from 1 to ${MAX_PARALLELISM}.`);
}

export interface RetryTarget {
  readonly table: string;
  /** Absent: all that are parked when the table hears of it. */
  readonly ordinals?: readonly number[];
  /** How many it is, as far as the job knows. */
  readonly count: number;
}

/** What a retry means now. Throws when it names nothing that is parked. */
export function retryTargets(request: RetryRequest | undefined, tables: readonly TableProgress[]): RetryTarget[] {
  const { table, partitions } = request ?? {};
  if (table !== undefined && !tables.some((each) => each.table === table))
    throw refused(`The job has no table ${JSON.stringify(table)}.`);
  if (table === undefined && partitions !== undefined)
    throw refused('Partitions were named without their table: name it too.');
  const targets = tables
    .filter((each) => isRunning(each) && (table === undefined || each.table === table))
    .map((each) => targetOf(each, partitions))
    .filter(({ count }) => count > 0);
  if (targets.length === 0) throw refused(`Nothing of what was named is parked${table ? ` in ${table}` : ''}.`);
  return targets;
}

function targetOf(table: TableProgress, partitions: readonly number[] | undefined): RetryTarget {
  const { parked, parkedMore = 0 } = table;
  if (partitions === undefined) return { table: table.table, count: parked.length + parkedMore };
  const ordinals = [...new Set(partitions)].filter((ordinal) => mayBeParked(table, ordinal));
  return { table: table.table, ordinals, count: ordinals.length };
}

/**
 * Of the parked the job knows the first few, and while the table copies not even all of those. The table itself ignores
 * ordinals that aren't parked.
 */
function mayBeParked({ phase, parked, parkedMore, partitions = 0 }: TableProgress, ordinal: number): boolean {
  if (parked.some((each) => each.ordinal === ordinal)) return true;
  if (parked.length === 0 || !Number.isInteger(ordinal) || ordinal < 0 || ordinal >= partitions) return false;
  return phase !== 'waiting on parked' || (parkedMore !== undefined && ordinal > parked.at(-1)!.ordinal);
}

function isRunning({ phase }: TableProgress): boolean {
  return phase !== 'failed' && phase !== 'cancelled' && phase !== 'published';
}

function refused(message: string) {
  return failure('RequestRefused', message);
}
