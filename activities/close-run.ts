import type { ClosedRun, CloseRun } from '../src/core/activities.js';
import type { Ledger } from '../src/connectors/types.js';
import { attempt } from './attempt.js';
import type { Dependencies } from './dependencies.js';
import { visibleText } from './list-runs.js';
import { openDestination } from './sessions.js';

/** Tables whose visible partitions are told: they become a part of the job's failure. */
const TOLD = 50;

/**
 * Closes every open table of a run, so that nothing of it commits any more; `discarded` removes its staging too. A table whose swap
 * was just committing is published or closed now: which of the two is in the answer.
 */
export function closeRun(deps: Dependencies, input: CloseRun): Promise<ClosedRun> {
  const { run, state, forget } = input;
  return attempt(deps, {}, async (running) => {
    await using session = await openDestination(deps, input, running);
    running.meter.phase = 'closing';
    await session.ledger.closeRun(run, state);
    const records = await session.ledger.tables(run);
    if (state === 'discarded') {
      for (const record of records.filter((each) => each.state === 'discarded')) await session.discard(record);
    }
    const published = records.filter((each) => each.state === 'published').map(({ spec }) => spec.table);
    const visible = await visibleOf(session.ledger, run);
    if (forget === true) await session.ledger.forget(run);
    return { published, visible };
  });
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
