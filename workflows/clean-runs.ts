import { JOB_CONNECTION_WAIT, jobActivity } from './proxies.js';
import { steadily } from './steady.js';

export interface CleanRuns {
  readonly destination: string;
  /** At most 500. */
  readonly runs: readonly string[];
  /** Also removes their plans and receipts. Default false. */
  readonly forget?: boolean;
}

/**
 * Gives up runs for good: their unpublished tables are closed, their staging is removed, their targets are free for other jobs.
 * Published tables stay, and visible partitions. Of a run that is still under way, the job then fails and its targets stay as
 * they were: whoever starts this has asked whether it is.
 */
export async function cleanRuns({ destination, runs, forget = false }: CleanRuns): Promise<void> {
  for (const run of runs) {
    const request = { run, destination, state: 'discarded' as const, forget };
    await steadily(() => jobActivity('closeRun', `discard run ${run}`)(request), JOB_CONNECTION_WAIT);
  }
}
