import { LonghaulError } from '../../../core/errors.js';
import { problem } from '../../findings.js';
import type { Finding } from '../../types.js';
import { lockKey } from '../../hash.js';
import { quoteIdent, quoteLiteral } from '../sql.js';
import type { PgSession } from '../session.js';
import { firstRow, transaction } from './queries.js';

/** The ledger's tables as they are written in SQL: quoted, with their schema. */
export interface LedgerNames {
  /** The schema's bare name. */
  readonly schema: string;
  readonly version: string;
  readonly runs: string;
  readonly runTables: string;
  readonly planPages: string;
  readonly receipts: string;
  readonly differences: string;
  readonly rejects: string;
  readonly snapshots: string;
}

/** Raised, once it was released, with every change of the tables below; `install` is then where the older ones are altered. */
const LEDGER_VERSION = 1;

export function ledgerNames(schema: string): LedgerNames {
  const named = (table: string) => `${quoteIdent(schema)}.${table}`;
  return {
    schema,
    version: named('version'),
    runs: named('runs'),
    runTables: named('run_tables'),
    planPages: named('plan_pages'),
    receipts: named('receipts'),
    differences: named('differences'),
    rejects: named('rejects'),
    snapshots: named('snapshots'),
  };
}

/**
 * `xids`: what its rows have as xmin, the transaction's own and those of its savepoints; it tells whose a row is.
 * Receipts refer to their table by value and not by a foreign key: the key's check would lock the table's row from the first
 * statement of an attempt to its end, and whoever closes the run would wait for every COPY in flight.
 * Queries stand apart from their specification, which every attempt reads.
 * `json` and not `jsonb`: predicates and specifications are kept as the exact text that was hashed.
 */
function ddl(names: LedgerNames): string[] {
  return [
    `CREATE TABLE IF NOT EXISTS ${names.runs} (
       run text PRIMARY KEY,
       job text NOT NULL,
       name text,
       keep_staging_ms bigint,
       started_at timestamptz NOT NULL DEFAULT now(),
       forgotten_at timestamptz)`,
    `CREATE TABLE IF NOT EXISTS ${names.runTables} (
       run text NOT NULL REFERENCES ${names.runs},
       table_name text NOT NULL,
       position int NOT NULL,
       target text NOT NULL,
       mode text NOT NULL CHECK (mode IN ('replace', 'append')),
       state text NOT NULL CHECK (state IN ('open', 'publishing', 'published', 'suspended', 'discarded')),
       source text NOT NULL,
       spec json NOT NULL,
       queries json,
       shape json NOT NULL,
       columns json NOT NULL,
       format text NOT NULL,
       fingerprint json NOT NULL,
       staging text NOT NULL,
       snapshot int,
       expired boolean NOT NULL DEFAULT false,
       partitions bigint,
       pages int,
       estimated_rows bigint,
       plan_reason text,
       rows bigint,
       bytes bigint,
       skipped bigint,
       quarantined bigint,
       opened_at timestamptz NOT NULL DEFAULT now(),
       planned_at timestamptz,
       changed_at timestamptz NOT NULL DEFAULT now(),
       PRIMARY KEY (run, table_name))`,
    `CREATE INDEX IF NOT EXISTS run_tables_leases ON ${names.runTables} (target) WHERE state IN ('open', 'publishing')`,
    `CREATE TABLE IF NOT EXISTS ${names.planPages} (
       run text NOT NULL,
       table_name text NOT NULL,
       page int NOT NULL,
       partitions json NOT NULL,
       PRIMARY KEY (run, table_name, page))`,
    `CREATE TABLE IF NOT EXISTS ${names.receipts} (
       run text NOT NULL,
       table_name text NOT NULL,
       partition int NOT NULL,
       predicate_hash text NOT NULL,
       state text NOT NULL CHECK (state IN ('committed', 'skipped')),
       rows bigint NOT NULL,
       quarantined bigint NOT NULL DEFAULT 0,
       xids bigint[] NOT NULL DEFAULT '{}',
       bytes bigint NOT NULL,
       digest text,
       attempt int NOT NULL,
       started_at timestamptz NOT NULL,
       committed_at timestamptz NOT NULL,
       PRIMARY KEY (run, table_name, partition))`,
    // Holds keys of customers' rows: nothing of it leaves the destination.
    `CREATE TABLE IF NOT EXISTS ${names.differences} (
       run text NOT NULL,
       table_name text NOT NULL,
       partition int NOT NULL,
       key text NOT NULL,
       difference text NOT NULL CHECK (difference IN ('only in source', 'only in target', 'differs')),
       found_at timestamptz NOT NULL DEFAULT now(),
       PRIMARY KEY (run, table_name, partition, key))`,
    // Holds customers' rows: nothing of it leaves the destination. Written in the transaction of the partition's receipt.
    `CREATE TABLE IF NOT EXISTS ${names.rejects} (
       run text NOT NULL,
       table_name text NOT NULL,
       partition int NOT NULL,
       number int NOT NULL,
       file text,
       line bigint NOT NULL,
       error text NOT NULL,
       raw text NOT NULL,
       at timestamptz NOT NULL DEFAULT clock_timestamp(),
       PRIMARY KEY (run, table_name, partition, number))`,
    `CREATE TABLE IF NOT EXISTS ${names.snapshots} (
       run text NOT NULL REFERENCES ${names.runs},
       snapshot int NOT NULL,
       taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),
       PRIMARY KEY (run, snapshot))`,
    // Last: its presence says that the others are complete.
    `CREATE TABLE IF NOT EXISTS ${names.version} (version int PRIMARY KEY, installed_at timestamptz NOT NULL DEFAULT now())`,
    `INSERT INTO ${names.version} (version) VALUES (${LEDGER_VERSION}) ON CONFLICT DO NOTHING`,
  ];
}

/** Whether this database has a ledger. Throws ServerUnsuitable for one that another version of Longhaul made. */
export async function isInstalled(session: PgSession, names: LedgerNames): Promise<boolean> {
  const found = await firstRow<{ there: boolean }>(session, 'SELECT to_regclass($1) IS NOT NULL AS there', [
    names.version,
  ]);
  if (found?.there !== true) return false;
  const row = await firstRow<{ version: number }>(session, `SELECT max(version) AS version FROM ${names.version}`);
  if (row?.version === LEDGER_VERSION) return true;
  throw new LonghaulError(
    'ServerUnsuitable',
    `The ledger in schema ${names.schema} of connection ${session.name} has version ${row?.version ?? 'none'}; this Longhaul knows ${LEDGER_VERSION}. Nothing was touched.`,
    { next: 'Use the Longhaul version that wrote it.' },
  );
}

/** Makes the ledger if there is none. Safe to be called by many at once: one of them makes it, the others wait. */
export async function install(session: PgSession, names: LedgerNames): Promise<void> {
  if (await isInstalled(session, names)) return;
  await transaction(session, async () => {
    await session.query('SELECT pg_advisory_xact_lock($1)', [lockKey('longhaul.install', names.schema)]);
    if (await isInstalled(session, names)) return;
    await createSchema(session, names);
    for (const statement of ddl(names)) await session.query(statement);
  });
}

/** IF NOT EXISTS would ask for the privilege to create it all the same. */
async function createSchema(session: PgSession, { schema }: LedgerNames): Promise<void> {
  const found = await session.query('SELECT FROM pg_namespace WHERE nspname = $1', [schema]);
  if (found.length === 0) await session.query(`CREATE SCHEMA ${quoteIdent(schema)}`);
}

/** What the role lacks to keep a ledger here, with the GRANT that mends it. */
export async function ledgerFindings(session: PgSession, names: LedgerNames): Promise<Finding[]> {
  const row = await firstRow<LedgerRights>(session, RIGHTS, [names.schema]);
  if (!row) return [];
  const role = quoteIdent(row.role);
  const schema = quoteIdent(names.schema);
  const missing = (message: string, fix: string): Finding[] => [problem('', message, fix)];
  const ledger = `role ${row.role} of connection "${session.name}" can't keep the ledger: it`;
  if (!row.present && !row.can_create_schema) {
    return missing(
      `${ledger} may not create the schema ${names.schema}`,
      `CREATE SCHEMA ${schema} AUTHORIZATION ${role}; or GRANT CREATE ON DATABASE ${quoteIdent(row.database)} TO ${role};`,
    );
  }
  if (row.present && !(row.installed ? row.can_use : row.can_create)) {
    const rights = row.installed ? 'USAGE' : 'USAGE, CREATE';
    return missing(
      `${ledger} lacks ${rights} on schema ${names.schema}`,
      `GRANT ${rights} ON SCHEMA ${schema} TO ${role};`,
    );
  }
  if (row.installed && !row.can_write) {
    const fix = `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role};`;
    return missing(`${ledger} may not write its tables in schema ${names.schema}`, fix);
  }
  return [];
}

interface LedgerRights {
  role: string;
  database: string;
  present: boolean;
  installed: boolean;
  can_create_schema: boolean;
  can_use: boolean;
  can_create: boolean;
  can_write: boolean;
}

/** By catalog lookups and not by name, since a name in a schema that may not be used is an error. */
const RIGHTS = `
  WITH ledger AS (SELECT oid FROM pg_namespace WHERE nspname = $1),
       kept AS (SELECT c.oid, c.relname FROM pg_class c JOIN ledger l ON c.relnamespace = l.oid
                WHERE c.relname IN (${['version', 'runs', 'run_tables', 'plan_pages', 'receipts', 'differences', 'rejects', 'snapshots'].map(quoteLiteral).join(', ')}))
  SELECT current_user::text AS role, current_database()::text AS database,
         EXISTS (SELECT FROM ledger) AS present,
         EXISTS (SELECT FROM kept WHERE relname = 'version') AS installed,
         has_database_privilege(current_database(), 'CREATE') AS can_create_schema,
         (SELECT has_schema_privilege(oid, 'USAGE') FROM ledger) AS can_use,
         (SELECT has_schema_privilege(oid, 'CREATE') AND has_schema_privilege(oid, 'USAGE') FROM ledger) AS can_create,
         (SELECT bool_and(has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
                          AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')) FROM kept WHERE relname <> 'version') AS can_write`;
