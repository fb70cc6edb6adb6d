import type { TableRecord, TableSpec } from '../../../core/model.js';
import { shortHash } from '../../hash.js';
import { requireRelation, type Relation } from '../sql.js';

/**
 * Where a table of a run is loaded before anybody sees it: beside its target, so that the swap is a rename. The same for every
 * attempt and worker, different for every run, and far below Postgres' 63 bytes: `_longhaul_` and 24 hex characters.
 * A table that starts over under another snapshot gets another.
 */
export function stagingOf(run: string, table: string, to: string, snapshot?: number): Relation {
  const parts = snapshot === undefined ? [run, table] : [run, table, snapshot];
  return { schema: requireRelation(to).schema, name: `_longhaul_${shortHash(...parts)}` };
}

/** Where the table was loaded under the snapshots before this one. */
export function earlierStagings({ run, spec, snapshot = 1 }: TableRecord): Relation[] {
  return Array.from({ length: snapshot - 1 }, (_, index) => stagingOf(run, spec.table, spec.to, index + 1));
}

/** The relation that attempts load: staging, or with `publish: partition` the target itself. */
export function loadedInto(run: string, { table, to, publish }: TableSpec, snapshot?: number): Relation {
  return publish === 'partition' ? requireRelation(to) : stagingOf(run, table, to, snapshot);
}

/**
 * The table's invisible relation, which is Longhaul's own to swap, lock and drop. Undefined with `publish: partition`: what is
 * loaded then is the target, where others read and write.
 */
export function stagingIn({ spec, staging }: Pick<TableRecord, 'spec' | 'staging'>): Relation | undefined {
  return spec.publish === 'partition' ? undefined : requireRelation(staging);
}

/** What every staging table's name matches, as a regular expression of Postgres. */
export const STAGING_NAMES = '^_longhaul_[0-9a-f]{24}$';

/** The name that an object of the target has on staging until the swap gives it its own. */
export function temporaryName(staging: Relation, finalName: string): string {
  return `${staging.name}_${shortHash(finalName).slice(0, 12)}`;
}
