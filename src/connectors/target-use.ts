import { LonghaulError } from '../core/errors.js';
import type { TableRecord } from '../core/model.js';
import { lowerFirst } from '../core/text.js';
import { problem } from './findings.js';
import type { Finding, OpenOptions, TargetUse } from './types.js';

/** What is said of a target that another run has a claim on: the same by a check and by the ledger that refuses to open a run. */

function held(connection: string, { to, run, job }: TargetUse): { message: string; next: string } {
  return {
    message: `Target ${to} of connection "${connection}" is held by run ${run} of job ${job}`,
    next: `Wait until that job ends, or cancel it. If its workflow is gone: take the run over with \`resume: ${run}\`, or give it up with \`longhaul clean --run ${run} --destination ${connection}\`.`,
  };
}

function targetLeased(connection: string, use: TargetUse): LonghaulError {
  const { message, next } = held(connection, use);
  return new LonghaulError('TargetLeased', `${message}; nothing was touched.`, { next });
}

/**
 * Why a run with such uses in its way is not opened. What it has open already, as `stored` says, was decided when that was opened: whoever
 * has appended since did so on a person's word.
 */
export function refusedFor(
  connection: string,
  uses: readonly TargetUse[],
  stored: readonly TableRecord[],
  { again = false }: OpenOptions,
): LonghaulError | undefined {
  const open = new Set(stored.filter(({ state }) => state !== 'suspended').map(({ spec }) => spec.to));
  const use = uses.find(({ use, to }) => use === 'held' || !(again || open.has(to)));
  if (use === undefined) return undefined;
  if (use.use === 'held') return targetLeased(connection, use);
  const { message, next } = appended(use);
  return new LonghaulError('TargetAppended', `Connection "${connection}": ${message}; nothing was touched.`, { next });
}

export function useFinding(connection: string, use: TargetUse): Finding {
  const { message, next } = use.use === 'held' ? held(connection, use) : appended(use);
  return problem('to', lowerFirst(message), lowerFirst(next));
}

/** The day is enough to know the run by, and the same wherever the reader's clock is. */
function appended({ to, run, job, startedAt }: TargetUse): { message: string; next: string } {
  const when = startedAt === undefined ? '' : ` on ${startedAt.slice(0, 10)}`;
  return {
    message: `a job of this name has appended to ${to} already (run ${run} of job ${job}${when}): its rows would be there twice`,
    next: `Add \`again: true\` if that is meant, or \`resume: ${run}\` if that run did not finish.`,
  };
}
