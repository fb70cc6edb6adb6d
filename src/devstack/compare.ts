import pg from 'pg';

/** Multiset difference of one table in two databases, over all columns. */
export interface Difference {
  readonly sourceRows: number;
  readonly destinationRows: number;
  /** Rows of the source that the destination lacks, counted with multiplicity. */
  readonly missing: number;
  /** Rows of the destination that the source has not, or has less often. */
  readonly extra: number;
}

const FETCH = 50_000;

/** Every row of a table as the hash of its text, in hash order: equal multisets give equal sequences. */
async function* sortedRowHashes(client: pg.Client, table: string): AsyncGenerator<string> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  await client.query(`SET LOCAL TimeZone = 'UTC'; SET LOCAL extra_float_digits = 3; SET LOCAL work_mem = '256MB'`);
  await client.query(
    `DECLARE hashes NO SCROLL CURSOR FOR SELECT md5(t::text) COLLATE "C" AS hash FROM ${table} AS t ORDER BY 1`,
  );
  for (;;) {
    const page = await client.query<[string]>({ text: `FETCH ${FETCH} FROM hashes`, rowMode: 'array' });
    for (const [hash] of page.rows) yield hash;
    if (page.rows.length < FETCH) break;
  }
  await client.query('COMMIT');
}

/** Merges two ordered sequences and counts what stands on one side only. */
async function mergeCount(left: AsyncIterator<string>, right: AsyncIterator<string>): Promise<Difference> {
  const count = { sourceRows: 0, destinationRows: 0, missing: 0, extra: 0 };
  let [a, b] = await Promise.all([left.next(), right.next()]);
  while (a.done !== true || b.done !== true) {
    const order = a.done === true ? 1 : b.done === true ? -1 : compareText(a.value, b.value);
    if (order <= 0) count.sourceRows++;
    if (order >= 0) count.destinationRows++;
    if (order < 0) count.missing++;
    if (order > 0) count.extra++;
    if (order <= 0) a = await left.next();
    if (order >= 0) b = await right.next();
  }
  return count;
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Compares `table` row for row between two databases. Reads every row of both; memory is one page a side. */
export async function compareTable(
  sourceUrl: string,
  destinationUrl: string,
  table: string,
  target: string,
): Promise<Difference> {
  const source = new pg.Client({ connectionString: sourceUrl });
  const destination = new pg.Client({ connectionString: destinationUrl });
  try {
    await Promise.all([source.connect(), destination.connect()]);
    return await mergeCount(sortedRowHashes(source, table), sortedRowHashes(destination, target));
  } finally {
    await Promise.allSettled([source.end(), destination.end()]);
  }
}
