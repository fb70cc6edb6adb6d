import type { DestinationSession } from '../src/connectors/types.js';
import type { TableRef } from '../src/core/activities.js';
import type { TableRecord } from '../src/core/model.js';
import { attempt, type Attempt } from './attempt.js';
import { connectorOf, type Dependencies } from './dependencies.js';

export interface OpenTable {
  readonly session: DestinationSession;
  readonly record: TableRecord;
  readonly running: Attempt;
}

/** An attempt with a session at the destination of a table and the ledger's record of it; the session ends with the body. */
export function atDestination<T>(
  deps: Dependencies,
  { run, table, destination }: Pick<TableRef, 'run' | 'table' | 'destination'>,
  body: (open: OpenTable) => Promise<T>,
): Promise<T> {
  return attempt(deps, { table }, async (running) => {
    await using session = await connectorOf(deps, destination).openDestination(running.session());
    const record = await session.ledger.table(run, table);
    return await body({ session, record, running });
  });
}
