import { LonghaulError } from '../../../core/errors.js';
import type { TableRecord } from '../../../core/model.js';
import { formatRelation, quoteRelation, type Relation } from '../sql.js';
import type { PgSession } from '../session.js';

/** The first user relation's oid: those below are the server's own, whose files are told elsewhere. */
export const FIRST_USER_OID = 16_384;

/**
 * Under the transaction's snapshot the catalog tells the file that a table had then; pg_relation_filenode tells the one it has now, as
 * to_regclass tells what its name means now. A truncated or rewritten table's new file holds nothing that an older snapshot may
 * see, and reading it would find no row and no error. Of all that this transaction has locked: tables, their leaves, and what
 * views and queries read.
 */
const CHANGED = `
  SELECT n.nspname AS schema, c.relname AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE (c.oid >= ${FIRST_USER_OID} AND c.relkind IN ('r', 'm')
      AND c.oid IN (SELECT relation FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation')
      AND c.relfilenode IS DISTINCT FROM pg_relation_filenode(c.oid))
    OR (n.nspname = $1 AND c.relname = $2 AND c.oid IS DISTINCT FROM to_regclass($3)::oid)
  ORDER BY 1, 2 LIMIT 1`;

/**
 * Throws SourceRewritten when anything that this transaction has locked was truncated or rewritten since its snapshot, or when
 * `relation` is another one now. The locks must be held already: what is compared then stays as it is.
 */
export async function refuseRewritten(session: PgSession, record: TableRecord, relation?: Relation): Promise<void> {
  const names = relation === undefined ? [null, null, null] : [relation.schema, relation.name, quoteRelation(relation)];
  const [changed] = await session.query<Relation & { schema: string; name: string }>(CHANGED, names);
  if (changed !== undefined) throw rewritten(`The source of ${record.spec.table}`, record.snapshot, changed);
}

/** As `refuseRewritten`, for a holder: one look at all that it has locked, whichever table of the run that is for. */
export async function refuseAnyRewritten(session: PgSession, snapshot: number): Promise<void> {
  const [changed] = await session.query<Relation & { schema: string; name: string }>(CHANGED, [null, null, null]);
  if (changed !== undefined) throw rewritten('A table of the job', snapshot, changed);
}

function rewritten(what: string, snapshot: number | undefined, changed: Relation): LonghaulError {
  return new LonghaulError(
    'SourceRewritten',
    `${what} can't be read as snapshot ${snapshot} had it: ${formatRelation(changed)} was truncated, rewritten or replaced since (TRUNCATE, VACUUM FULL, CLUSTER, ALTER TABLE).`,
    {
      next: 'With `onSnapshotLost: restart` it starts over under a new snapshot. Keep such statements off the source.',
    },
  );
}
