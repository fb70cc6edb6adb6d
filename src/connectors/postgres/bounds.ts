import type { RelationInfo } from './catalog.js';
import { isFresh, statisticsRow, type LeafStatistics } from './leaf-statistics.js';
import { isInteger, type KeyColumn, type TableKey } from './partition-key.js';
import type { PgSession } from './session.js';
import { quoteLiteral } from './sql.js';
import { isCoarse, quantilePoints, rowPoints, sampledRows, sampleFor, type Sample } from './sample.js';
import { UNCUT, type Bound, type Cut } from './ranges.js';

/** Where one relation is cut, and how the places were found. */
export interface FoundCut extends Cut {
  readonly from: 'statistics' | 'a sample' | 'nothing';
}

/** One relation that is to be cut by a key. */
export interface KeyedLeaf {
  readonly relation: RelationInfo;
  readonly key: TableKey;
  /** Of the key's first column. */
  readonly statistics: LeafStatistics | undefined;
  readonly rows: number | undefined;
  readonly where: string | undefined;
}

/** Points needed for each partition, so that it is cut within a quarter of its size. */
const POINTS_PER_PARTITION = 4;
/** Half a partition's share of the rows with one value: more of them must be told apart by the key's next column. */
const HEAVY = 0.5;

/**
 * Bounds that cut the rows of this one relation into at most `count` ranges of about equal size, by as many of the key's leading columns as
 * that needs. From the statistics of ANALYZE, while they are fresh and fine enough for that many, else from a sample of pages, else
 * from what statistics there are. Never more than a sample is read. Where keys are missing, equal or unknown, there are fewer
 * bounds, down to none.
 */
export async function findCut(session: PgSession, leaf: KeyedLeaf, count: number): Promise<FoundCut> {
  const { relation, statistics } = leaf;
  if (count <= 1) return { ...UNCUT, from: 'nothing' };
  const suffice = statistics !== undefined && sufficient(leaf, statistics, count);
  if (!suffice && relation.heap && relation.pages > 0) {
    const cut = await cutBySample(session, leaf, count);
    if (cut.bounds.length > 0) return { ...cut, from: 'a sample' };
  }
  if (statistics === undefined || statistics.points < 2) return { ...UNCUT, from: 'nothing' };
  return { ...(await cutByStatistics(session, leaf, count)), from: 'statistics' };
}

/** They know the first column of all rows, whatever condition these have to fulfill. */
function sufficient({ relation, where, key }: KeyedLeaf, { points, heaviest }: LeafStatistics, count: number): boolean {
  const enough = points >= count * POINTS_PER_PARTITION && (key.columns.length === 1 || heaviest * count <= HEAVY);
  return enough && where === undefined && isFresh(relation, count);
}

async function cutByStatistics(session: PgSession, { relation, key }: KeyedLeaf, count: number): Promise<Cut> {
  const columns = key.columns.slice(0, 1);
  const points = statisticsPoints(relation, columns[0]!);
  return { columns, bounds: await cut(session, columns, count, points, isInteger(columns)) };
}

/**
 * Each most common value weighs its frequency; between two neighbours of the histogram lie equal parts of the rest. By subscripts, since
 * unnest would take values of a composite type apart.
 */
function statisticsPoints(relation: RelationInfo, column: KeyColumn): string {
  const array = `::text::${column.type}[]`;
  return `
    stats AS (
      SELECT histogram_bounds${array} AS histogram, most_common_vals${array} AS common, most_common_freqs AS frequencies,
        1 - null_frac - coalesce((SELECT sum(f) FROM unnest(most_common_freqs) AS f), 0) AS rest
      FROM ${statisticsRow(relation, column.name)}
    ), points AS (
      SELECT histogram[place] AS c1,
        CASE WHEN place = 1 THEN 0 ELSE greatest(rest, 0) / (array_length(histogram, 1) - 1) END AS before, 0::float8 AS at
      FROM stats CROSS JOIN LATERAL generate_subscripts(histogram, 1) AS place
      UNION ALL
      SELECT common[place], 0, frequencies[place] FROM stats CROSS JOIN LATERAL generate_subscripts(common, 1) AS place
    )`;
}

async function cutBySample(session: PgSession, leaf: KeyedLeaf, count: number): Promise<Cut> {
  const sample = sampleFor(leaf.relation, leaf.rows, count, leaf.where);
  const columns = await leadingColumns(session, sample, leaf.key.columns, count);
  const coarse = isCoarse(sample, columns, count);
  const points = sampledRows(sample, columns) + (coarse ? quantilePoints(sample) : rowPoints(columns));
  return { columns, bounds: await cut(session, columns, count, points, coarse) };
}

/** As many of the first columns as tell the rows of a partition from those of its neighbours. */
async function leadingColumns(
  session: PgSession,
  sample: Sample,
  columns: readonly KeyColumn[],
  count: number,
): Promise<readonly KeyColumn[]> {
  if (columns.length === 1) return columns;
  const names = columns.map((_, i) => `c${i + 1}`).join(', ');
  // The bits of GROUPING are 1 for the columns that were rolled up: none for the whole key, all for the total.
  const rows = await session.query<{ rolled: number; heaviest: number }>(`
    WITH ${sampledRows(sample, columns, columns.slice(0, 1))},
    groups AS (SELECT GROUPING(${names}) AS rolled, sum(weight) AS weight FROM sampled GROUP BY ROLLUP (${names}))
    SELECT rolled, max(weight) / (SELECT sum(weight) FROM sampled) AS heaviest FROM groups GROUP BY rolled ORDER BY rolled DESC`);
  const widths = rows.slice(1); // the first is the total
  const enough = widths.findIndex(({ heaviest }) => heaviest * count <= HEAVY);
  return columns.slice(0, enough < 0 ? columns.length : enough + 1);
}

/**
 * Cuts weighed points into equal parts. `points` is CTEs that end with points(c1, …, before, at): `before` weighs what lies between the
 * point's lower neighbour and itself, `at` the point itself. Ordered and made distinct by the server, never here.
 */
async function cut(
  session: PgSession,
  columns: readonly KeyColumn[],
  count: number,
  points: string,
  between: boolean,
): Promise<Bound[]> {
  const names = columns.map((_, i) => `c${i + 1}`).join(', ');
  const values = columns.map(
    ({ type, collation }, i) =>
      `c${i + 1}::${type}${collation === undefined ? '' : ` COLLATE ${collation}`} AS c${i + 1}`,
  );
  const numbers = columns.map((_, i) => i + 1).join(', ');
  const literals = columns.map(({ type }, i) => `quote_literal(c${i + 1}::text) || ${quoteLiteral(`::${type}`)}`);
  const rows = await session.query<{ literals: string[] }>(`
    WITH ${points}, merged AS (
      SELECT ${values.join(', ')}, sum(before)::float8 AS before, sum(at)::float8 AS at FROM points GROUP BY ${numbers}
    ), placed AS (
      SELECT ${names}, at, sum(before + at) OVER (ORDER BY ${names}) - at AS below, sum(before + at) OVER () AS whole FROM merged
    ), cuts AS (${between ? cutBetween(count) : cutAtPoints(names, count)})
    SELECT ARRAY[${literals.join(', ')}] AS literals FROM cuts ORDER BY ${names}`);
  return rows.map((row) => row.literals);
}

/** Cuts at each point where another part begins. */
function cutAtPoints(names: string, count: number): string {
  return `
    SELECT ${names} FROM (
      SELECT ${names}, part, lag(part) OVER (ORDER BY ${names}) AS last
      FROM (SELECT ${names}, least(floor(below * ${count} / nullif(whole, 0)), ${count - 1}) AS part FROM placed) AS parts
    ) AS steps WHERE part > last`;
}

/** Cuts where each part begins, at equal distances between two points; a value that outweighs a part is followed by a cut. */
function cutBetween(count: number): string {
  return `
    SELECT DISTINCT (CASE
        WHEN part * whole / ${count} <= below + at THEN v::numeric + 1
        ELSE v::numeric + greatest(1, ceil((next - v::numeric)
          * least(1, ((part * whole / ${count} - below - at) / nullif(next_below - below - at, 0)))::numeric))
      END)::int8 AS c1
    FROM (
      SELECT c1 AS v, at, below, whole, lead(c1) OVER (ORDER BY c1)::numeric AS next, lead(below) OVER (ORDER BY c1) AS next_below
      FROM placed
    ) AS gaps
    CROSS JOIN LATERAL generate_series(
      floor(below * ${count} / whole)::int8 + 1, least(floor(next_below * ${count} / whole)::int8, ${count - 1})) AS part
    WHERE next IS NOT NULL AND whole > 0`;
}
