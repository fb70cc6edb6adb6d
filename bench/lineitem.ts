import pg from 'pg';

/** TPC-H's lineitem, by its columns; 4 lines an order, in the order of the key. */
export const LINEITEM: Readonly<Record<string, string>> = {
  ...{ l_orderkey: 'bigint', l_partkey: 'int', l_suppkey: 'int', l_linenumber: 'int', l_quantity: 'numeric(15,2)' },
  ...{ l_extendedprice: 'numeric(15,2)', l_discount: 'numeric(15,2)', l_tax: 'numeric(15,2)', l_returnflag: 'char(1)' },
  ...{ l_linestatus: 'char(1)', l_shipdate: 'date', l_commitdate: 'date', l_receiptdate: 'date' },
  ...{ l_shipinstruct: 'char(25)', l_shipmode: 'char(10)', l_comment: 'varchar(44)' },
};

const COLUMNS = Object.entries(LINEITEM)
  .map(([name, type]) => `${name} ${type}`)
  .join(', ');

export const CREATE = `DROP TABLE IF EXISTS lineitem; CREATE TABLE lineitem (${COLUMNS})`;

export const FILL = `INSERT INTO lineitem SELECT g / 4, g * 7919 % 200000, g * 104729 % 10000, g % 4 + 1, g % 50 + 1,
  (g * 31 % 10000000) / 100.0, g % 11 / 100.0, g % 9 / 100.0, substr('RAN', (g % 3 + 1)::int, 1),
  substr('OF', (g % 2 + 1)::int, 1), date '1992-01-02' + (g % 2526)::int, date '1992-01-31' + (g % 2466)::int,
  date '1992-01-03' + (g % 2554)::int,
  (ARRAY['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'])[g % 4 + 1],
  (ARRAY['REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'])[g % 7 + 1],
  substr(md5(g::text), 1, (10 + g % 22)::int) FROM generate_series(0, $1::bigint - 1) g`;

/** Makes `lineitem` with `rows` rows and an index on its key at the source, and an empty one at the destination. */
export async function prepare(source: string, destination: string, rows: number): Promise<void> {
  await Promise.all([run(source, CREATE), run(destination, CREATE)]);
  console.log(`Making lineitem with ${rows.toLocaleString('en')} rows.`);
  await run(source, FILL, [rows]);
  await run(source, 'CREATE INDEX ON lineitem (l_orderkey)');
  await run(source, 'VACUUM ANALYZE lineitem');
  const [size] = await run(source, "SELECT pg_size_pretty(pg_relation_size('lineitem')) AS size");
  console.log(`It has ${String(size?.size)}. Each contestant copies it into an empty table, binary, by turns.\n`);
}

/** Runs SQL on a session of its own and answers with the rows. */
export async function run(url: string, sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(values.length > 0 ? { text: sql, values } : sql)).rows;
  } finally {
    await client.end();
  }
}
