import type { RelationInfo } from './catalog.js';
import type { PgSession } from './session.js';
import { quoteLiteral, type Relation } from './sql.js';

/** What ANALYZE left behind of one relation and of its key's first column. */
export interface LeafStatistics {
  /** Bytes of a row's values, without what was moved to TOAST. */
  readonly width: number;
  /** Of the column's order with that of the rows on disk, -1 to 1; undefined when unknown. */
  readonly correlation: number | undefined;
  /** Most common values and bounds of the histogram. */
  readonly points: number;
  /** The share of all rows that have the most common value. */
  readonly heaviest: number;
}

interface StatisticsRow extends Relation {
  readonly width: number;
  readonly correlation: number | null;
  readonly points: number | null;
  readonly heaviest: number | null;
}

/**
 * Statistics of each of these relations that has any, as far as this role may see them: of a table under row security, a role sees none.
 * One statement for all.
 */
export async function statisticsOf(
  session: PgSession,
  relations: readonly RelationInfo[],
  column: string | undefined,
): Promise<(relation: Relation) => LeafStatistics | undefined> {
  const rows = await session.query<StatisticsRow>(
    `SELECT s.schemaname AS schema, s.tablename AS name, sum(s.avg_width * (1 - s.null_frac))::float8 AS width,
       max(s.correlation) FILTER (WHERE s.attname = $3)::float8 AS correlation,
       max(coalesce(array_length(s.histogram_bounds::text::text[], 1), 0)
         + coalesce(array_length(s.most_common_freqs, 1), 0)) FILTER (WHERE s.attname = $3)::int4 AS points,
       max(coalesce((SELECT max(f) FROM unnest(s.most_common_freqs) AS f), 0)) FILTER (WHERE s.attname = $3)::float8 AS heaviest
     FROM unnest($1::name[], $2::name[]) AS leaf(schema, name)
     JOIN pg_stats s ON s.schemaname = leaf.schema AND s.tablename = leaf.name AND NOT s.inherited
     GROUP BY 1, 2`,
    [relations.map(({ schema }) => schema), relations.map(({ name }) => name), column ?? null],
  );
  const keyed = new Map(rows.map((row) => [keyOf(row), toStatistics(row)]));
  return (relation) => keyed.get(keyOf(relation));
}

const keyOf = ({ schema, name }: Relation) => JSON.stringify([schema, name]);

function toStatistics({ width, correlation, points, heaviest }: StatisticsRow): LeafStatistics {
  return { width, correlation: correlation ?? undefined, points: points ?? 0, heaviest: heaviest ?? 0 };
}

/** The row of pg_stats of this relation and column, for a FROM. */
export function statisticsRow({ schema, name }: Relation, column: string): string {
  return `pg_stats WHERE schemaname = ${quoteLiteral(schema)} AND tablename = ${quoteLiteral(name)}
    AND attname = ${quoteLiteral(column)} AND NOT inherited`;
}

/** Of a page and of a row, beside the values. */
const PAGE_BYTES = 8_168;
const ROW_OVERHEAD = 28;

/**
 * Bytes that rows take: the relation's size, less what deleted rows left behind where that is most of it. The statistics are not exact
 * enough to tell less than that.
 */
export function liveBytes(relation: RelationInfo, statistics: LeafStatistics | undefined): number {
  const { bytes, pages, estimatedRows } = relation;
  if (statistics === undefined || estimatedRows === undefined || pages === 0) return bytes;
  const share = (estimatedRows * (statistics.width + ROW_OVERHEAD)) / (pages * PAGE_BYTES);
  return share < 0.5 ? bytes * share : bytes;
}

/** Rows that came since ANALYZE may all lie in one place, usually above the last bound: they must not outweigh a partition. */
export function isFresh({ estimatedRows, modifiedRows, kind }: RelationInfo, count: number): boolean {
  if (kind === 'foreign table') return true;
  return estimatedRows !== undefined && modifiedRows * count <= estimatedRows;
}
