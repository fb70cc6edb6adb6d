import { LonghaulError } from '../../core/errors.js';
import type { ColumnShape, QuerySpec, TableSpec } from '../../core/model.js';
import { problem } from '../findings.js';
import type { Finding } from '../types.js';
import { selectColumns } from '../columns.js';
import type { Description } from './describe-table.js';
import { copyFormats } from './formats.js';
import { attempt } from './probe.js';
import type { PgSession } from './session.js';
import { describeQuery, shapeOf } from './shape.js';

/** Queries beyond these are first seen when they are copied; each costs a round trip and its planning. */
const CHECKED = 200;

/** Describes what a group of queries returns: all must have the columns of the first. In a transaction of the source. */
export async function describeQueries(
  session: PgSession,
  spec: TableSpec & { readonly queries: readonly QuerySpec[] },
): Promise<Description> {
  const [first, ...others] = spec.queries.slice(0, CHECKED);
  if (first === undefined) return { findings: [problem('queries', 'there is no query')] };
  const columns = await columnsOf(session, first, 0);
  if (!Array.isArray(columns)) return { findings: [columns] };
  const { selected, findings } = selectColumns(spec, columns);
  for (const [index, query] of others.entries()) {
    findings.push(...(await compareWith(session, columns, first.id, query, index + 1)));
  }
  if (findings.some(({ severity }) => severity === 'problem')) return { findings };
  const table = {
    shape: shapeOf(session, columns, []),
    columns: selected.map(({ name }) => name),
    formats: copyFormats(selected),
  };
  return { table, findings };
}

async function columnsOf(session: PgSession, query: QuerySpec, index: number): Promise<ColumnShape[] | Finding> {
  const path = `queries[${index}].sql`;
  const columns = await attempt(session, () => describeQuery(session, query.sql));
  if (columns instanceof LonghaulError) {
    return problem(path, columns.message, 'search_path is empty: name every table and function with its schema');
  }
  const names = columns.map(({ name }) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) return problem(path, `two columns are called "${twice}"`, 'name one of them with AS');
  const unnamed = names.includes('?column?');
  return unnamed ? problem(path, 'a column has no name', 'name it with AS') : columns;
}

async function compareWith(
  session: PgSession,
  expected: readonly ColumnShape[],
  firstId: string,
  query: QuerySpec,
  index: number,
): Promise<Finding[]> {
  const columns = await columnsOf(session, query, index);
  if (!Array.isArray(columns)) return [columns];
  const difference = differenceOf(expected, columns);
  if (difference === undefined) return [];
  return [
    problem(
      `queries[${index}].sql`,
      `${difference}, unlike query ${firstId}`,
      'let all queries return the same columns',
    ),
  ];
}

/** Columns are matched by name: their order may differ. */
function differenceOf(expected: readonly ColumnShape[], columns: readonly ColumnShape[]): string | undefined {
  const found = new Map(columns.map((column) => [column.name, column]));
  for (const { name, type, definition } of expected) {
    const other = found.get(name);
    if (other === undefined) return `it returns no column "${name}"`;
    if (other.type !== type || other.definition !== definition)
      return `its column "${name}" is ${other.type}, not ${type}`;
  }
  const more = columns.find(({ name }) => !expected.some((column) => column.name === name));
  return more && `it returns a column "${more.name}"`;
}
