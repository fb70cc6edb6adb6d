import type { QuerySpec } from '../core/model.js';
import { counted } from '../core/text.js';
import type { PlanInput } from './types.js';

/** Each query is a partition, whose predicate is its text. */
export function planQueries(queries: readonly QuerySpec[]): PlanInput {
  return {
    partitions: queries.map(({ id, sql }, ordinal) => ({ ordinal, label: id, predicate: sql })),
    reason: `${counted(queries.length, 'partition')}, one for each query of the job`,
  };
}
