import type { CheckReport } from '../src/core/activities.js';
import { JOB_CONNECTION_WAIT, jobActivity } from './proxies.js';
import { steadily } from './steady.js';

/** Checks a job on a worker, where its connections are, and touches nothing. Problems are the answer, not a failure. */
export async function checkJob(input: { job: unknown }): Promise<CheckReport> {
  return steadily(() => jobActivity('checkJob', 'check the job')(input), JOB_CONNECTION_WAIT);
}
