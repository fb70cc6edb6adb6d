import type { TableRef } from '../src/core/activities.js';
import type { Dependencies } from './dependencies.js';
import { atDestination } from './sessions.js';

/** The ordinals in [from, to) that have no receipt. */
export function pendingPartitions(
  deps: Dependencies,
  input: TableRef & { from: number; to: number },
): Promise<{ ordinals: readonly number[] }> {
  return atDestination(deps, input, async ({ session }) => ({
    ordinals: await session.ledger.pending(input.run, input.table, input.from, input.to),
  }));
}
