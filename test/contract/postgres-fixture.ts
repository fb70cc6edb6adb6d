import { createPostgresConnector } from '../../src/connectors/postgres/index.js';
import { connectionTo } from '../support/connection.js';
import { runSql, startTestPostgres } from '../support/postgres.js';
import type { Fixture } from './fixture.js';

export interface PostgresFixture extends Fixture {
  /** URLs of the superuser. */
  readonly sourceUrl: string;
  readonly destinationUrl: string;
}

/** Databases of these names on the run's two servers. */
export async function postgresFixture(name = 'contract'): Promise<PostgresFixture> {
  const servers = [await startTestPostgres('source'), await startTestPostgres('destination')] as const;
  const source = await servers[0].createDatabase(`${name}_source`);
  const destination = await servers[1].createDatabase(`${name}_destination`);
  const table = (name: string) => `CREATE TABLE ${name} (id int PRIMARY KEY, note text)`;
  return {
    sourceUrl: source,
    destinationUrl: destination,
    source: createPostgresConnector(connectionTo('source', source)),
    destination: createPostgresConnector(connectionTo('destination', destination)),
    async createSource(from, rows) {
      await runSql(source, table(from));
      await runSql(source, `INSERT INTO ${from} SELECT i, 'note ' || i FROM generate_series(0, $1::int - 1) AS i`, [
        rows,
      ]);
    },
    // Without a key, so that the same rows may be appended twice.
    async createTarget(to) {
      await runSql(destination, table(to).replace(' PRIMARY KEY', ''));
    },
    async visible(to) {
      const [found] = await runSql<{ there: boolean }>(destination, 'SELECT to_regclass($1) IS NOT NULL AS there', [
        to,
      ]);
      if (!found?.there) return undefined;
      return (await runSql<{ id: number }>(destination, `SELECT id FROM ${to} ORDER BY id`)).map(({ id }) => id);
    },
    async rejects(run) {
      const sql = `SELECT partition, file, line::int AS line, raw FROM longhaul.rejects WHERE run = $1 ORDER BY partition, number`;
      return runSql<{ partition: number; file: string | null; line: number; raw: string }>(destination, sql, [run]);
    },
    range: (from, to) => `"id" >= ${from} AND "id" < ${to}`,
    async sessions(label) {
      const found = await runSql(destination, 'SELECT FROM pg_stat_activity WHERE application_name = $1', [label]);
      return found.length;
    },
    async [Symbol.asyncDispose]() {
      for (const server of servers) await server.stop();
    },
  };
}
