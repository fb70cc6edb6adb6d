import type { TablesOfRun, UnpublishedTables } from '../src/core/activities.js';
import { attempt } from './attempt.js';
import type { Dependencies } from './dependencies.js';
import { openDestination } from './sessions.js';

/** Names all of them: nothing of this may be cut, as a view for people is. */
export function unpublishedTables(deps: Dependencies, input: TablesOfRun): Promise<UnpublishedTables> {
  return attempt(deps, {}, async (running) => {
    running.meter.phase = 'asking the ledger what is published';
    await using session = await openDestination(deps, input, running);
    const records = await session.ledger.tables(input.run);
    if (records.length === 0) return { tables: [], unknown: true };
    return { tables: records.filter(({ state }) => state !== 'published').map(({ spec }) => spec.table) };
  });
}
