import { LonghaulError } from '../../../core/errors.js';
import { reach } from '../../../core/fail-points.js';
import type { TableRecord } from '../../../core/model.js';
import { lockKey } from '../../hash.js';
import type { StagingTable } from '../../types.js';
import type { PgSession } from '../session.js';
import { formatRelation } from '../sql.js';
import { isInstalled, type LedgerNames } from './ledger-schema.js';
import { BRIEFLY, transaction } from './queries.js';
import { readLoaded } from './records.js';
import { earlierStagings, STAGING_NAMES } from './staging-name.js';

/** Of one run at a time it is decided whether it opens, expires or is forgotten. */
export function lockOpening(session: PgSession, names: LedgerNames): Promise<unknown> {
  return session.query(`SELECT pg_advisory_xact_lock($1), ${BRIEFLY}`, [lockKey('longhaul.open', names.schema)]);
}

interface StagedTable {
  /** As the ledger writes it. */
  name: string;
  /** The run that its comment names, where it has the comment that `prepare` gave it. */
  run: string | null;
  /** Of its data and indexes, where it was asked for and could be told. */
  bytes?: number;
}

/** Every staging table of this database, whichever ledger knows it. Reads the catalog alone: it waits for nobody. */
export function stagingTables(session: PgSession): Promise<StagedTable[]> {
  return readStaging(session, 'NULL');
}

/**
 * As `stagingTables`, with sizes. To measure a table is to lock it, and a load or a key's build holds it for hours: such a table has no
 * size here, and should one be locked in this very moment, none has. Not within a transaction.
 */
export async function measuredStaging(session: PgSession): Promise<StagedTable[]> {
  try {
    return await transaction(session, async () => {
      await session.query(`SET LOCAL lock_timeout = '${MEASURE_LOCK_TIMEOUT}'`);
      return readStaging(
        session,
        'CASE WHEN NOT c.oid = ANY (ARRAY(SELECT oid FROM locked)) THEN pg_total_relation_size(c.oid) END',
      );
    });
  } catch (error) {
    if (!(error instanceof LonghaulError) || error.code !== 'LockTimeout') throw error;
    session.options.log.debug({ connection: session.name }, 'Staging was locked while it was measured');
    return stagingTables(session);
  }
}

const MEASURE_LOCK_TIMEOUT = '500ms';

async function readStaging(session: PgSession, bytes: string): Promise<StagedTable[]> {
  const found = await session.query<{ schema: string; name: string; bytes: string | null; run: string | null }>(
    `WITH locked AS MATERIALIZED (
       SELECT l.relation AS oid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
       WHERE d.datname = current_database() AND l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock')
     SELECT n.nspname::text AS schema, c.relname::text AS name, ${bytes} AS bytes,
            substring(obj_description(c.oid, 'pg_class') FROM '^Longhaul loads .* \\(run ([^()]+)\\)') AS run
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relname ~ '${STAGING_NAMES}' ORDER BY 1, 2`,
  );
  return found.map(({ schema, name, run, bytes }) => ({
    ...{ name: formatRelation({ schema, name }), run },
    ...(bytes !== null && { bytes: Number(bytes) }),
  }));
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
  const loaded = await loadedOf(session, names, await stagingTables(session));
  const discarded = [...loaded.values()].filter(({ run, state }) => run !== except && state === 'discarded');
  return [...new Set(discarded)];
}

/** By the name of a staging table, the record that it was loaded for, under its snapshot or an earlier one. */
async function loadedOf(
  session: PgSession,
  names: LedgerNames,
  staged: readonly StagedTable[],
): Promise<Map<string, TableRecord>> {
  const there = new Set(staged.map(({ name }) => name));
  const loaded = new Map<string, TableRecord>();
  for (const record of await readLoaded(session, names, staged)) {
    const stagings = [record.staging, ...earlierStagings(record).map(formatRelation)];
    for (const name of stagings.filter((each) => there.has(each))) loaded.set(name, record);
  }
  return loaded;
}

/** See `Ledger.forget`. */
export async function forget(session: PgSession, names: LedgerNames, run: string): Promise<boolean> {
  const done = await transaction(session, async () => {
    await lockOpening(session, names);
    const tables = await session.query<{ closed: boolean }>(
      `SELECT state IN ('published', 'discarded') AS closed FROM ${names.runTables} WHERE run = $1`,
      [run],
    );
    if (tables.length === 0 || tables.some(({ closed }) => !closed)) return false;
    await session.query(`DELETE FROM ${names.planPages} WHERE run = $1`, [run]);
    await forgetReceipts(session, names, run);
    for (const kept of [names.differences, names.rejects]) {
      await session.query(`DELETE FROM ${kept} WHERE run = $1`, [run]);
    }
    await session.query(`UPDATE ${names.runTables} SET queries = NULL WHERE run = $1`, [run]);
    await session.query(`UPDATE ${names.runs} SET forgotten_at = now() WHERE run = $1`, [run]);
    await reach('forget: before COMMIT');
    return true;
  });
  await reach('forget: after COMMIT');
  return done;
}

/** Those of rows that are visible before their table is published stay: nothing else says that they were appended. */
async function forgetReceipts(session: PgSession, names: LedgerNames, run: string): Promise<void> {
  await session.query(
    `DELETE FROM ${names.receipts} p USING ${names.runTables} t
     WHERE p.run = $1 AND t.run = p.run AND t.table_name = p.table_name
       AND (t.state = 'published' OR t.spec ->> 'publish' IS DISTINCT FROM 'partition')`,
    [run],
  );
}

/** See `DestinationSession.orphans`. Its comment says that Longhaul made it, and for which run. */
export async function orphans(session: PgSession, names: LedgerNames): Promise<StagingTable[]> {
  const staged = (await measuredStaging(session)).filter(({ run }) => run !== null);
  const inLedger = (await isInstalled(session, names)) ? await loadedOf(session, names, staged) : new Map();
  const unknown = staged.filter(({ name }) => !inLedger.has(name));
  return unknown.map(({ name, bytes }) => ({ name, ...(bytes !== undefined && { bytes }) }));
}
