import { JOB_CONNECTION_WAIT, jobActivity } from './proxies.js';
import { steadily } from './steady.js';

/**
 * Gives up a run for good: its unpublished tables are closed, their staging is removed, their targets are free for other jobs.
 * Published tables stay. Of a run that is still under way, the job then fails and its targets stay as they were.
 */
export async function cleanRun({ run, destination }: { run: string; destination: string }): Promise<void> {
  const request = { run, destination, state: 'discarded' as const };
  await steadily(() => jobActivity('closeRun', 'discard the run')(request), JOB_CONNECTION_WAIT);
}
