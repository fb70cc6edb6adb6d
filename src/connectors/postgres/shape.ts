import type { ColumnShape, TableShape } from '../../core/model.js';
import type { RelationInfo } from './catalog.js';
import type { PgSession } from './session.js';
import { typeDefinitions } from './types.js';

interface ColumnRow {
  readonly name: string;
  readonly type: string;
  readonly oid: number;
  readonly notNull: boolean;
  readonly generated: boolean;
  readonly identity: string;
  readonly default: string | null;
  readonly collation: string | null;
  readonly comment: string | null;
  readonly maySelect: boolean;
}

/** A column and what the reading role may do with it. */
export interface DescribedColumn extends ColumnShape {
  readonly maySelect: boolean;
}

const IDENTITY: Readonly<Record<string, ColumnShape['identity']>> = { a: 'always', d: 'by default' };

/** Since version 18, attnotnull is also set for a constraint that was never validated: rows may be NULL. `a` is an alias of pg_attribute. */
export const notNullOf = (a: string) => `(${a}.attnotnull AND NOT EXISTS (
      SELECT FROM pg_constraint nn WHERE nn.conrelid = ${a}.attrelid AND nn.contype = 'n' AND NOT nn.convalidated
        AND nn.conkey[1] = ${a}.attnum))`;

/** NOT NULL only if it is so in every child too: before version 18, a child may drop what it inherited. */
const COLUMNS = `
  WITH RECURSIVE tree AS (
    SELECT $1::oid AS oid
    UNION SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid
  )
  SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.atttypid AS oid,
    NOT EXISTS (
      SELECT FROM tree JOIN pg_attribute own ON own.attrelid = tree.oid AND own.attname = a.attname
      WHERE own.attnum > 0 AND NOT ${notNullOf('own')}) AS "notNull",
    a.attgenerated <> '' AS generated, a.attidentity::text AS identity,
    pg_get_expr(d.adbin, d.adrelid) AS default,
    CASE WHEN a.attcollation <> t.typcollation
      THEN quote_ident(n.nspname) || '.' || quote_ident(co.collname) END AS collation,
    col_description(a.attrelid, a.attnum) AS comment,
    has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS "maySelect"
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_collation co ON co.oid = a.attcollation
  LEFT JOIN pg_namespace n ON n.oid = co.collnamespace
  WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
  ORDER BY a.attnum`;

/** The columns of a relation in their order. Types print with their schemas, since search_path is empty. */
export async function describeColumns(
  session: PgSession,
  relation: Pick<RelationInfo, 'oid'>,
): Promise<DescribedColumn[]> {
  const rows = await session.query<ColumnRow>(COLUMNS, [relation.oid]);
  const definitions = await typeDefinitions(
    session,
    rows.map(({ oid }) => oid),
  );
  return rows.map(({ oid, identity, default: value, collation, comment, ...row }) => ({
    ...row,
    definition: definitions.get(oid)!,
    ...(IDENTITY[identity] === undefined ? {} : { identity: IDENTITY[identity] }),
    ...(value === null ? {} : { default: value }),
    ...(collation === null ? {} : { collation }),
    ...(comment === null ? {} : { comment }),
  }));
}

/** The columns of the primary key in the key's order; empty if there is none. */
export async function primaryKeyOf(session: PgSession, relation: Pick<RelationInfo, 'oid'>): Promise<string[]> {
  const rows = await session.query<{ name: string }>(
    `SELECT a.attname AS name
     FROM pg_constraint c
     CROSS JOIN LATERAL unnest(c.conkey) WITH ORDINALITY AS key(attnum, place)
     JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = key.attnum
     WHERE c.conrelid = $1 AND c.contype = 'p' ORDER BY key.place`,
    [relation.oid],
  );
  return rows.map(({ name }) => name);
}

/** What is said of the relation itself. */
export async function commentOf(
  session: PgSession,
  { oid }: Pick<RelationInfo, 'oid'>,
): Promise<Pick<TableShape, 'comment'>> {
  const rows = await session.query<{ comment: string | null }>(`SELECT obj_description($1, 'pg_class') AS comment`, [
    oid,
  ]);
  const comment = rows[0]?.comment ?? undefined;
  return comment === undefined ? {} : { comment };
}

export function shapeOf(
  session: PgSession,
  columns: readonly ColumnShape[],
  primaryKey: readonly string[],
): TableShape {
  return { system: 'postgres', version: Math.floor(session.serverVersion / 10_000), columns, primaryKey };
}

export function withoutPrivilege({ maySelect: _, ...shape }: DescribedColumn): ColumnShape {
  return shape;
}

/**
 * The columns of a query's result, found by running it for no rows, in a transaction that can't write. Result columns are never
 * known to be NOT NULL. Throws what the server says of the query.
 */
export async function describeQuery(session: PgSession, sql: string): Promise<ColumnShape[]> {
  const fields = await session.fields(`SELECT * FROM (${asSubquery(sql)}) AS query LIMIT 0`);
  const names = await typeNames(session, fields);
  const definitions = await typeDefinitions(
    session,
    fields.map(({ dataTypeID }) => dataTypeID),
  );
  return fields.map(({ name, dataTypeID }, index) => ({
    name,
    type: names[index]!,
    definition: definitions.get(dataTypeID)!,
    notNull: false,
    generated: false,
  }));
}

/** The text of a query as it can stand in parentheses: a line of its own, since it may end with a comment. */
export function asSubquery(sql: string): string {
  return `\n${sql.replace(/[\s;]+$/, '')}\n`;
}

async function typeNames(
  session: PgSession,
  fields: readonly { dataTypeID: number; dataTypeModifier: number }[],
): Promise<string[]> {
  const rows = await session.query<{ type: string }>(
    `SELECT format_type(oid, modifier) AS type
     FROM unnest($1::oid[], $2::int4[]) WITH ORDINALITY AS field(oid, modifier, place)
     ORDER BY place`,
    [fields.map((field) => field.dataTypeID), fields.map((field) => field.dataTypeModifier)],
  );
  return rows.map(({ type }) => type);
}
