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
  const asked = { run, destination, ...(servers && { servers }), limit: 1 };
  const { ledgers } = await steadily(
    () => jobActivity('listRuns', 'see that what was published is so still')(asked),
    retry,
  );
  const view = ledgers[0]?.runs[0];
  // Not even the run is there: its tables say so when they begin again.
  if (view === undefined) return published;
  return view.tables
    .filter(({ table, state }) => published.includes(table) && state !== 'published')
    .map(({ table }) => table);
}
