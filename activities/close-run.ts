import type { ClosedRun, CloseRun } from '../src/core/activities.js';
import type { Ledger } from '../src/connectors/types.js';
import { attempt } from './attempt.js';
import { connectorOf, type Dependencies } from './dependencies.js';
import { visibleText } from './list-runs.js';

/** Tables whose visible partitions are told: they become a part of the job's failure. */
const TOLD = 50;

/** Closes every open table of a run, so that nothing of it commits any more; `discarded` removes its staging too. */
export function closeRun(deps: Dependencies, { run, destination, state, forget }: CloseRun): Promise<ClosedRun> {
  return attempt(deps, {}, async (running) => {
    await using session = await connectorOf(deps, destination).openDestination(running.session());
    running.meter.phase = 'closing';
    await session.ledger.closeRun(run, state);
    if (state === 'discarded') {
      const discarded = (await session.ledger.tables(run)).filter((table) => table.state === 'discarded');
      for (const record of discarded) await session.discard(record);
    }
    const closed = { visible: await visibleOf(session.ledger, run) };
    if (forget === true) await session.ledger.forget(run);
    return closed;
  });
}

async function visibleOf(ledger: Ledger, run: string): Promise<ClosedRun['visible']> {
  const [overview] = await ledger.runs({ run });
  return (overview?.tables ?? [])
    .flatMap((table) => {
      const text = visibleText(table);
      return text === undefined ? [] : [{ table: table.spec.table, text }];
    })
    .slice(0, TOLD);
}
