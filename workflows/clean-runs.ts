import { CancellationScope } from '@temporalio/workflow';
import type { ClosedRun } from '../src/core/activities.js';
import { short } from './failures.js';
import { JOB_CONNECTION_WAIT, jobActivity } from './proxies.js';
import { steadily } from './steady.js';

export interface CleanRuns {
  readonly destination: string;
  /** At most 500. */
  readonly runs: readonly string[];
  /** By run, when it changed last as `listRuns` told it: it is left alone if it has changed since. Absent: closed whatever it is. */
  readonly unchangedSince?: Readonly<Record<string, string>>;
  /** Also removes their plans and receipts. Default false. */
  readonly forget?: boolean;
}

export interface CleanedRuns {
  /** Runs of which not everything was removed that was asked for, and why. */
  readonly left: readonly { readonly run: string; readonly because: string }[];
}

/**
 * Gives up runs for good: their unpublished tables are closed, their staging is removed, their targets are free for other jobs.
 * Published tables stay, and visible partitions. Of a run that is still under way, the job then fails and its targets stay as
 * they were: whoever starts this has asked whether it is. What stands in the way of one run keeps none of the others.
 */
export async function cleanRuns({
  destination,
  runs,
  unchangedSince = {},
  forget = false,
}: CleanRuns): Promise<CleanedRuns> {
  const left: { run: string; because: string }[] = [];
  for (const run of runs) {
    const since = unchangedSince[run];
    const request = { run, destination, state: 'discarded' as const, forget };
    const close = () =>
      jobActivity(
        'closeRun',
        `discard run ${run}`,
      )({ ...request, ...(since !== undefined && { unchangedSince: since }) });
    const because = await becauseOf(close, destination);
    if (because !== undefined) left.push({ run, because: short(because) });
  }
  return { left };
}

/** Why something is left; undefined when nothing is. */
async function becauseOf(close: () => Promise<ClosedRun>, destination: string): Promise<string | undefined> {
  try {
    const { untouched, left = [] } = await steadily(close, JOB_CONNECTION_WAIT);
    if (untouched === 'unknown')
      return `the ledger that this worker's connection "${destination}" leads to knows no such run; nothing was touched`;
    if (untouched === 'changed') return 'it has changed since it was listed, as by a resume; nothing of it was touched';
    return left.length > 0 ? `it was given up, but staging is left: ${left.join('; ')}` : undefined;
  } catch (error) {
    if (CancellationScope.current().consideredCancelled || !(error instanceof Error)) throw error;
    return error.message;
  }
}
