import type { Context } from './context.js';
import { mapAll } from './objects.js';
import { readRecord } from './records.js';
import type { OpenedRun, TableEntry } from './run-state.js';

/**
 * The positions of those tables that are being published and that their targets show already. Those of the others that `leaving` picks can't be
 * published any more under the epoch that they are in.
 */
export async function settle(
  context: Context,
  opened: OpenedRun,
  leaving: (entry: TableEntry) => boolean = () => true,
): Promise<{ published?: readonly number[] }> {
  const publishing = [...opened.tables.entries()].filter(([, entry]) => entry.state === 'publishing' && leaving(entry));
  const settled = await mapAll(publishing, async ([position, { epoch, sums }]) => {
    const record = await readRecord(context, opened, position);
    return { position, outcome: await context.targets.settle(record, epoch!, sums!.rows) };
  });
  const published = settled.flatMap(({ position, outcome }) => (outcome === 'published' ? [position] : []));
  return published.length > 0 ? { published } : {};
}
