import { createHash } from 'node:crypto';
import type { TableRecord, TableSpec } from '../../../core/model.js';
import { identityOf } from '../identity.js';
import type { PgSession } from '../session.js';
import { quoteRelation, requireRelation, type Relation } from '../sql.js';
import { firstRow } from './queries.js';
import { targetChanged } from './target-changed.js';

/** The table that is there under the target's name, before anything is published. */
export interface Target extends Relation {
  readonly oid: number;
  /** pg_class.relkind: `r` an ordinary table, `p` a partitioned one. */
  readonly kind: string;
  readonly owner: string;
}

/** Undefined: there is no such table yet. */
export async function findTarget(session: PgSession, to: string): Promise<Target | undefined> {
  const relation = requireRelation(to);
  const row = await firstRow<{ oid: number; kind: string; owner: string }>(
    session,
    `SELECT c.oid, c.relkind::text AS kind, pg_get_userbyid(c.relowner)::text AS owner
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = $2`,
    [relation.schema, relation.name],
  );
  return row && { ...relation, ...row };
}

/** Readers of the target go on while rows are appended. Looked up again under the lock: the name may have moved meanwhile. */
export async function lockTarget(session: PgSession, { spec }: TableRecord): Promise<Target | undefined> {
  const found = await findTarget(session, spec.to);
  if (!found) return undefined;
  const mode = spec.mode === 'append' ? 'ROW EXCLUSIVE' : 'ACCESS EXCLUSIVE';
  await session.query(`LOCK TABLE ${quoteRelation(found)} IN ${mode} MODE`);
  return findTarget(session, spec.to);
}

/** Throws TargetChanged when the target is not what the run was checked against, or what it made. */
export async function requireUnchanged(
  session: PgSession,
  record: TableRecord,
  target: Target | undefined,
): Promise<void> {
  const fingerprint = await targetFingerprint(session, target, record.spec);
  if (fingerprint !== record.fingerprint['target']) throw targetChanged(session, record);
}

/** The oid of a relation of ours; undefined when it is not there. */
export async function findRelation(session: PgSession, relation: Relation): Promise<number | undefined> {
  const row = await firstRow<{ oid: number }>(
    session,
    `SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = $2`,
    [relation.schema, relation.name],
  );
  return row?.oid;
}

/**
 * What must be the same from the check to the swap: which server and database, and of the target whatever staging was made
 * after. Its oid is not part of it where rows arrive by one step at the end: another run may have replaced it by its like. With
 * `publish: partition` it is: what was committed to a table that was replaced since is no longer there. Run it with an empty search_path.
 */
export async function targetFingerprint(
  session: PgSession,
  target: Target | undefined,
  { mode, publish }: Pick<TableSpec, 'mode' | 'publish'>,
): Promise<string> {
  const server = await identityOf(session);
  const itself = publish === 'partition' && target ? [target.oid] : [];
  const shape = target && (await session.query(mode === 'append' ? COLUMNS : DEFINITION, [target.oid]));
  return createHash('sha256')
    .update(JSON.stringify([server, target?.kind ?? 'absent', shape ?? null, ...itself]))
    .digest('hex');
}

/** What an INSERT meets. */
const COLUMNS = `
  SELECT attname::text AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS "notNull",
         attgenerated::text AS generated, attidentity::text AS identity
  FROM pg_attribute WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped ORDER BY attname`;

/** What staging took over when it was made (prepare.ts). Attribute numbers are left out: dropped columns don't matter. */
const DEFINITION = `
  SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS "notNull",
         a.attgenerated::text AS generated, a.attidentity::text AS identity, a.attcollation::regcollation::text AS collation,
         a.attstorage::text AS storage, a.attcompression::text AS compression, a.attstattarget AS statistics,
         a.attoptions AS options, pg_get_expr(d.adbin, d.adrelid) AS "default", col_description(a.attrelid, a.attnum) AS comment,
         c.reloptions AS "tableOptions", c.reltablespace::text AS tablespace, c.relam::text AS am, c.relpersistence::text AS persistence,
         (SELECT array_agg(conname || ' ' || pg_get_constraintdef(oid) ORDER BY conname)
          FROM pg_constraint WHERE conrelid = c.oid AND contype = 'c') AS checks
  FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE c.oid = $1::oid ORDER BY a.attnum`;
