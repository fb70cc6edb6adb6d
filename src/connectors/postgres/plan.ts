import type { Partition, PartitionHint, TableRecord, TableSpec } from '../../core/model.js';
import { counted } from '../../core/text.js';
import type { PlanInput } from '../types.js';
import { findBounds, samplingClause, type Bounds } from './bounds.js';
import { findRelation, leavesOf, type RelationInfo } from './catalog.js';
import { compareLeaves, sourceChanged } from './unchanged.js';
import { findKey, type PartitionKey } from './partition-key.js';
import type { PgSession } from './session.js';
import { formatRelation, quoteIdent, quoteRelation, requireRelation, type Relation } from './sql.js';

/** Bytes of a partition when the job says nothing. */
const DEFAULT_SIZE = 256 * 1024 * 1024;
/** Partitions of one table at most: their bounds are held in memory while they are labelled. */
export const MOST_PARTITIONS = 100_000;

/** How one relation that holds rows is cut. */
interface Leaf {
  readonly relation: Relation;
  readonly key: PartitionKey | undefined;
  readonly bounds: Bounds;
  readonly rows: number | undefined;
}

/** Cuts a table, or takes each query as a partition. In a transaction of the source. Throws SourceChanged. */
export async function planTable(session: PgSession, record: TableRecord): Promise<PlanInput> {
  const { spec } = record;
  if (spec.queries !== undefined) return planQueries(spec.queries);
  const relation = requireRelation(spec.from!);
  const found = await findRelation(session, relation);
  if (found === undefined) throw sourceChanged(record, `${formatRelation(relation)} is gone`);
  await compareLeaves(session, record);
  const key = await findKey(session, found, spec.partition.by);
  const leaves = await cutLeaves(session, await leavesOf(session, found), record, key);
  const rows = leaves.some((leaf) => leaf.rows === undefined) ? undefined : sum(leaves.map((leaf) => leaf.rows!));
  return {
    partitions: partitionsOf(leaves, spec.where),
    reason: reasonOf(found, key, leaves),
    ...(rows === undefined ? {} : { estimatedRows: rows }),
  };
}

function planQueries(queries: NonNullable<TableSpec['queries']>): PlanInput {
  return {
    partitions: queries.map(({ id, sql }, ordinal) => ({ ordinal, label: id, predicate: sql })),
    reason: `${counted(queries.length, 'partition')}, one for each query of the job`,
  };
}

async function cutLeaves(
  session: PgSession,
  relations: readonly RelationInfo[],
  { spec, shape }: TableRecord,
  key: PartitionKey | undefined,
): Promise<Leaf[]> {
  const bytes = sum(relations.map((relation) => relation.bytes));
  const leaves: Leaf[] = [];
  // A leaf may promise more than its table does, but only the table's promise is compared by every attempt.
  const notNull = shape.columns.some((column) => column.name === key?.column && column.notNull);
  for (const relation of relations) {
    const rows = relation.estimatedRows ?? (await estimateRows(session, relation));
    const count = wantedPartitions(spec.partition, relation, rows, { bytes, relations: relations.length });
    const own = key && (await findKey(session, relation, [key.column]));
    const bounds = own && (await findBounds(session, relation, own, count, spec.where));
    leaves.push({
      relation,
      key: own && { ...own, notNull: own.notNull && notNull },
      bounds: bounds ?? { literals: [], from: 'nothing' },
      rows,
    });
  }
  return leaves;
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

/**
 * How many partitions a leaf is to have: `size` and `rows` are of each partition; `count` is of the whole table, dealt out
 * by the leaves' sizes. At least one each.
 */
export function wantedPartitions(
  hint: PartitionHint,
  relation: Pick<RelationInfo, 'bytes'>,
  rows: number | undefined,
  all: { readonly bytes: number; readonly relations: number },
): number {
  const share = all.bytes === 0 ? 1 / all.relations : relation.bytes / all.bytes;
  const most = Math.max(1, Math.floor(MOST_PARTITIONS * share));
  return Math.min(most, Math.max(1, wanted(hint, relation, rows, share)));
}

function wanted(
  hint: PartitionHint,
  { bytes }: Pick<RelationInfo, 'bytes'>,
  rows: number | undefined,
  share: number,
): number {
  if (hint.count !== undefined) return Math.round(hint.count * share);
  if (hint.rows !== undefined) return Math.ceil((rows ?? 0) / hint.rows);
  return Math.ceil(bytes / (hint.size ?? DEFAULT_SIZE));
}

function* partitionsOf(leaves: readonly Leaf[], where: string | undefined): Iterable<Partition> {
  const total = sum(leaves.map(partitionsIn));
  let ordinal = 0;
  for (const leaf of leaves) {
    const rows = leaf.rows === undefined ? undefined : Math.round(leaf.rows / partitionsIn(leaf));
    for (const range of rangesOf(leaf)) {
      const label = `${ordinal + 1}/${total}`;
      const relation = formatRelation(leaf.relation);
      const estimate = rows === undefined ? {} : { estimatedRows: rows };
      yield { ordinal, label, relation, predicate: withWhere(range, where), ...estimate };
      ordinal++;
    }
  }
}

function partitionsIn({ bounds, key }: Leaf): number {
  const ranges = bounds.literals.length + 1;
  return ranges > 1 && !key!.notNull ? ranges + 1 : ranges;
}

/** Half-open ranges, open below and above; what is NULL is in none of them and has its own. */
function* rangesOf({ bounds: { literals }, key }: Leaf): Iterable<string> {
  if (key === undefined || literals.length === 0) {
    yield 'TRUE';
    return;
  }
  const column = quoteIdent(key.column);
  const compare = (operator: string, literal: string) =>
    `${column} OPERATOR(${quoteIdent(key.operatorSchema)}.${operator}) ${literal}`;
  yield compare('<', literals[0]!);
  for (let i = 1; i < literals.length; i++) {
    yield `${compare('>=', literals[i - 1]!)} AND ${compare('<', literals[i]!)}`;
  }
  yield compare('>=', literals.at(-1)!);
  if (!key.notNull) yield `${column} IS NULL`;
}

/** The condition ends with a line of its own, since it may end with a comment. */
function withWhere(range: string, where: string | undefined): string {
  if (where === undefined) return range;
  return range === 'TRUE' ? `(\n${where}\n)` : `(${range}) AND (\n${where}\n)`;
}

function reasonOf(table: RelationInfo, key: PartitionKey | undefined, leaves: readonly Leaf[]): string {
  const total = counted(sum(leaves.map(partitionsIn)), 'partition');
  const of = leaves.length > 1 ? ` over ${counted(leaves.length, 'table')} of ${formatRelation(table)}` : '';
  if (key === undefined) return `${total}${of}: no unique, NOT NULL key to cut by; name a column in partition.by`;
  if (leaves.every(({ bounds }) => bounds.literals.length === 0)) return `${total}${of}: ${whyUncut(table)}`;
  const sources = [...new Set(leaves.map(({ bounds }) => bounds.from))].filter((from) => from !== 'nothing');
  const chosen = key.inPrimaryKey ? 'in the primary key' : key.indexed ? 'indexed' : 'not indexed';
  return `${total}${of} by ranges of "${key.column}" (${chosen}), bounds from ${sources.join(' and ')}`;
}

function whyUncut(table: RelationInfo): string {
  return table.kind === 'view' || table.kind === 'foreign table'
    ? `a ${table.kind} has no pages to find bounds on`
    : 'it is small, or its keys are equal';
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
