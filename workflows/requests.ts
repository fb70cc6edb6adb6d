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
  readonly ordinals: readonly number[];
}

/** What a retry means now. Throws when it names nothing that is parked. */
export function retryTargets(request: RetryRequest | undefined, tables: readonly TableProgress[]): RetryTarget[] {
  const { table, partitions } = request ?? {};
  if (table !== undefined && !tables.some((each) => each.table === table))
    throw refused(`The job has no table ${JSON.stringify(table)}.`);
  if (table === undefined && partitions !== undefined)
    throw refused('Partitions were named without their table: name it too.');
  const wanted = partitions && new Set(partitions);
  const targets = tables
    .filter((each) => isRunning(each) && (table === undefined || each.table === table))
    .map(({ table: name, parked }) => ({
      table: name,
      ordinals: parked.map(({ ordinal }) => ordinal).filter((ordinal) => wanted?.has(ordinal) ?? true),
    }))
    .filter(({ ordinals }) => ordinals.length > 0);
  if (targets.length === 0) throw refused(`Nothing of what was named is parked${table ? ` in ${table}` : ''}.`);
  return targets;
}

function isRunning({ phase }: TableProgress): boolean {
  return phase !== 'failed' && phase !== 'cancelled' && phase !== 'published';
}

function refused(message: string) {
  return failure('RequestRefused', message);
}
