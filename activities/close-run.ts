import type { LonghaulActivities } from '../src/core/activities.js';
import { attempt } from './attempt.js';
import type { Dependencies } from './dependencies.js';
import { openDestination } from './sessions.js';

type Input = Parameters<LonghaulActivities['closeRun']>[0];

/** Closes every open table of a run, so that nothing of it commits any more; `discarded` removes its staging too. */
export function closeRun(deps: Dependencies, input: Input): Promise<void> {
  const { run, state } = input;
  return attempt(deps, {}, async (running) => {
    await using session = await openDestination(deps, input, running);
    running.meter.phase = 'closing';
    await session.ledger.closeRun(run, state);
    if (state !== 'discarded') return;
    const discarded = (await session.ledger.tables(run)).filter((table) => table.state === 'discarded');
    for (const record of discarded) await session.discard(record);
  });
}
