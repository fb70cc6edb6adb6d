import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, escapeIdentifier } from 'pg';
import { startPostgres, type PostgresOptions, type PostgresServer } from '../../src/devstack/postgres.js';
import { removePostgresData } from '../../src/devstack/postgres-data.js';
import { testServers } from './servers.js';

/** A Postgres for one test file: the run's server, and databases that only this file uses. */
export interface TestPostgres {
  /** Superuser's URL of a database; "postgres" if none is named. */
  readonly url: (database?: string) => string;
  /** Makes an empty database of exactly this name, dropping one that is there. Answers with its URL. */
  readonly createDatabase: (name: string) => Promise<string>;
  /** Drops the databases made here; sessions still in them are ended. The server goes on. */
  readonly stop: () => Promise<void>;
}

/** One of the run's two Postgres servers, for a test file to make its databases in. Call `stop` in `afterAll`. */
export function startTestPostgres(server: 'source' | 'destination' = 'source'): Promise<TestPostgres> {
  const base = testServers().postgres[server];
  const made = new Set<string>();
  const drop = (name: string) => runSql(base, `DROP DATABASE IF EXISTS ${escapeIdentifier(name)} WITH (FORCE)`);
  return Promise.resolve({
    url: (database = 'postgres') => urlOf(base, database),
    async createDatabase(name) {
      made.add(name);
      await drop(name);
      await runSql(base, `CREATE DATABASE ${escapeIdentifier(name)}`);
      return urlOf(base, name);
    },
    async stop() {
      for (const name of made) await drop(name);
    },
  });
}

/** A Postgres server of the test's own, to be stopped, killed or set up as the test likes; `remove` ends and deletes it. */
export async function startOwnPostgres(
  options: Omit<PostgresOptions, 'dataDir'> = {},
): Promise<{ server: PostgresServer; dataDir: string; remove: () => Promise<void> }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'longhaul-own-postgres-'));
  const server = await startPostgres({ durable: false, ...options, dataDir });
  const remove = async () => {
    await server.stop({ mode: 'immediate' });
    await removePostgresData(dataDir);
  };
  return { server, dataDir, remove };
}

/** Runs SQL on a session of its own and answers with the rows. */
export async function runSql<Row extends object>(url: string, sql: string, values: unknown[] = []): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(sql, values)).rows;
  } finally {
    await client.end();
  }
}

function urlOf(base: string, database: string): string {
  const url = new URL(base);
  url.pathname = `/${encodeURIComponent(database)}`;
  return url.href;
}
