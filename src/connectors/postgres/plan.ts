import type { Partition, PartitionHint, TableRecord, TableSpec } from '../../core/model.js';
import { DEFAULT_PARTITION_SIZE } from '../../core/partition.js';
import { counted } from '../../core/text.js';
import { planQueries } from '../queries.js';
import type { PlanInput } from '../types.js';
import { findCut, type FoundCut } from './bounds.js';
import { findRelation, leavesOf, type RelationInfo } from './catalog.js';
import { chooseCut, serverFacts, whyNoPages, type Choice, type ServerFacts } from './choose-cut.js';
import { isFresh, liveBytes, statisticsOf, type LeafStatistics } from './leaf-statistics.js';
import { CTID, findKey, type TableKey } from './partition-key.js';
import { rangesIn, rangesOf, UNCUT } from './ranges.js';
import { samplingClause } from './sample.js';
import type { PgSession } from './session.js';
import { formatRelation, quoteRelation, requireRelation, type Relation } from './sql.js';
import { compareLeaves, sourceChanged } from './unchanged.js';

/** Partitions of one table at most: their bounds are held in memory while they are labelled. */
export const MOST_PARTITIONS = 100_000;

/** How one relation that holds rows is cut. */
interface Leaf {
  readonly relation: Relation;
  readonly cut: FoundCut;
  readonly rows: number | undefined;
  /** What was chosen and why, without a number. */
  readonly reason: string;
}

/** Cuts a table, or takes each query as a partition. In a transaction of the source. Throws SourceChanged. */
export async function planTable(session: PgSession, record: TableRecord): Promise<PlanInput> {
  const { spec } = record;
  if (spec.queries !== undefined) return planQueries(spec.queries);
  const relation = requireRelation(spec.from!);
  const found = await findRelation(session, relation);
  if (found === undefined) throw sourceChanged(record, `${formatRelation(relation)} is gone`);
  await compareLeaves(session, record);
  const leaves = await cutLeaves(session, await leavesOf(session, found), record, await tableKey(session, found, spec));
  const rows = leaves.some((leaf) => leaf.rows === undefined) ? undefined : sum(leaves.map((leaf) => leaf.rows!));
  return {
    partitions: partitionsOf(leaves, spec.where),
    reason: reasonOf(found, leaves),
    ...(rows === undefined ? {} : { estimatedRows: rows }),
  };
}

/** The key by whose ranges a table would be cut: none for pages. */
export function tableKey(
  session: PgSession,
  relation: { readonly oid: number },
  { partition: { by } }: Pick<TableSpec, 'partition'>,
): Promise<TableKey | undefined> {
  return by === 'pages' ? Promise.resolve(undefined) : findKey(session, relation, by);
}

async function cutLeaves(
  session: PgSession,
  relations: readonly RelationInfo[],
  record: TableRecord,
  key: TableKey | undefined,
): Promise<Leaf[]> {
  const statistics = await statisticsOf(session, relations, key?.columns[0]!.name);
  const server = await serverFacts(session);
  const share = sharesOf(relations);
  const leaves: Leaf[] = [];
  for (const relation of relations) {
    const rows = relation.estimatedRows ?? (await estimateRows(session, relation));
    const own = statistics(relation);
    const count = wantedPartitions(record.spec.partition, liveBytes(relation, own), rows, share(relation));
    const choice = chooseCut(record.spec, relation, key, own, server);
    const cut = await cutLeaf(session, record, { relation, rows, statistics: own, key, count, choice, server });
    leaves.push({ relation, cut, rows, reason: leafReason(relation, choice, cut, count) });
  }
  return leaves;
}

interface LeafToCut {
  readonly relation: RelationInfo;
  readonly rows: number | undefined;
  readonly statistics: LeafStatistics | undefined;
  readonly key: TableKey | undefined;
  readonly count: number;
  readonly choice: Choice;
  readonly server: ServerFacts;
}

const WHOLE: FoundCut = { ...UNCUT, from: 'nothing' };

async function cutLeaf(session: PgSession, record: TableRecord, leaf: LeafToCut): Promise<FoundCut> {
  const { relation, key, count, choice } = leaf;
  if (choice.by === 'nothing' || count <= 1) return WHOLE;
  if (choice.by === 'pages') return cutPages(session, record, leaf);
  const own = await findKey(
    session,
    relation,
    key!.columns.map(({ name }) => name),
  );
  if (own === undefined) throw sourceChanged(record, `a column of the key of ${formatRelation(relation)} is gone`);
  const cut = await findCut(session, { ...leaf, key: own, where: record.spec.where }, count);
  // A leaf may promise more than its table does, but only the table's promise is compared by every attempt.
  const promised = new Set(record.shape.columns.filter(({ notNull }) => notNull).map(({ name }) => name));
  const columns = cut.columns.map((column) => ({ ...column, notNull: column.notNull && promised.has(column.name) }));
  return { ...cut, columns };
}

/** Equal ranges of the pages there are now; where rows may be missing from many of them, equal shares of the rows instead. */
async function cutPages(session: PgSession, record: TableRecord, leaf: LeafToCut): Promise<FoundCut> {
  const { relation, statistics, rows, count, server } = leaf;
  const wrong = whyNoPages(relation, server);
  if (wrong !== undefined) throw sourceChanged(record, `${formatRelation(relation)} has no ranges of pages: ${wrong}`);
  const columns = [CTID];
  const dense = isFresh(relation, 2) && liveBytes(relation, statistics) === relation.bytes;
  if (!dense) {
    const key = { columns, indexed: true, inPrimaryKey: false };
    return findCut(session, { relation, key, statistics: undefined, rows, where: undefined }, count);
  }
  const ranges = Math.min(count, relation.pages);
  const places = Array.from({ length: Math.max(0, ranges - 1) }, (_, i) =>
    Math.floor(((i + 1) * relation.pages) / ranges),
  );
  return { columns, bounds: places.map((page) => [`'(${page},0)'::tid`]), from: 'nothing' };
}

/** Pages that are enough to tell how many rows there are on one. */
const ESTIMATE_PAGES = 200;

/** Rows of a table that was never analyzed, from the rows on some of its pages. */
async function estimateRows(session: PgSession, relation: RelationInfo): Promise<number | undefined> {
  if (!relation.heap) return undefined;
  if (relation.pages === 0) return 0;
  const [sample] = await session.query<{ rows: number }>(
    `SELECT count(*)::float8 AS rows FROM ONLY ${quoteRelation(relation)} ${samplingClause(relation, ESTIMATE_PAGES)}`,
  );
  return Math.round((sample!.rows * relation.pages) / Math.min(ESTIMATE_PAGES, relation.pages));
}

/** The share that each of a table's relations has in its bytes. */
export function sharesOf(relations: readonly RelationInfo[]): (relation: RelationInfo) => number {
  const all = sum(relations.map(({ bytes }) => bytes));
  return ({ bytes }) => (all === 0 ? 1 / relations.length : bytes / all);
}

/**
 * How many partitions a relation is to have: `size` and `rows` are of each partition; `count` is of the whole table, of which this
 * relation has `share`. At least one.
 */
export function wantedPartitions(hint: PartitionHint, bytes: number, rows: number | undefined, share: number): number {
  const most = Math.max(1, Math.floor(MOST_PARTITIONS * share));
  return Math.min(most, Math.max(1, wanted(hint, bytes, rows, share)));
}

function wanted(hint: PartitionHint, bytes: number, rows: number | undefined, share: number): number {
  if (hint.count !== undefined) return Math.round(hint.count * share);
  if (hint.rows !== undefined) return Math.ceil((rows ?? 0) / hint.rows);
  return Math.ceil(bytes / (hint.size ?? DEFAULT_PARTITION_SIZE));
}

function* partitionsOf(leaves: readonly Leaf[], where: string | undefined): Iterable<Partition> {
  const total = sum(leaves.map(({ cut }) => rangesIn(cut)));
  let ordinal = 0;
  for (const { relation, cut, rows } of leaves) {
    const estimate = rows === undefined ? {} : { estimatedRows: Math.round(rows / rangesIn(cut)) };
    for (const range of rangesOf(cut)) {
      const label = `${ordinal + 1}/${total}`;
      yield { ordinal, label, relation: formatRelation(relation), predicate: withWhere(range, where), ...estimate };
      ordinal++;
    }
  }
}

/** The condition ends with a line of its own, since it may end with a comment. */
function withWhere(range: string, where: string | undefined): string {
  if (where === undefined) return range;
  return range === 'TRUE' ? `(\n${where}\n)` : `(${range}) AND (\n${where}\n)`;
}

/** Reasons of leaves that are shown: as a rule, all have one. */
const SHOWN_REASONS = 3;

function reasonOf(table: RelationInfo, leaves: readonly Leaf[]): string {
  const total = counted(sum(leaves.map(({ cut }) => rangesIn(cut))), 'partition');
  const of = leaves.length > 1 ? ` over ${counted(leaves.length, 'table')} of ${formatRelation(table)}` : '';
  // What is whole because it is small goes without saying beside what was cut.
  const cut = leaves.filter((leaf) => leaf.cut.bounds.length > 0);
  const reasons = [...new Set((cut.length > 0 ? cut : leaves).map(({ reason }) => reason))];
  const more = reasons.length > SHOWN_REASONS ? ' and otherwise' : '';
  return `${total}${of} ${reasons.slice(0, SHOWN_REASONS).join('; ')}${more}`;
}

function leafReason(relation: RelationInfo, { by, why }: Choice, cut: FoundCut, count: number): string {
  if (by === 'nothing') return `since there is ${why}`;
  if (cut.bounds.length === 0) return `since ${whyUncut(relation, count)}`;
  const bounds = cut.from === 'nothing' ? '' : `, bounds from ${cut.from}`;
  if (by === 'pages') return `by ranges of pages (${why})${bounds}`;
  return `by ranges of ${cut.columns.map(({ name }) => `"${name}"`).join(', ')} (${why})${bounds}`;
}

function whyUncut({ kind, bytes }: RelationInfo, count: number): string {
  if (kind === 'view' || kind === 'foreign table') return `a ${kind} has no pages to find bounds on`;
  if (bytes === 0) return 'it is empty';
  return count <= 1 ? 'it is small' : 'its keys are equal or too few';
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
