import type { ColumnShape, TableShape, TableSpec } from '../../../core/model.js';
import { LonghaulError } from '../../../core/errors.js';
import { problem, warning } from '../../findings.js';
import type { Finding, Format, SourceTable } from '../../types.js';
import { selectColumns } from '../../columns.js';
import { compareColumns, typeOf } from '../formats.js';
import type { PgSession } from '../session.js';
import { describeColumns, describeQuery, shapeOf, withoutPrivilege } from '../shape.js';
import { quoteIdent } from '../sql.js';
import type { Target } from './target.js';

/** What a target makes of a source's columns. */
export interface Fit {
  /** Forms in which every column arrives as it was. */
  readonly formats: readonly Format[];
  readonly findings: Finding[];
  /** The target's, which a source that knows no columns has to give. */
  readonly shape?: TableShape;
}

/** Rows as CSV pass by unseen, so that none could be set aside. */
const BY_ROW: readonly Format[] = ['rows'];
const ANY: readonly Format[] = ['csv', 'rows'];

/** The columns of a source without a catalog: those that it declares, or the target's. */
export async function fitUncatalogued(
  session: PgSession,
  spec: TableSpec,
  source: SourceTable,
  target: Target | undefined,
): Promise<Fit> {
  if (source.inferred)
    return target ? fitInferred(session, spec, source, target) : { formats: [], findings: [noTarget(spec)] };
  const { types, findings } = await resolveTypes(session, copiedOf(source));
  const compared = target ? compareColumns(types, await describeColumns(session, target)).findings : [];
  const met = findings.length > 0 ? findings : compared;
  return { formats: spec.rejects ? BY_ROW : ANY, findings: met.map(atColumns) };
}

export function copiedOf({ shape, columns }: SourceTable): readonly ColumnShape[] {
  return shape.columns.filter(({ name }) => columns.includes(name));
}

/** A source without a catalog has no columns but those that the job file lists. */
function atColumns(finding: Finding): Finding {
  return finding.path === '' ? { ...finding, path: 'columns' } : finding;
}

function noTarget({ to }: TableSpec): Finding {
  const message = `the source can't tell its columns, and ${to} does not exist`;
  return problem('columns', message, 'declare them, as in columns: {id: bigint, note: text}, or make the table');
}

/** Where the server would round a value without a word, each value is looked at on its way, if the source lets it be. */
async function fitInferred(session: PgSession, spec: TableSpec, source: SourceTable, target: Target): Promise<Fit> {
  const { selected, findings } = selectColumns(spec, await describeColumns(session, target));
  const columns = selected.map(withoutPrivilege);
  const rounding = columns.filter(mayRound);
  const looked = source.formats.includes('rows');
  const passesCsv = source.formats.includes('csv') && spec.rejects === undefined;
  const warned = rounding.length > 0 && passesCsv ? [mayBeRounded(spec, rounding, looked)] : [];
  return {
    formats: spec.rejects || (rounding.length > 0 && looked) ? BY_ROW : ANY,
    findings: [...findings, ...warned],
    shape: shapeOf(session, columns, []),
  };
}

function mayBeRounded({ to }: TableSpec, columns: readonly ColumnShape[], looked: boolean): Finding {
  const named = columns.map(({ name, type }) => `${name} ${type}`).join(', ');
  const message = `the columns are not declared, and ${to} would round what does not fit into ${named} without saying so`;
  const what = looked ? `${message}: every row is looked at, which takes longer` : message;
  return warning('columns', what, 'declare the columns with their types');
}

const ROUNDED = new Set(['numeric', 'timestamp', 'timestamptz', 'time', 'timetz']);

/** Whether the type takes values that it can't hold, and rounds them. */
function mayRound(column: ColumnShape): boolean {
  const { node, modifiers, printed } = typeOf(column);
  const element = 'array' in node ? node.array : node;
  if (!('builtin' in element)) return false;
  if (element.builtin === 'interval') return !/^interval(\[\])*$/.test(printed);
  return element.builtin === 'float4' || (ROUNDED.has(element.builtin) && modifiers !== undefined);
}

/** The declared types as this server knows them; findings name the columns of those that it does not. */
async function resolveTypes(
  session: PgSession,
  columns: readonly ColumnShape[],
): Promise<{ types: ColumnShape[]; findings: Finding[] }> {
  const unknown = (await areTypes(session, columns))
    ? []
    : await filterAsync(columns, async (column) => !(await areTypes(session, [column])));
  if (unknown.length > 0) return { types: [], findings: unknown.map(unknownType) };
  const select = columns.map(({ name, type }) => `NULL::${type} AS ${quoteIdent(name)}`).join(', ');
  return { types: await describeQuery(session, `SELECT ${select}`), findings: [] };
}

/** A text that is no type's name at all is an error of the server's, which the transaction has to outlive. */
async function areTypes(session: PgSession, columns: readonly ColumnShape[]): Promise<boolean> {
  await session.query('SAVEPOINT types');
  try {
    const rows = await session.query<{ known: boolean }>(KNOWN, [columns.map(({ type }) => type)]);
    await session.query('RELEASE SAVEPOINT types');
    return rows.every(({ known }) => known);
  } catch (cause) {
    if (!(cause instanceof LonghaulError) || !['StatementInvalid', 'DataRejected'].includes(cause.code)) throw cause;
    await session.query('ROLLBACK TO SAVEPOINT types');
    return false;
  }
}

/** Pseudo-types are no types of columns. */
const KNOWN = `
  SELECT EXISTS (SELECT FROM pg_type t WHERE t.oid = to_regtype(type) AND t.typtype <> 'p') AS known
  FROM unnest($1::text[]) AS type`;

function unknownType({ name, type }: ColumnShape): Finding {
  const fix =
    'write one as the destination has it, e.g. bigint, numeric(12,2), text or timestamptz, or erp.status with its schema';
  return problem('columns', `column "${name}": the destination has no type ${type}`, fix);
}

async function filterAsync<T>(items: readonly T[], keep: (item: T) => Promise<boolean>): Promise<T[]> {
  const kept: T[] = [];
  for (const item of items) if (await keep(item)) kept.push(item);
  return kept;
}
