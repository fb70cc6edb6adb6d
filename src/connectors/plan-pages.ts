import type { Partition } from '../core/model.js';
import type { PlanInput } from './ledger.js';

/** Partitions a page. Part of the form of ledgers: a partition's page is found by division. */
export const PAGE_SIZE = 500;

/** The pages of the plan of `table`, one at a time in memory. */
export async function* pagesOf(
  table: string,
  partitions: PlanInput['partitions'],
): AsyncGenerator<readonly Partition[]> {
  let page: Partition[] = [];
  let count = 0;
  for await (const partition of partitions) {
    if (partition.ordinal !== count)
      throw new Error(`the plan of ${table} has ordinal ${partition.ordinal} at ${count}`);
    page.push(partition);
    count++;
    if (page.length < PAGE_SIZE) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}
