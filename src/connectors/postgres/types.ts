import { LonghaulError } from '../../core/errors.js';
import type { PgSession } from './session.js';

/**
 * The meaning of a type, without OIDs, which differ between databases: as JSON it is `ColumnShape.definition`, equal if and only if
 * two databases' binary images of the type are interchangeable (those with `textOnly` are in text only, being names or formats of
 * their own server). Modifiers (`varchar(10)`) are not part of a column's own definition; those of parts within are.
 */
export type TypeNode =
  | { readonly builtin: string; readonly textOnly?: true }
  | { readonly array: TypeNode }
  /** Labels in order. */
  | { readonly enum: readonly string[] }
  /** Attributes in order: name, type as printed, definition. */
  | { readonly composite: readonly (readonly [string, string, TypeNode])[] }
  /** `type` is the base as printed, with modifiers. Constraints are not part of a value's image. */
  | { readonly domain: TypeNode; readonly type: string }
  | { readonly range: TypeNode }
  | { readonly multirange: TypeNode }
  | { readonly extension: string; readonly version: string; readonly type: string; readonly textOnly?: true }
  /** A base type of somebody's own code: only its name is known. */
  | { readonly opaque: string };

interface TypeRow {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly typtype: string;
  readonly textOnly: boolean;
  readonly element: number | null;
  readonly base: number | null;
  readonly baseName: string | null;
  readonly subtype: number | null;
  readonly range: number | null;
  readonly labels: string[] | null;
  readonly attributes: { readonly name: string; readonly type: string; readonly oid: string }[] | null;
  readonly extension: string | null;
  readonly version: string | null;
}

/**
 * The types with all that they are made of. `reg…` types are names in text and bare local numbers in binary; `money` depends on the
 * locale; some types have no binary form. pg_range gained its multirange column in version 14, so that it is asked for by name.
 */
const TYPES = `
  WITH RECURSIVE reached(oid) AS (
    SELECT unnest($1::oid[])
    UNION
    SELECT part.oid FROM reached JOIN pg_type t ON t.oid = reached.oid CROSS JOIN LATERAL (
      SELECT e.oid FROM pg_type e WHERE e.oid = t.typelem AND e.typarray = t.oid
      UNION ALL SELECT t.typbasetype WHERE t.typtype = 'd'
      UNION ALL SELECT a.atttypid FROM pg_attribute a
        WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
      UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid
      UNION ALL SELECT r.rngtypid FROM pg_range r
        WHERE (to_jsonb(r) ->> 'rngmultitypid')::oid = t.oid
    ) AS part
  )
  SELECT t.oid, n.nspname AS schema, t.typname AS name, t.typtype::text AS typtype,
    (t.typsend = 0 OR t.typreceive = 0 OR n.nspname = 'pg_catalog' AND (t.typname LIKE 'reg%' OR t.typname = 'money'))
      AS "textOnly",
    (SELECT e.oid FROM pg_type e WHERE e.oid = t.typelem AND e.typarray = t.oid) AS element,
    nullif(t.typbasetype, 0) AS base, format_type(nullif(t.typbasetype, 0), t.typtypmod) AS "baseName",
    (SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid) AS subtype,
    (SELECT r.rngtypid FROM pg_range r
      WHERE (to_jsonb(r) ->> 'rngmultitypid')::oid = t.oid) AS range,
    (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)
      AS labels,
    (SELECT json_agg(json_build_object('name', a.attname, 'oid', a.atttypid,
        'type', format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum)
      FROM pg_attribute a
      WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS attributes,
    x.extname AS extension, x.extversion AS version
  FROM pg_type t
  JOIN pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid
    AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
  LEFT JOIN pg_extension x ON x.oid = d.refobjid
  WHERE t.oid IN (SELECT oid FROM reached)`;

/** Definitions of the types with these OIDs, in one round trip. */
export async function typeDefinitions(
  session: PgSession,
  oids: readonly number[],
): Promise<ReadonlyMap<number, string>> {
  const rows = await session.query<TypeRow>(TYPES, [[...new Set(oids)]]);
  const types = new Map(rows.map((row) => [row.oid, row]));
  return new Map(oids.map((oid) => [oid, JSON.stringify(nodeOf(oid, types))]));
}

function nodeOf(oid: number, types: ReadonlyMap<number, TypeRow>): TypeNode {
  const row = types.get(oid);
  if (row === undefined) throw new LonghaulError('SourceChanged', `Type ${oid} was dropped meanwhile.`);
  const part = (of: number | string) => nodeOf(Number(of), types);
  if (row.element !== null) return { array: part(row.element) };
  if (row.base !== null) return { domain: part(row.base), type: row.baseName! };
  if (row.typtype === 'e') return { enum: row.labels ?? [] };
  if (row.typtype === 'c') {
    return { composite: (row.attributes ?? []).map((a) => [a.name, a.type, part(a.oid)] as const) };
  }
  if (row.schema === 'pg_catalog') return { builtin: row.name, ...(row.textOnly ? { textOnly: true } : {}) };
  if (row.subtype !== null) return { range: part(row.subtype) };
  if (row.range !== null) return { multirange: part(row.range) };
  return codedType(row);
}

function codedType({ schema, name, textOnly, extension, version }: TypeRow): TypeNode {
  if (extension === null) return { opaque: `${schema}.${name}` };
  return { extension, version: version ?? '', type: name, ...(textOnly ? { textOnly } : {}) };
}

/** Reads a definition made by a Postgres connector. */
export function parseDefinition(definition: string): TypeNode {
  return JSON.parse(definition) as TypeNode;
}

/** The parts that a type is directly made of. */
export function partsOf(node: TypeNode): readonly TypeNode[] {
  if ('array' in node) return [node.array];
  if ('domain' in node) return [node.domain];
  if ('range' in node) return [node.range];
  if ('multirange' in node) return [node.multirange];
  return 'composite' in node ? node.composite.map(([, , type]) => type) : [];
}

/** Whether values have a binary image that another database of the same definition reads. */
export function hasBinary(node: TypeNode): boolean {
  if ('opaque' in node || 'textOnly' in node) return false;
  return partsOf(node).every(hasBinary);
}

/**
 * Whether a value carries the OID of a type that isn't built in: one inside an array or a composite. Servers before version 14
 * refuse such a value when their OID differs.
 */
export function carriesUserOids(node: TypeNode): boolean {
  const carries = 'array' in node || 'composite' in node;
  return partsOf(node).some((part) => (carries && !isBuiltin(part)) || carriesUserOids(part));
}

function isBuiltin(node: TypeNode): boolean {
  return 'builtin' in node || ('array' in node && isBuiltin(node.array));
}
