import type { RelationInfo } from './catalog.js';
import { isInteger, type KeyColumn } from './partition-key.js';
import { quoteIdent, quoteRelation } from './sql.js';

/** Pages read by a sample: for each partition, at least, and at most. 40,000 are 312 MB. */
const PAGES_PER_PARTITION = 16;
const FEWEST_PAGES = 500;
const MOST_PAGES = 40_000;
/** Rows kept of a sample, for each partition. */
const ROWS_PER_PARTITION = 128;
/** With fewer pages than this for each partition, bounds of integers are computed between pages. */
const PAGES_TO_CUT_AT_ROWS = 8;

/** Which of a relation's pages are read to find its bounds, and which rows of them. */
export interface Sample {
  readonly relation: RelationInfo;
  readonly pages: number;
  /** One of so many rows is kept: chosen by a hash, since rows may have come in turns and every n-th be of one kind. */
  readonly oneOf: number;
  /** A condition on the rows, which may end with a comment. */
  readonly where: string | undefined;
}

export function sampleFor(
  relation: RelationInfo,
  rows: number | undefined,
  count: number,
  where: string | undefined,
): Sample {
  const wanted = Math.min(Math.max(count * PAGES_PER_PARTITION, FEWEST_PAGES), MOST_PAGES);
  const pages = Math.min(wanted, relation.pages);
  const rowsRead = ((rows ?? 0) / relation.pages) * pages;
  const spare = where === undefined ? Math.floor(rowsRead / (count * ROWS_PER_PARTITION)) : 1;
  return { relation, pages, oneOf: Math.max(1, spare), where };
}

/** The same pages each time, so that a plan made again after a failure is the same one. */
export function samplingClause({ pages: all }: Pick<RelationInfo, 'pages'>, pages: number): string {
  const percent = Math.min(100, (100 * pages) / Math.max(1, all));
  return `TABLESAMPLE SYSTEM (${percent}) REPEATABLE (0)`;
}

/**
 * CTEs that end with sampled(c1, c2 …, weight): the keys of the sample's rows. Rows of one page are often neighbours in the key, so a page
 * stands for the pages around it that were not read: half the way to its neighbours in the sample, at most four times the usual way (more
 * is a stretch of pages without rows). So chance in the choice of pages moves a bound by less than the distance of two of them, where
 * counting pages would add up. Rows with a NULL in one of `known` are left out.
 */
export function sampledRows(
  { relation, pages, oneOf, where }: Sample,
  columns: readonly KeyColumn[],
  known: readonly KeyColumn[] = columns,
): string {
  const values = columns.map(({ name }, i) => `${quoteIdent(name)} AS c${i + 1}`).join(', ');
  const conditions = known.map(({ name }) => `${quoteIdent(name)} IS DISTINCT FROM NULL`);
  if (oneOf > 1) conditions.push(`(hashtext(ctid::text) & 2147483647) % ${oneOf} = 0`);
  if (where !== undefined) conditions.push(`(\n${where}\n)`);
  const farthest = pages >= relation.pages ? 0.5 : (4 * relation.pages) / pages;
  return `
    read AS MATERIALIZED (
      SELECT ${values}, (ctid::text::point)[0]::int8 AS page
      FROM ONLY ${quoteRelation(relation)} ${samplingClause(relation, pages)}
      WHERE ${conditions.join(' AND ')}
    ), weights AS (
      SELECT page, least(${farthest}, coalesce((page - lag(page) OVER (ORDER BY page)) / 2.0, page + 0.5))
        + least(${farthest}, coalesce((lead(page) OVER (ORDER BY page) - page) / 2.0, ${relation.pages} - page - 0.5)) AS weight
      FROM (SELECT DISTINCT page FROM read) AS pages
    ), sampled AS (
      SELECT ${columns.map((_, i) => `c${i + 1}`).join(', ')}, greatest(weight, 0.5)::float8 AS weight FROM read JOIN weights USING (page)
    )`;
}

/** Too few pages to cut at the rows that were seen: neighbours in the key lie together on one page, and the next is far away. */
export function isCoarse({ relation, pages }: Sample, columns: readonly KeyColumn[], count: number): boolean {
  return isInteger(columns) && pages < relation.pages && pages < count * PAGES_TO_CUT_AT_ROWS;
}

/** CTEs after `sampledRows` that end with points(c1, …, before, at): each row seen weighs for itself. */
export function rowPoints(columns: readonly KeyColumn[]): string {
  return `, points AS (SELECT ${columns.map((_, i) => `c${i + 1}`).join(', ')}, 0::float8 AS before, weight AS at FROM sampled)`;
}

/**
 * The same, for an integer key: as many quantiles as there were pages, and what lies between two of them lies between their keys. A
 * quantile that comes again is a value with many rows.
 */
export function quantilePoints({ pages }: Sample): string {
  return `, numbered AS (
      SELECT c1, weight, sum(weight) OVER (ORDER BY c1 ROWS UNBOUNDED PRECEDING) AS upto, sum(weight) OVER () AS whole FROM sampled
    ), quantiles AS (
      SELECT c1, floor(upto * ${pages} / whole) - coalesce(lag(floor(upto * ${pages} / whole)) OVER (ORDER BY upto), 0) AS steps, upto
      FROM numbered
    ), points AS (
      SELECT c1, CASE WHEN again THEN 0 ELSE steps END::float8 AS before, CASE WHEN again THEN steps ELSE 0 END::float8 AS at
      FROM (
        SELECT c1, steps, row_number() OVER (PARTITION BY c1 ORDER BY upto) > 1 AS again FROM quantiles WHERE steps > 0
      ) AS taken
    )`;
}
