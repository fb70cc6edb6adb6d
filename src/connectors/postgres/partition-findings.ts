import type { TableSpec } from '../../core/model.js';
import { problem, warning } from '../findings.js';
import type { Finding } from '../types.js';
import { leavesOf, type RelationInfo } from './catalog.js';
import { chooseCut, serverFacts, whyNoPages } from './choose-cut.js';
import { unknownColumn } from '../columns.js';
import { liveBytes, statisticsOf } from './leaf-statistics.js';
import type { KeyColumn, TableKey } from './partition-key.js';
import { sharesOf, tableKey, wantedPartitions } from './plan.js';
import { probe } from './probe.js';
import type { PgSession } from './session.js';
import { describeColumns } from './shape.js';
import { formatRelation, quoteIdent, quoteRelation } from './sql.js';

/** Where all of them stand. */
const BY = 'partition.by';

/** What is wrong or slow about how a table is to be cut. From catalogs alone: no row is read. */
export async function partitionFindings(
  session: PgSession,
  relation: RelationInfo,
  spec: TableSpec,
): Promise<Finding[]> {
  const { by } = spec.partition;
  if (by === 'pages') return pageFindings(session, relation, spec);
  const key = await tableKey(session, relation, spec);
  if (by === 'auto') return readingFindings(session, relation, spec, key);
  if (key === undefined) return unknownColumns(session, relation, by);
  const unordered = await orderFindings(session, relation, key.columns);
  if (unordered.length > 0) return unordered;
  if (!key.indexed && relation.kind !== 'view') return [notIndexed(key.columns[0]!.name)];
  return readingFindings(session, relation, spec, key);
}

async function unknownColumns(session: PgSession, relation: RelationInfo, by: readonly string[]): Promise<Finding[]> {
  const names = (await describeColumns(session, relation)).map(({ name }) => name);
  return by.filter((name) => !names.includes(name)).map((name) => unknownColumn(BY, name, names));
}

async function orderFindings(
  session: PgSession,
  relation: RelationInfo,
  columns: readonly KeyColumn[],
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { name, type, operatorSchema } of columns) {
    const column = quoteIdent(name);
    const compared = `${column} OPERATOR(${quoteIdent(operatorSchema)}.<) ${column}`;
    const select = `SELECT FROM ONLY ${quoteRelation(relation)} WHERE ${compared} ORDER BY ${column} LIMIT 0`;
    if ((await probe(session, select)) === undefined) continue;
    const message = `values of "${name}" (${type}) have no order`;
    findings.push(problem(BY, message, 'name a column of another type'));
  }
  return findings;
}

function notIndexed(column: string): Finding {
  const message = `no index begins with "${column}": every partition reads the whole table`;
  return warning(BY, message, 'create an index, or choose an indexed column');
}

/** Relations of one kind that are shown. */
const SHOWN = 5;

async function pageFindings(session: PgSession, relation: RelationInfo, spec: TableSpec): Promise<Finding[]> {
  const found: Finding[] = [];
  const pages = (message: string, fix: string) => found.push(problem(BY, message, fix));
  if (spec.consistency !== 'snapshot') {
    const why = 'an update moves a row to another page, where it is read twice or never';
    pages(`pages needs a snapshot: ${why}`, 'add consistency: snapshot to the job, or name a column');
  }
  const server = await serverFacts(session);
  for (const leaf of await leavesOf(session, relation)) {
    const why = whyNoPages(leaf, server);
    if (why === undefined) continue;
    pages(`${formatRelation(leaf)} can't be cut by pages: ${why}`, 'write by: auto, or name a column');
    if (found.length >= SHOWN) break;
  }
  return found;
}

/** What would read a big table at random, or in one piece. */
async function readingFindings(
  session: PgSession,
  relation: RelationInfo,
  spec: TableSpec,
  key: TableKey | undefined,
): Promise<Finding[]> {
  const leaves = await leavesOf(session, relation);
  const server = await serverFacts(session);
  const statistics = await statisticsOf(session, leaves, key?.columns[0]!.name);
  const share = sharesOf(leaves);
  const findings: Finding[] = [];
  for (const leaf of leaves) {
    const own = statistics(leaf);
    const count = wantedPartitions(spec.partition, liveBytes(leaf, own), leaf.estimatedRows, share(leaf));
    if (count <= 1) continue;
    const { by, random } = chooseCut(spec, leaf, key, own, server);
    if (random)
      findings.push(readAtRandom(leaf, key!, own!.correlation!, spec, whyNoPages(leaf, server) === undefined));
    if (by === 'nothing') findings.push(inOnePiece(leaf, whyNoPages(leaf, server) === undefined));
    if (findings.length >= SHOWN) break;
  }
  return findings;
}

function readAtRandom(
  leaf: RelationInfo,
  { columns: [column] }: TableKey,
  correlation: number,
  { partition }: TableSpec,
  pages: boolean,
): Finding {
  const name = `"${column!.name}"`;
  const message =
    `key ranges of ${name} read ${formatRelation(leaf)} (${gigabytes(leaf.bytes)}) at random: ` +
    `its rows lie on disk in another order (correlation ${correlation.toFixed(2)})`;
  const snapshot = `use consistency: snapshot${partition.by === 'auto' ? '' : ' and by: auto'}, which reads it by pages`;
  const other = 'name columns in whose order the rows were written';
  return warning(BY, message, pages ? `${snapshot}, or ${other}` : other);
}

function inOnePiece(leaf: RelationInfo, pages: boolean): Finding {
  const message = `${formatRelation(leaf)} (${gigabytes(leaf.bytes)}) is one partition: it has no unique key to cut by`;
  const snapshot = ', or use consistency: snapshot, which cuts it by pages';
  return warning(BY, message, `name columns in partition.by${pages ? snapshot : ''}`);
}

function gigabytes(bytes: number): string {
  const gb = bytes / 1024 ** 3;
  return gb >= 1
    ? `${gb.toLocaleString('en-US', { maximumFractionDigits: 1 })} GB`
    : `${Math.ceil(bytes / 1024 ** 2)} MB`;
}
