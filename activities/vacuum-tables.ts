import type { Vacuumed, VacuumedView, VacuumTables } from '../src/core/activities.js';
import { bounded } from '../src/core/text.js';
import { attempt } from './attempt.js';
import { connectorOf, type Dependencies } from './dependencies.js';

/** Tables that are told of: an answer has its limits. */
const TOLD = 500;
const PROBLEM_BYTES = 500;

/** Ends old versions of the tables of a destination. Where tables have none, there is nothing to do. Idempotent. */
export function vacuumTables(
  deps: Dependencies,
  { destination, older, dryRun = false }: VacuumTables,
): Promise<Vacuumed> {
  return attempt(deps, {}, async (running) => {
    running.meter.phase = 'vacuuming';
    await using session = await connectorOf(deps, destination).openDestination(running.session());
    const tables: VacuumedView[] = [];
    let more = 0;
    for await (const { to, problem, ...counts } of session.vacuum?.({ older, dryRun }) ?? []) {
      running.meter.bytes += counts.bytes;
      if (problem === undefined && counts.files === 0 && counts.entries === 0) continue;
      const told = problem !== undefined && { problem: bounded(problem, PROBLEM_BYTES) };
      if (tables.length < TOLD) tables.push({ table: to, ...counts, ...told });
      else more++;
    }
    return { tables, more };
  });
}
