import type { CheckReport } from '../src/core/activities.js';
import { attempt } from './attempt.js';
import { checkJob as check } from './check.js';
import type { Dependencies } from './dependencies.js';
import { boundedProblems } from './findings.js';

/** Bytes of the problems, and of the warnings: with 2,000 tables beside them, an answer stays below Temporal's 2 MB. */
const LIST_BYTES = 400_000;

/** Everything that can be wrong with a job, as data. */
export function checkJob(deps: Dependencies, { job: raw }: { job: unknown }): Promise<CheckReport> {
  return attempt(deps, {}, async (running) => {
    const { records, ...found } = await check(deps, raw, running, { tell: 'everything' });
    const problems = boundedProblems(found.problems, LIST_BYTES);
    const warnings = boundedProblems(found.warnings, LIST_BYTES);
    const more = { problems: problems.more, warnings: warnings.more };
    const tables = records.map(({ spec: { table, to, mode }, format }) => ({ table, to, mode, format }));
    const left = more.problems + more.warnings > 0 ? { more } : {};
    return { problems: problems.shown, warnings: warnings.shown, ...left, tables };
  });
}
