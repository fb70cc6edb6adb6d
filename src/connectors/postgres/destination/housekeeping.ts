import type { TableRecord } from '../../../core/model.js';
import { lockKey } from '../../hash.js';
import type { StagingTable } from '../../types.js';
import type { PgSession } from '../session.js';
import { formatRelation } from '../sql.js';
import { isInstalled, type LedgerNames } from './ledger-schema.js';
import { transaction } from './queries.js';
import { readDiscarded, WITHOUT_QUERIES } from './records.js';
import { STAGING_NAMES } from './staging-name.js';

/** Of one run at a time it is decided whether it opens, expires or is forgotten. */
export function lockOpening(session: PgSession, names: LedgerNames): Promise<unknown> {
  return session.query('SELECT pg_advisory_xact_lock($1)', [lockKey('longhaul.open', names.schema)]);
}

interface StagedRow {
  /** As the ledger writes it. */
  name: string;
  bytes: string;
  /** The run that its comment names, where it has the comment that `prepare` gave it. */
  run: string | null;
}

/** Every staging table of this database, whichever ledger knows it, with the size of its data and indexes. */
export async function stagingTables(session: PgSession): Promise<StagedRow[]> {
  const found = await session.query<StagedRow & { schema: string }>(
    `SELECT n.nspname::text AS schema, c.relname::text AS name, pg_total_relation_size(c.oid) AS bytes,
            substring(obj_description(c.oid, 'pg_class') FROM '^Longhaul loads .* \\(run ([^()]+)\\)') AS run
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relname ~ '${STAGING_NAMES}' ORDER BY 1, 2`,
  );
  return found.map(({ schema, name, bytes, run }) => ({ name: formatRelation({ schema, name }), bytes, run }));
}

/** See `Ledger.expire`. With `publish: partition` nothing is kept that could expire. */
export async function expire(session: PgSession, names: LedgerNames, except: string): Promise<TableRecord[]> {
  await transaction(session, async () => {
    await lockOpening(session, names);
    await session.query(
      `UPDATE ${names.runTables} t SET state = 'discarded', expired = true, changed_at = now() FROM ${names.runs} r
       WHERE r.run = t.run AND t.run <> $1 AND t.state = 'suspended' AND t.spec ->> 'publish' IS DISTINCT FROM 'partition'
         AND t.changed_at + r.keep_staging_ms * interval '1 millisecond' < now()`,
      [except],
    );
  });
  const staged = await stagingTables(session);
  return readDiscarded(
    session,
    names,
    except,
    staged.map(({ name }) => name),
  );
}

/** See `Ledger.forget`. */
export async function forget(session: PgSession, names: LedgerNames, run: string): Promise<boolean> {
  return transaction(session, async () => {
    await lockOpening(session, names);
    const tables = await session.query<{ closed: boolean }>(
      `SELECT state IN ('published', 'discarded') AS closed FROM ${names.runTables} WHERE run = $1`,
      [run],
    );
    if (tables.length === 0 || tables.some(({ closed }) => !closed)) return false;
    await session.query(`DELETE FROM ${names.planPages} WHERE run = $1`, [run]);
    await session.query(`DELETE FROM ${names.receipts} WHERE run = $1`, [run]);
    await session.query(`UPDATE ${names.runTables} SET spec = (${WITHOUT_QUERIES})::json WHERE run = $1`, [run]);
    await session.query(`UPDATE ${names.runs} SET forgotten_at = now() WHERE run = $1`, [run]);
    return true;
  });
}

/** See `DestinationSession.orphans`. Its comment says that Longhaul made it, and for which run. */
export async function orphans(session: PgSession, names: LedgerNames): Promise<StagingTable[]> {
  const staged = (await stagingTables(session)).filter(({ run }) => run !== null);
  const known = (await isInstalled(session, names))
    ? await session.query<{ staging: string }>(
        `SELECT staging FROM ${names.runTables} WHERE staging = ANY ($1::text[])`,
        [staged.map(({ name }) => name)],
      )
    : [];
  const inLedger = new Set(known.map(({ staging }) => staging));
  return staged.filter(({ name }) => !inLedger.has(name)).map(({ name, bytes }) => ({ name, bytes: Number(bytes) }));
}
