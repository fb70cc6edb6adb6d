import type { CheckReport } from '../src/core/activities.js';
import { attempt } from './attempt.js';
import { checkJob as check } from './check.js';
import type { Dependencies } from './dependencies.js';

/** Everything that can be wrong with a job, as data. */
export function checkJob(deps: Dependencies, { job: raw }: { job: unknown }): Promise<CheckReport> {
  return attempt(deps, {}, async (running) => {
    const { records, problems, warnings } = await check(deps, raw, running);
    const tables = records.map(({ spec: { table, to, mode }, format }) => ({ table, to, mode, format }));
    return { problems, warnings, tables };
  });
}
