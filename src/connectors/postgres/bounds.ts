import type { RelationInfo } from './catalog.js';
import { isInteger, type PartitionKey } from './partition-key.js';
import type { PgSession } from './session.js';
import { quoteIdent, quoteLiteral, quoteRelation } from './sql.js';

/** Where a table is cut: constants of SQL in the order of the server and of the column's collation, each once. */
export interface Bounds {
  readonly literals: readonly string[];
  readonly from: 'statistics' | 'sample' | 'nothing';
}

const NO_BOUNDS: Bounds = { literals: [], from: 'nothing' };

/** Points needed for each partition, where bounds between points can't be computed. */
const POINTS_PER_PARTITION = 4;
/** Of integers, this many points are enough for any number of partitions. */
const INTEGER_POINTS = 1_000;
/** Pages read by a sample: at least and at most. 40,000 are 312 MB. */
const FEWEST_PAGES = 300;
const MOST_PAGES = 40_000;

/**
 * Bounds that cut the rows of this one relation into at most `count` ranges of about equal size: from the statistics of ANALYZE, while
 * they are fresh and fine enough for that many, else from a sample of pages. Never more than a sample is read. Where keys
 * are missing, equal or unknown, there are fewer bounds, down to none.
 */
export async function findBounds(
  session: PgSession,
  relation: RelationInfo,
  key: PartitionKey,
  count: number,
  where?: string,
): Promise<Bounds> {
  if (count <= 1) return NO_BOUNDS;
  if (isFresh(relation, count)) {
    const literals = await boundsFromStatistics(session, relation, key, count);
    if (literals !== undefined) return { literals, from: 'statistics' };
  }
  if (!relation.heap || relation.pages === 0) return NO_BOUNDS;
  return { literals: await boundsFromSample(session, relation, key, count, where), from: 'sample' };
}

/** Rows that came since ANALYZE may all lie in one place, usually above the last bound: they must not outweigh a partition. */
function isFresh({ estimatedRows, modifiedRows, kind }: RelationInfo, count: number): boolean {
  if (kind === 'foreign table') return true;
  return estimatedRows !== undefined && modifiedRows * count <= estimatedRows;
}

/** Undefined when there are too few points, or none that this role may see. */
async function boundsFromStatistics(
  session: PgSession,
  relation: RelationInfo,
  key: PartitionKey,
  count: number,
): Promise<string[] | undefined> {
  const [row] = await session.query<{ points: number }>(
    `SELECT coalesce(array_length(histogram_bounds::text::text[], 1), 0) + coalesce(array_length(most_common_freqs, 1), 0) AS points
     FROM pg_stats WHERE schemaname = $1 AND tablename = $2 AND attname = $3 AND NOT inherited`,
    [relation.schema, relation.name, key.column],
  );
  const points = row?.points ?? 0;
  if (points < 2 || (!isInteger(key) && points < count * POINTS_PER_PARTITION)) return undefined;
  return cut(session, key, count, statisticsPoints(relation, key));
}

/** Each most common value weighs its frequency; between two neighbours of the histogram lie equal parts of the rest. */
function statisticsPoints(relation: RelationInfo, key: PartitionKey): string {
  const array = `::text::${key.type}[]`;
  return `
    stats AS (
      SELECT histogram_bounds${array} AS histogram, most_common_vals${array} AS common, most_common_freqs AS frequencies,
        1 - null_frac - coalesce((SELECT sum(f) FROM unnest(most_common_freqs) AS f), 0) AS rest
      FROM pg_stats
      WHERE schemaname = ${quoteLiteral(relation.schema)} AND tablename = ${quoteLiteral(relation.name)}
        AND attname = ${quoteLiteral(key.column)} AND NOT inherited
    ), points AS (
      SELECT v, CASE WHEN place = 1 THEN 0 ELSE greatest(rest, 0) / (array_length(histogram, 1) - 1) END AS before, 0::float8 AS at
      FROM stats CROSS JOIN LATERAL unnest(histogram) WITH ORDINALITY AS h(v, place)
      UNION ALL
      SELECT v, 0, f FROM stats CROSS JOIN LATERAL unnest(common, frequencies) AS c(v, f)
    )`;
}

async function boundsFromSample(
  session: PgSession,
  relation: RelationInfo,
  key: PartitionKey,
  count: number,
  where: string | undefined,
): Promise<string[]> {
  const wanted = isInteger(key) ? INTEGER_POINTS : count * (POINTS_PER_PARTITION / 2);
  const pages = Math.min(Math.max(wanted, FEWEST_PAGES), MOST_PAGES);
  const points = isInteger(key) ? INTEGER_POINTS : count * POINTS_PER_PARTITION;
  return cut(session, key, count, samplePoints(relation, key, pages, points, where));
}

/**
 * Quantiles of the keys on some pages. Rows of one page are often neighbours in the key too, so that there are no more quantiles of
 * integers than pages: between two of them lie rows that weren't seen. A quantile that comes again stands for a value with many rows.
 */
function samplePoints(
  relation: RelationInfo,
  key: PartitionKey,
  pages: number,
  points: number,
  where: string | undefined,
): string {
  const column = quoteIdent(key.column);
  const quantiles = isInteger(key) ? Math.min(points, Math.max(2, Math.min(pages, relation.pages))) : points;
  return `
    numbered AS (
      SELECT v, row_number() OVER (ORDER BY v) AS n, count(*) OVER () AS total
      FROM (SELECT ${column} AS v FROM ONLY ${quoteRelation(relation)} ${samplingClause(relation, pages)}
        WHERE ${column} IS NOT NULL${where === undefined ? '' : ` AND (\n${where}\n)`}) AS sample
    ), quantiles AS (
      SELECT v, row_number() OVER (PARTITION BY v ORDER BY n) > 1 AS again
      FROM numbered WHERE n = 1 OR n * ${quantiles} / total > (n - 1) * ${quantiles} / total
    ), points AS (
      SELECT v, CASE WHEN again THEN 0 ELSE 1 END AS before, CASE WHEN again THEN 1 ELSE 0 END AS at FROM quantiles
    )`;
}

/** The same pages each time, so that a plan made again after a failure is the same one. */
export function samplingClause(relation: RelationInfo, pages: number): string {
  const percent = Math.min(100, (100 * pages) / Math.max(1, relation.pages));
  return `TABLESAMPLE SYSTEM (${percent}) REPEATABLE (0)`;
}

/**
 * Cuts weighed points into equal parts. `points` is CTEs that end with points(v, before, at): `before` weighs what lies between the
 * point's lower neighbour and itself, `at` the point itself. Ordered and made distinct by the server, never here.
 */
async function cut(session: PgSession, key: PartitionKey, count: number, points: string): Promise<string[]> {
  const collate = key.collation === undefined ? '' : ` COLLATE ${key.collation}`;
  const rows = await session.query<{ literal: string }>(`
    WITH ${points}, merged AS (
      SELECT v::${key.type}${collate} AS v, sum(before)::float8 AS before, sum(at)::float8 AS at FROM points GROUP BY 1
    ), placed AS (
      SELECT v, at, sum(before + at) OVER (ORDER BY v) - at AS below, sum(before + at) OVER () AS whole FROM merged
    ), cuts AS (${isInteger(key) ? cutBetween(count) : cutAtPoints(count)})
    SELECT quote_literal(cut::text) || ${quoteLiteral(`::${key.type}`)} AS literal FROM cuts ORDER BY cut`);
  return rows.map(({ literal }) => literal);
}

/** Cuts at each point where another part begins. */
function cutAtPoints(count: number): string {
  return `
    SELECT v AS cut FROM (
      SELECT v, part, lag(part) OVER (ORDER BY v) AS last
      FROM (SELECT v, least(floor(below * ${count} / nullif(whole, 0)), ${count - 1}) AS part FROM placed) AS parts
    ) AS steps WHERE part > last`;
}

/** Cuts where each part begins, at equal distances between two points; a value that outweighs a part is followed by a cut. */
function cutBetween(count: number): string {
  return `
    SELECT DISTINCT (CASE
        WHEN part * whole / ${count} <= below + at THEN v::numeric + 1
        ELSE v::numeric + greatest(1, ceil((next - v::numeric)
          * least(1, ((part * whole / ${count} - below - at) / nullif(next_below - below - at, 0)))::numeric))
      END)::int8 AS cut
    FROM (
      SELECT v, at, below, whole, lead(v) OVER (ORDER BY v)::numeric AS next, lead(below) OVER (ORDER BY v) AS next_below
      FROM placed
    ) AS gaps
    CROSS JOIN LATERAL generate_series(
      floor(below * ${count} / whole)::int8 + 1, least(floor(next_below * ${count} / whole)::int8, ${count - 1})) AS part
    WHERE next IS NOT NULL AND whole > 0`;
}
