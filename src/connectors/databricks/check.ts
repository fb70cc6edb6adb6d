import { createHash } from 'node:crypto';
import type { Mode } from '../../core/model.js';
import { nameFindings } from '../lake/column-names.js';
import type { LakeColumn } from '../lake/model.js';
import { problem, warning } from '../findings.js';
import type { Finding } from '../types.js';
import type { WarehouseClient } from './client.js';
import { fits, literal, quoted, tableSql, typeSql, type WarehouseTable } from './names.js';

/** A column of a table that is there. */
export interface TargetColumn {
  readonly name: string;
  /** As `typeSql` writes it, for types that it knows. */
  readonly type: string;
  readonly nullable: boolean;
  readonly hasDefault: boolean;
}

/** A table as the catalog describes it to this principal; undefined: there is none, or none that it may see. */
export interface Target {
  /** `MANAGED`, `EXTERNAL`, `VIEW` … */
  readonly kind: string;
  /** `DELTA` … */
  readonly format: string;
  readonly columns: readonly TargetColumn[];
}

export interface WarehouseCheck {
  readonly findings: Finding[];
  /** Equal as long as the target is what it was. */
  readonly fingerprint: string;
  readonly target: Target | undefined;
}

/** What loading these columns would meet. Writes nothing. */
export async function checkTarget(
  client: WarehouseClient,
  table: WarehouseTable,
  columns: readonly LakeColumn[],
  mode: Mode,
): Promise<WarehouseCheck> {
  const target = await describeTarget(client, table);
  const findings = target === undefined ? nameFindings(columns) : existing(target, columns, mode);
  return { findings, fingerprint: fingerprintOf(target), target };
}

/** By the information schema of the table's catalog, where names are in lower case. */
export async function describeTarget(client: WarehouseClient, table: WarehouseTable): Promise<Target | undefined> {
  const parameters = { schema: table.schema.toLowerCase(), table: table.table.toLowerCase() };
  const from = (view: string) =>
    `FROM ${quoted(table.catalog)}.information_schema.${view} WHERE table_schema = :schema AND table_name = :table`;
  const tables = `SELECT table_type, data_source_format ${from('tables')}`;
  const [found] = await client.rows({ sql: tables, parameters, repeatable: true });
  if (found === undefined) return undefined;
  const selected = 'column_name, full_data_type, is_nullable, column_default';
  const columns = `SELECT ${selected} ${from('columns')} ORDER BY ordinal_position`;
  const rows = await client.rows({ sql: columns, parameters, repeatable: true });
  return { kind: found[0] ?? '', format: found[1] ?? '', columns: rows.map(columnOf) };
}

function columnOf([name, type, nullable, byDefault]: readonly (string | null)[]): TargetColumn {
  return {
    name: name!,
    type: type!.toUpperCase().replaceAll(' ', ''),
    nullable: nullable !== 'NO',
    hasDefault: byDefault !== null && byDefault !== undefined,
  };
}

export function fingerprintOf(target: Target | undefined): string {
  if (target === undefined) return 'absent';
  const columns = target.columns.map(({ name, type, nullable }) => [name, type, nullable]);
  const text = JSON.stringify([target.kind, target.format, columns.sort()]);
  return createHash('sha256').update(text).digest('hex').slice(0, 24);
}

const TABLES = ['MANAGED', 'EXTERNAL'];

function existing({ kind, format, columns: there }: Target, columns: readonly LakeColumn[], mode: Mode): Finding[] {
  if (!TABLES.includes(kind)) return [problem('to', `is no table that can be loaded, but ${kind.toLowerCase()}`)];
  if (format !== 'DELTA') return [problem('to', `is a table of format ${format.toLowerCase()}, not Delta`)];
  const byName = new Map(there.map((column) => [column.name.toLowerCase(), column]));
  const found = columns.flatMap((column) => columnFindings(column, byName.get(column.name.toLowerCase())));
  const given = new Set(columns.map(({ name }) => name.toLowerCase()));
  const left = there.filter(({ name }) => !given.has(name.toLowerCase()));
  return [...found, ...nameFindings(columns), ...left.flatMap((column) => leftOut(column, mode))];
}

function columnFindings({ name, type, nullable }: LakeColumn, there: TargetColumn | undefined): Finding[] {
  if (there === undefined)
    return [problem('to', `has no column ${name}`, 'add it to the table, or leave it out by exclude')];
  const wanted = typeSql(type);
  if (!fits(wanted, there.type))
    return [problem('to', `column ${name} is ${there.type}, which does not hold every ${wanted}`, `make it ${wanted}`)];
  if (nullable && !there.nullable)
    return [warning('to', `column ${name} takes no NULL, which the source may have: publishing would fail at one`)];
  return [];
}

function leftOut({ name, nullable, hasDefault }: TargetColumn, mode: Mode): Finding[] {
  if (!nullable && !hasDefault) return [problem('to', `column ${name} takes no NULL and the source does not have it`)];
  const what = hasDefault ? 'its default' : 'NULL';
  return mode === 'replace' ? [warning('to', `column ${name} is not in the source: every row gets ${what}`)] : [];
}

/** Creates the target where there is none. Idempotent. */
export async function createTarget(
  client: WarehouseClient,
  table: WarehouseTable,
  columns: readonly LakeColumn[],
  comment?: string,
): Promise<void> {
  const made = `${tableSql(table)} (${columns.map(columnSql).join(', ')}) USING DELTA${commentSql(comment)}`;
  await client.run({ sql: `CREATE TABLE IF NOT EXISTS ${made}`, repeatable: true });
}

function columnSql({ name, type, nullable, comment }: LakeColumn): string {
  return `${quoted(name)} ${typeSql(type)}${nullable ? '' : ' NOT NULL'}${commentSql(comment)}`;
}

function commentSql(comment: string | undefined): string {
  return comment === undefined ? '' : ` COMMENT ${literal(comment)}`;
}
