import type { Vacuumed, VacuumTables } from '../src/core/activities.js';
import { JOB_CONNECTION_WAIT, jobActivity } from './proxies.js';
import { steadily } from './steady.js';

/** Ends old versions of tables: see `DestinationSession.vacuum`. */
export async function vacuumTables(input: VacuumTables): Promise<Vacuumed> {
  return steadily(() => jobActivity('vacuumTables', 'vacuum tables')(input), JOB_CONNECTION_WAIT);
}
