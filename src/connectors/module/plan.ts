import { LonghaulError } from '../../core/errors.js';
import type { Partition } from '../../core/model.js';
import type { PlanInput } from '../types.js';
import type { PlannedQuery } from './define.js';

/** Numbers what a module plans. Throws SourceRefused for what is no partition, or one that was there before. */
export function planModule(planned: AsyncIterable<unknown>, written: string, table: string): PlanInput {
  async function* partitions(): AsyncGenerator<Partition> {
    const ids = new Set<string>();
    for await (const given of planned) {
      if (!isPlanned(given)) throw refused('something that is not {id, query}, both texts');
      // Rows that are read twice would be written twice: nobody could tell later.
      if (ids.has(given.id)) throw refused(`id ${given.id} twice`);
      const { id: label, query: predicate, estimatedRows } = given;
      yield { ordinal: ids.size, label, predicate, ...(estimatedRows !== undefined && { estimatedRows }) };
      ids.add(label);
    }
  }
  const refused = (what: string) =>
    new LonghaulError('SourceRefused', `plan of ${written} gave ${what} for table ${table}; nothing was copied.`, {
      next: 'Correct the module and restart the workers.',
    });
  return { partitions: partitions(), reason: `as plan of ${written} cuts it` };
}

function isPlanned(given: unknown): given is PlannedQuery {
  const { id, query } = (given ?? {}) as Partial<PlannedQuery>;
  return typeof id === 'string' && id.length > 0 && id.length <= 200 && typeof query === 'string' && query !== '';
}
