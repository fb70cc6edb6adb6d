import type { ClosedRun, CloseRun } from '../src/core/activities.js';
import { LonghaulError } from '../src/core/errors.js';
import type { TableRecord } from '../src/core/model.js';
import { bounded } from '../src/core/text.js';
import type { DestinationSession, Ledger } from '../src/connectors/types.js';
import { attempt, type Attempt } from './attempt.js';
import type { Dependencies } from './dependencies.js';
import { visibleText } from './list-runs.js';
import { openDestination } from './sessions.js';

/** Tables whose visible partitions are told: they become a part of the job's failure. */
const TOLD = 50;
const TOLD_BYTES = 300;

/**
 * Closes every open table of a run, so that nothing of it commits any more; `discarded` removes its staging too, and what attempts have
 * left of its published tables: one of them may have ended after all that was done for it. A table whose swap was just committing is published or closed now: which of the two is in the answer.
 */
export function closeRun(deps: Dependencies, input: CloseRun): Promise<ClosedRun> {
  const { run, state, forget, unchangedSince } = input;
  return attempt(deps, {}, async (running) => {
    await using session = await openDestination(deps, input, running);
    const { ledger } = session;
    running.meter.phase = 'closing';
    const done = await ledger.closeRun(run, state, unchangedSince === undefined ? {} : { unchangedSince });
    const records = await ledger.tables(run);
    const published = records.filter((each) => each.state === 'published').map(({ spec }) => spec.table);
    const closed = { published, visible: await visibleOf(ledger, run) };
    if (!done || records.length === 0) return { ...closed, untouched: done ? 'unknown' : 'changed' };
    const over = records.filter((each) => each.state === 'discarded' || each.state === 'published');
    const left = state === 'discarded' ? await discardAll(session, over, running) : [];
    if (left.length > 0) return { ...closed, left: left.slice(0, TOLD) };
    if (forget === true) await ledger.forget(run);
    return closed;
  });
}

/** Removes what of these tables nobody can see. Tries every table: one that somebody reads keeps none of the others. Answers with why some are left. */
async function discardAll(
  session: DestinationSession,
  records: readonly TableRecord[],
  running: Attempt,
): Promise<string[]> {
  const left: string[] = [];
  for (const record of records) {
    try {
      await session.discard(record);
    } catch (error) {
      if (running.signal.aborted || !(error instanceof LonghaulError) || error.handling === 'connection') throw error;
      const { run, staging, spec } = record;
      running.log.warn({ run, table: spec.table, staging, error: error.message }, 'Staging is not removed yet');
      left.push(bounded(`${spec.table}: ${error.message}`, TOLD_BYTES));
    }
  }
  return left;
}

async function visibleOf(ledger: Ledger, run: string): Promise<ClosedRun['visible']> {
  const [overview] = await ledger.runs({ run, sizes: false });
  return (overview?.tables ?? [])
    .flatMap((table) => {
      const text = visibleText(table);
      return text === undefined ? [] : [{ table: table.spec.table, text }];
    })
    .slice(0, TOLD);
}
