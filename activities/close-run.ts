import type { ClosedRun, LonghaulActivities } from '../src/core/activities.js';
import { attempt } from './attempt.js';
import type { Dependencies } from './dependencies.js';
import { openDestination } from './sessions.js';

type Input = Parameters<LonghaulActivities['closeRun']>[0];

/**
 * Closes every open table of a run, so that nothing of it commits any more; `discarded` removes its staging too. A table whose swap
 * was just committing is published or closed now: which of the two is in the answer.
 */
export function closeRun(deps: Dependencies, input: Input): Promise<ClosedRun> {
  const { run, state } = input;
  return attempt(deps, {}, async (running) => {
    await using session = await openDestination(deps, input, running);
    running.meter.phase = 'closing';
    await session.ledger.closeRun(run, state);
    const records = await session.ledger.tables(run);
    if (state === 'discarded') {
      for (const record of records.filter((each) => each.state === 'discarded')) await session.discard(record);
    }
    const published = records.filter((each) => each.state === 'published');
    return { published: published.map(({ spec }) => spec.table) };
  });
}
