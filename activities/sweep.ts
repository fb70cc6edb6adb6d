import type { DestinationSession } from '../src/connectors/types.js';
import { LonghaulError, type Problem } from '../src/core/errors.js';
import type { TableRecord } from '../src/core/model.js';
import type { Attempt } from './attempt.js';

/** Removals in one opening of a run: a job must not wait long for what others left. The next one goes on. */
const MOST = 100;

/**
 * Removes staging that ended runs left and whose keepStaging is over. Every run does it when it opens; that it can't is a warning
 * and no reason not to copy.
 */
export async function sweep(session: DestinationSession, run: string, running: Attempt): Promise<Problem[]> {
  const warnings: Problem[] = [];
  for (const record of (await session.ledger.expire(run)).slice(0, MOST)) {
    running.meter.phase = 'removing expired staging';
    warnings.push(await remove(session, record, running));
  }
  return warnings;
}

async function remove(session: DestinationSession, record: TableRecord, running: Attempt): Promise<Problem> {
  const { run, spec, staging, expired } = record;
  const what = `staging ${staging} of table ${spec.table} of run ${run}`;
  const why = expired === true ? 'its keepStaging was over' : 'it was given up before';
  try {
    await session.discard(record);
  } catch (error) {
    if (running.signal.aborted || !(error instanceof LonghaulError)) throw error;
    running.log.warn({ run, table: spec.table, staging, error: error.message }, 'Expired staging is not removed yet');
    return { path: '', message: `${what} could not be removed (${error.message}); the next run tries again` };
  }
  running.log.warn({ run, table: spec.table, staging }, 'Expired staging removed');
  return { path: '', message: `${what} was removed: ${why}` };
}
