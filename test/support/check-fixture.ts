import { runSql, startTestPostgres } from './postgres.js';

const SOURCE = `
  CREATE SCHEMA sales; CREATE SCHEMA hidden;
  CREATE TABLE sales.orders (id bigint PRIMARY KEY, amount numeric(12,2), note text, doubled numeric GENERATED ALWAYS AS (amount * 2) STORED);
  CREATE TABLE sales.lines (order_id bigint, line int, qty int, PRIMARY KEY (order_id, line));
  CREATE TABLE sales.plain (id bigint PRIMARY KEY); CREATE TABLE sales.more_lines (LIKE sales.lines); CREATE TABLE sales.again (id int);
  CREATE TABLE sales.secrets (id int PRIMARY KEY); CREATE TABLE hidden.things (id int PRIMARY KEY);
  CREATE TABLE sales.guarded (id int PRIMARY KEY); ALTER TABLE sales.guarded ENABLE ROW LEVEL SECURITY;
  INSERT INTO sales.orders SELECT n, n, 'x' FROM generate_series(1, 2000) n;
  INSERT INTO sales.lines SELECT n, 1, n FROM generate_series(1, 2000) n;
  GRANT USAGE ON SCHEMA sales TO check_reader; GRANT SELECT ON sales.orders, sales.lines, sales.guarded, sales.plain, sales.more_lines, sales.again TO check_reader; ANALYZE`;

const DESTINATION = `
  CREATE SCHEMA sales; CREATE SCHEMA dw; CREATE SCHEMA locked;
  CREATE TABLE dw.narrow (id int PRIMARY KEY, amount numeric(6,2), note varchar(10));
  CREATE TABLE dw.viewed (id bigint PRIMARY KEY); CREATE VIEW dw.view AS SELECT * FROM dw.viewed;
  CREATE TABLE dw.foreign_owned (order_id bigint, line int, qty int);
  CREATE TABLE dw.append_only (order_id bigint, line int, qty int);
  GRANT USAGE ON SCHEMA locked, dw TO check_writer`;

/** Two databases full of what a check may stumble over, and roles that may as little as a careful administrator gives. */
export interface CheckFixture {
  /** As superuser. */
  readonly urls: { readonly shop: string; readonly warehouse: string };
  /** As `check_reader` at the source and `check_writer` at the destination. */
  readonly careful: { readonly shop: string; readonly warehouse: string };
  stop(): Promise<void>;
}

export async function checkFixture(): Promise<CheckFixture> {
  const source = await startTestPostgres('source');
  const destination = await startTestPostgres('destination');
  const shop = await source.createDatabase('check_shop');
  const warehouse = await destination.createDatabase('check_warehouse');
  await runSql(shop, `DROP ROLE IF EXISTS check_reader; CREATE ROLE check_reader LOGIN PASSWORD 'reader'`);
  await runSql(
    warehouse,
    `DROP ROLE IF EXISTS check_writer, check_owner; CREATE ROLE check_writer LOGIN PASSWORD 'writer'; CREATE ROLE check_owner`,
  );
  await runSql(shop, SOURCE);
  await runSql(warehouse, DESTINATION);
  await runSql(
    warehouse,
    'ALTER TABLE dw.foreign_owned OWNER TO check_owner; ALTER TABLE dw.append_only OWNER TO check_owner',
  );
  return {
    urls: { shop, warehouse },
    careful: { shop: as(shop, 'check_reader', 'reader'), warehouse: as(warehouse, 'check_writer', 'writer') },
    async stop() {
      await source.stop();
      await destination.stop();
      await runSql(source.url(), 'DROP ROLE check_reader');
      await runSql(destination.url(), 'DROP ROLE check_writer, check_owner');
    },
  };
}

export function as(url: string, user: string, password: string): string {
  const other = new URL(url);
  [other.username, other.password] = [user, password];
  return other.href;
}
