import type { ColumnShape, TableRecord } from '../../../core/model.js';
import { reach } from '../../../core/fail-points.js';
import { lockKey } from '../../hash.js';
import { runClosed } from '../../run-closed.js';
import type { PgSession } from '../session.js';
import { commentTable, quoteIdent, quoteLiteral, quoteRelation, requireRelation, type Relation } from '../sql.js';
import { newKeyColumns } from './indexes.js';
import type { LedgerNames } from './ledger-schema.js';
import { dropStagings } from './discard.js';
import { takeLock } from './locks.js';
import { firstRow, transaction } from './queries.js';
import { readTotals } from './receipts.js';
import { readOwnState } from './records.js';
import { earlierStagings, stagingIn } from './staging-name.js';
import { findRelation, findTarget, requireUnchanged, targetFingerprint, type Target } from './target.js';
import { targetChanged } from './target-changed.js';

/**
 * See `DestinationSession.prepare`. The table's row is locked from before the CREATE to its commit: whoever closes the run
 * waits for it, and finds staging to remove, or comes first, and nothing is made.
 */
export async function prepare(session: PgSession, names: LedgerNames, record: TableRecord): Promise<void> {
  const key = { run: record.run, table: record.spec.table };
  const loaded = requireRelation(record.staging);
  const staged = stagingIn(record) !== undefined;
  await dropStagings(session, earlierStagings(record), key.table);
  await reach('prepare: before lock');
  await transaction(session, async () => {
    await takeLock(session, lockKey('longhaul.prepare', key.run, key.table), `the staging of ${key.table}`);
    const state = await readOwnState(session, names, record, 'FOR SHARE');
    if (state === 'publishing' || state === 'published') return;
    if (state !== 'open') throw runClosed(key, state);
    const there = (await findRelation(session, loaded)) !== undefined;
    if (there && staged) return;
    if (!there) await requireUnused(session, names, record);
    const target = await findTarget(session, record.spec.to);
    await requireUnchanged(session, record, target);
    await reach('prepare: before staging');
    if (staged) await createStaging(session, record, loaded, target);
    else if (!there) await createTarget(session, names, record, loaded);
    await reach('prepare: before COMMIT');
  });
  await reach('prepare: after COMMIT');
}

/** With its key from the start, since it is visible from then on. What the run was checked against is now this table. */
async function createTarget(
  session: PgSession,
  names: LedgerNames,
  record: TableRecord,
  relation: Relation,
): Promise<void> {
  const key = newKeyColumns(record).map(quoteIdent).join(', ');
  const definitions = [...newColumns(record), ...(key === '' ? [] : [`PRIMARY KEY (${key})`])];
  await session.query(`CREATE TABLE ${quoteRelation(relation)} (${definitions.join(', ')})`);
  await commentColumns(session, relation, record);
  await session.query(commentTable(relation, record.shape.comment));
  const target = await findTarget(session, record.spec.to);
  await session.query(
    `UPDATE ${names.runTables} SET fingerprint = jsonb_set(fingerprint::jsonb, '{target}', to_jsonb($3::text))::json
     WHERE run = $1 AND table_name = $2`,
    [record.run, record.spec.table, await targetFingerprint(session, target, record.spec)],
  );
}

function newColumns(record: TableRecord): string[] {
  return copiedColumns(record).map(columnDefinition);
}

function copiedColumns({ shape, columns }: TableRecord): ColumnShape[] {
  return shape.columns.filter(({ name }) => columns.includes(name));
}

/** Of a table that is made; one that is the like of another has that one's. */
async function commentColumns(session: PgSession, relation: Relation, record: TableRecord): Promise<void> {
  for (const { name, comment } of copiedColumns(record)) {
    if (comment === undefined) continue;
    const column = `${quoteRelation(relation)}.${quoteIdent(name)}`;
    await session.query(`COMMENT ON COLUMN ${column} IS ${quoteLiteral(comment)}`);
  }
}

/** An empty staging would turn the receipts of a dropped one into lost rows. */
async function requireUnused(session: PgSession, names: LedgerNames, record: TableRecord): Promise<void> {
  const { committed } = await readTotals(session, names, record.run, record.spec.table, 0);
  if (committed === 0) return;
  throw targetChanged(session, record, [
    `${stagingIn(record) === undefined ? 'it' : `its staging ${record.staging}`} is gone, with the ${committed} partitions that were committed to it`,
  ]);
}

async function createStaging(
  session: PgSession,
  record: TableRecord,
  staging: Relation,
  target: Target | undefined,
): Promise<void> {
  // Staging lies where the target lies, whatever this role's defaults are.
  await session.query(`SET LOCAL default_tablespace TO ''`);
  if (target) {
    await session.query(await likeTarget(session, staging, target));
    await copyColumnStatistics(session, staging, target);
  } else {
    await session.query(`CREATE TABLE ${quoteRelation(staging)} (${newColumns(record).join(', ')})`);
    await commentColumns(session, staging, record);
  }
  const comment = `Longhaul loads ${record.spec.to} here (run ${record.run}). Don't drop it while that run goes on.`;
  await session.query(commentTable(staging, comment));
}

/** Defaults, identity and generation are not carried over: they would call functions and sequences of the source. */
export function columnDefinition({ name, type, collation, notNull }: ColumnShape): string {
  const collate = collation === undefined ? '' : ` COLLATE ${collation}`;
  return `${quoteIdent(name)} ${type}${collate}${notNull ? ' NOT NULL' : ''}`;
}

/**
 * The like of the target without its indexes, which are built when the data is there. Never UNLOGGED: a crash of the server
 * would empty it and leave the receipts.
 */
async function likeTarget(session: PgSession, staging: Relation, target: Target): Promise<string> {
  const storage = await firstRow<{ am: string | null; tablespace: string | null; options: string[] }>(
    session,
    STORAGE,
    [target.oid],
  );
  const like = `LIKE ${quoteRelation(target)} INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS`;
  const am = storage?.am ? ` USING ${quoteIdent(storage.am)}` : '';
  const options = storage?.options.length ? ` WITH (${storage.options.map(optionClause).join(', ')})` : '';
  const tablespace = storage?.tablespace ? ` TABLESPACE ${quoteIdent(storage.tablespace)}` : '';
  return `CREATE TABLE ${quoteRelation(staging)} (${like})${am}${options}${tablespace}`;
}

/** A partitioned target has neither access method nor options of its own to take over. */
const STORAGE = `
  SELECT am.amname::text AS am, s.spcname::text AS tablespace,
         coalesce(CASE WHEN c.relkind = 'r' THEN c.reloptions END, '{}')
         || coalesce((SELECT array_agg('toast.' || o) FROM unnest(t.reloptions) AS o), '{}') AS options
  FROM pg_class c LEFT JOIN pg_am am ON am.oid = c.relam AND c.relkind = 'r'
  LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace
  LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
  WHERE c.oid = $1::oid`;

/** `name=value`, as reloptions and attoptions hold them, where the name may have a prefix. */
export function optionClause(option: string): string {
  const [name, ...value] = option.split('=');
  return `${name!.split('.').map(quoteIdent).join('.')} = ${quoteLiteral(value.join('='))}`;
}

/** What LIKE leaves out of a column. */
async function copyColumnStatistics(session: PgSession, staging: Relation, target: Target): Promise<void> {
  const columns = await session.query<{ name: string; statistics: number | null; options: string[] | null }>(
    `SELECT attname::text AS name, attstattarget::int AS statistics, attoptions AS options FROM pg_attribute
     WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped`,
    [target.oid],
  );
  for (const { name, statistics, options } of columns) {
    const alter = `ALTER TABLE ${quoteRelation(staging)} ALTER COLUMN ${quoteIdent(name)}`;
    if (statistics !== null && statistics >= 0) await session.query(`${alter} SET STATISTICS ${statistics}`);
    if (options) await session.query(`${alter} SET (${options.map(optionClause).join(', ')})`);
  }
}
