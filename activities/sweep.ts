import type { DestinationSession } from '../src/connectors/types.js';
import { LonghaulError, type Problem } from '../src/core/errors.js';
import type { TableRecord } from '../src/core/model.js';
import type { Attempt } from './attempt.js';

/** Removals in one opening of a run: a job must not wait long for what others left. The next one goes on. */
const MOST = 100;
/** Removals that fail in one opening: each may have waited for a lock. */
const MOST_FAILED = 3;

type Sweeping = Pick<Attempt, 'meter' | 'log' | 'signal'>;

/**
 * Removes staging that ended runs left and whose keepStaging is over. Every run does it when it opens; that it can't is a warning
 * and no reason not to copy.
 */
export async function sweep(session: DestinationSession, run: string, running: Sweeping): Promise<Problem[]> {
  const warnings: Problem[] = [];
  let failed = 0;
  running.meter.phase = 'removing expired staging';
  try {
    for (const record of shuffled(await session.ledger.expire(run)).slice(0, MOST)) {
      const { warning, removed } = await remove(session, record, running);
      warnings.push(warning);
      if (!removed && ++failed === MOST_FAILED) break;
    }
  } catch (error) {
    if (running.signal.aborted || !(error instanceof LonghaulError)) throw error;
    running.log.warn({ run, error: error.message }, 'Expired staging could not be looked for');
    const message = `expired staging of other runs could not be looked for (${error.message}); the next run tries again`;
    warnings.push({ path: '', message });
  }
  return warnings;
}

/** In another order each time, so that what can't be removed never keeps the rest from its turn. */
function shuffled<T>(items: readonly T[]): T[] {
  const keyed = items.map((item) => ({ item, key: Math.random() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}

async function remove(
  session: DestinationSession,
  record: TableRecord,
  running: Sweeping,
): Promise<{ warning: Problem; removed: boolean }> {
  const { run, spec, staging, expired } = record;
  const what = `staging ${staging} of table ${spec.table} of run ${run}`;
  const why = expired === true ? 'its keepStaging was over' : 'it was given up before';
  try {
    await session.discard(record);
  } catch (error) {
    if (running.signal.aborted || !(error instanceof LonghaulError)) throw error;
    running.log.warn({ run, table: spec.table, staging, error: error.message }, 'Expired staging is not removed yet');
    const message = `${what} could not be removed (${error.message}); a later run tries again`;
    return { warning: { path: '', message }, removed: false };
  }
  running.log.warn({ run, table: spec.table, staging }, 'Expired staging removed');
  return { warning: { path: '', message: `${what} was removed: ${why}` }, removed: true };
}
