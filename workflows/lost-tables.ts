import { patched } from '@temporalio/workflow';
import type { OpenedRun } from '../src/core/activities.js';
import type { TableProgress } from './messages.js';
import { jobActivity } from './proxies.js';
import { steadily } from './steady.js';

/** Times that lost tables are copied on; each needs a failover of the destination in between. */
export const LOST_ROUNDS = 5;

/**
 * Tables that were published while others were copied, and that the ledger doesn't have as published any more: the destination
 * has failed over to a server that lacks its last commits. Nobody but the ledger knows, since their own workflows have ended. A
 * job of one table ends with its publishing and is not asked about.
 */
export async function lostTables(
  { run, destination, servers, tables, retry }: OpenedRun,
  progress: readonly TableProgress[],
): Promise<readonly string[]> {
  const published = progress.filter(({ phase }) => phase === 'published').map(({ table }) => table);
  if (tables.length < 2 || published.length === 0 || !patched('lost tables')) return [];
  const asked = { run, destination, ...(servers && { servers }) };
  const { tables: unpublished, unknown } = await steadily(
    () => jobActivity('unpublishedTables', 'see that what was published is so still', retry)(asked),
    retry,
  );
  // Not even the run is there: its tables say so when they begin again.
  if (unknown === true) return published;
  const lost = new Set(unpublished);
  return published.filter((table) => lost.has(table));
}
