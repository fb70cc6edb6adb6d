import { shortHash } from '../../hash.js';
import { requireRelation, type Relation } from '../sql.js';

/**
 * Where a table of a run is loaded before anybody sees it: beside its target, so that the swap is a rename. The same for every
 * attempt and worker, different for every run, and far below Postgres' 63 bytes: `_longhaul_` and 24 hex characters.
 */
export function stagingOf(run: string, table: string, to: string): Relation {
  return { schema: requireRelation(to).schema, name: `_longhaul_${shortHash(run, table)}` };
}

/** The name that an object of the target has on staging until the swap gives it its own. */
export function temporaryName(staging: Relation, finalName: string): string {
  return `${staging.name}_${shortHash(finalName).slice(0, 12)}`;
}
