import { afterAll, beforeAll, describe, it } from 'vitest';
import { createPostgresConnector } from '../../src/connectors/postgres/index.js';
import type { Connector } from '../../src/connectors/types.js';
import type { TableSpec } from '../../src/core/model.js';
import { sourceChecks } from '../../src/testing/source-checks.js';
import { connectionTo } from '../support/connection.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';

let postgres: TestPostgres;
let url: string;
beforeAll(async () => {
  postgres = await startTestPostgres('source');
  url = await postgres.createDatabase('postgres_contract');
  await runSql(url, 'CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 200000) n; ANALYZE');
});
afterAll(() => postgres.stop());

/** The database is made when the tests run, and they are named before. */
const connector: Connector = {
  ...createPostgresConnector(connectionTo('shop', 'postgres://unused')),
  openSource: (options) => createPostgresConnector(connectionTo('shop', url)).openSource(options),
};

const common = { table: 'orders', to: 'orders', mode: 'replace', partition: { by: 'auto' } } as const;
const SPECS: Readonly<Record<string, TableSpec>> = {
  table: { ...common, from: 'public.orders' },
  query: { ...common, queries: [{ id: 'a', sql: 'SELECT id FROM public.orders' }] },
};

describe.each(Object.entries(SPECS))('Postgres keeps the contract of sources for a %s', (_, spec) => {
  const wrongQuery = { id: 'wrong', sql: 'SELECT nothing FROM public.orders' };
  const wrong = spec.queries === undefined ? {} : { wrongQuery };
  for (const { name, run } of sourceChecks({ connector, spec, ...wrong })) it(name, run);
});
