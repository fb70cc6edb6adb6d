import type { LedgerView, RunsQuery } from '../src/core/activities.js';
import { JOB_CONNECTION_WAIT, jobActivity } from './proxies.js';
import { steadily } from './steady.js';

/** What ledgers know of runs, read by a worker, where their connections are. Touches nothing. */
export async function listRuns(query: RunsQuery): Promise<{ ledgers: readonly LedgerView[] }> {
  return steadily(() => jobActivity('listRuns', 'read ledgers')(query), JOB_CONNECTION_WAIT);
}
