import { LonghaulError } from '../../core/errors.js';
import { parseWrittenName, writePart, type WrittenPart } from '../../core/table-name.js';

/** A relation by the names that stand in the catalog: exact, never folded to lower case. */
export interface Relation {
  readonly schema: string;
  readonly name: string;
}

export function quoteIdent(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A string constant that means the same whatever standard_conforming_strings is. */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

/** `"schema"."table"`, for a statement. */
export function quoteRelation({ schema, name }: Relation): string {
  return `${quoteIdent(schema)}.${quoteIdent(name)}`;
}

/** The statement; without a comment, that there is none. */
export function commentTable(relation: Relation, comment: string | undefined): string {
  return `COMMENT ON TABLE ${quoteRelation(relation)} IS ${comment === undefined ? 'NULL' : quoteLiteral(comment)}`;
}

/** Names joined for a statement: `"a", "b"`. */
export function quoteColumns(names: readonly string[]): string {
  return names.map(quoteIdent).join(', ');
}

/** Reads an exact name, see core/table-name.ts. Undefined for anything else. */
export function parseRelation(text: string): Relation | undefined {
  const parts = parseWrittenName(text);
  return parts && { schema: parts.schema.name, name: parts.table.name };
}

/** Reads `sales.*`: stars outside of quotes stand for anything. The answer's parts are patterns of LIKE. */
export function parsePattern(text: string): Relation | undefined {
  const parts = parseWrittenName(text);
  return parts && { schema: likePattern(parts.schema), name: likePattern(parts.table) };
}

function likePattern({ name, quoted }: WrittenPart): string {
  const escaped = name.replace(/[\\%_]/g, '\\$&');
  return quoted ? escaped : escaped.replaceAll('*', '%');
}

/** As `parseRelation`; throws StatementInvalid for a text that is no table's name. */
export function requireRelation(text: string): Relation {
  const relation = parseRelation(text);
  if (relation) return relation;
  throw new LonghaulError('StatementInvalid', `"${text}" is not the name of a table.`, {
    next: 'Write it as schema.table.',
  });
}

/** What a person reads and `parseRelation` reads back. */
export function formatRelation({ schema, name }: Relation): string {
  return `${writePart(schema)}.${writePart(name)}`;
}
