import { Context } from '@temporalio/activity';
import type { PartitionResult, TableRef } from '../src/core/activities.js';
import type { Meter } from '../src/connectors/types.js';
import type { Receipt } from '../src/core/model.js';
import { attempt, type Attempt } from './attempt.js';
import type { Dependencies } from './dependencies.js';
import { isHandedBack, ofPartition, toFailure } from './errors.js';

/** Names one partition of one table of a run. */
export type PartitionName = TableRef & { readonly ordinal: number };

/**
 * An attempt that decides on one partition: ended by its worker it is handed back, and a failure says whose it is, by the label that
 * the body has given to the meter.
 */
export async function attemptPartition(
  deps: Dependencies,
  { table, ordinal }: PartitionName,
  body: (running: Attempt) => Promise<PartitionResult>,
): Promise<PartitionResult> {
  const context = Context.current();
  let meter: Meter | undefined;
  try {
    return await attempt(deps, { table, partition: ordinal + 1 }, (running) => {
      meter = running.meter;
      return body(running);
    });
  } catch (error) {
    if (isHandedBack(context)) return { outcome: 'handedBack' };
    throw ofPartition(toFailure(error, context), meter?.partition);
  }
}

/** What the workflow is told of the receipt that stands. `found`: it was there before this attempt. `since`: in ms, when that began. */
export function resultOf(
  { state, rows, quarantined, bytes }: Receipt,
  running: Attempt,
  { found, since }: { found: boolean; since: number },
): PartitionResult {
  if (state === 'skipped') return { outcome: 'skipped' };
  const seconds = (Date.now() - since) / 1000;
  const aside = quarantined === undefined ? {} : { quarantined };
  return { outcome: 'committed', rows, ...aside, bytes, attempts: running.number, seconds, found };
}
